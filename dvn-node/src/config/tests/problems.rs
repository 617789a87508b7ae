//! Broken files: each edit of a good one gives exactly these problems.

use super::*;

mod chains;
mod keys;

/// A dev file, small enough to break in any place.
const DEV: &str = "\
service: { name: dev, environment: dev }
source_chains:
  here:
    chain_id: 31337
    eid: 40001
    rpc_url: http://127.0.0.1:8545
    contracts:
      endpoint: '0x00000000000000000000000000000000000000e0'
      send_lib: '0x00000000000000000000000000000000000000e1'
      dvn: '0x00000000000000000000000000000000000000d1'
target_chains:
  there:
    chain_id: 31338
    eid: 40002
    rpc_url: http://127.0.0.1:8546
    contracts:
      endpoint: '0x00000000000000000000000000000000000000e0'
      receive_lib: '0x00000000000000000000000000000000000000e2'
      dvn: '0x00000000000000000000000000000000000000d2'
    sender: { provider: local, local: { private_key_env: DVN_DEV_KEY } }
hsm: { provider: local, local: { private_key_env: DVN_DEV_KEY } }
";

fn edited(file: &str, from: &str, to: &str) -> Vec<String> {
    assert!(file.contains(from), "the file has no {from:?}");
    let found = problems(&file.replace(from, to));
    assert!(found.iter().all(|line| !line.contains("s3cret")), "a secret is repeated: {found:?}");
    found
}

/// Each edit of the dev file gives these problems.
fn dev(cases: &[(&str, &str, &[&str])]) {
    for (from, to, expected) in cases {
        assert_eq!(edited(DEV, from, to), *expected, "{from:?} -> {to:?}");
    }
}

/// Each edit of the production file gives these problems, lines aside.
fn production(cases: &[(&str, &str, &[&str])]) {
    for (from, to, expected) in cases {
        let found = edited(PRODUCTION, from, to);
        let found: Vec<_> = found.iter().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
        assert_eq!(found, *expected, "{from:?} -> {to:?}");
    }
}

#[test]
fn the_unbroken_file_has_none() {
    assert_eq!(problems(DEV), [""; 0]);
}

#[test]
fn keys() {
    dev(&[
        (
            "eid: 40001",
            "edi: 40001",
            &[
                "line 3: source_chains.here.eid: missing: the LayerZero endpoint id",
                "line 5: source_chains.here.edi: unknown key; the nearest valid one is `eid`",
            ],
        ),
        ("hsm:", "hms: {}\nhsm:", &["line 21: hms: unknown key; the nearest valid one is `hsm`"]),
        (
            "    eid: 40001",
            "    eid: 40001\n    eid: 40001",
            &["line 6: source_chains.here.eid: written twice, first in line 5: keep one"],
        ),
        (
            "  there:",
            "  there: {}\n  there:",
            &[
                "line 12: target_chains.there.chain_id: missing: the EVM chain id",
                "line 12: target_chains.there.eid: missing: the LayerZero endpoint id",
                "line 12: target_chains.there.contracts.endpoint: missing: the address of EndpointV2",
                "line 12: target_chains.there.contracts.receive_lib: missing: the ReceiveUln302 to call",
                "line 12: target_chains.there.contracts.dvn: missing: the address of your own DVN contract on this chain",
                "line 12: target_chains.there.sender: missing: the account with ADMIN_ROLE on the DVN contract that pays for gas; say which `provider` holds its key",
                "line 12: target_chains.there.rpc: missing: list the `seats` that are asked about this chain",
                "line 13: target_chains.there: written twice, first in line 12: keep one",
            ],
        ),
        ("name: dev,", "", &["line 1: service.name: missing: a name for this node, such as dvn-node-1"]),
    ]);
}

#[test]
fn a_section_that_is_none() {
    let mut expected = vec![
        "line 1: service: must be a mapping of keys to values",
        "line 1: service.name: missing: a name for this node, such as dvn-node-1",
    ];
    expected.extend(STRICT);
    assert_eq!(edited(DEV, "{ name: dev, environment: dev }", "dev"), expected);
}

/// What the dev file lacks for production.
const STRICT: &[&str] = &[
    "line 6: source_chains.here.rpc_url: one seat alone decides what is true on this chain: list several under `rpc.seats`, or accept the risk with `dangerous_single_seat: true` beside it",
    "line 15: target_chains.there.rpc_url: one seat alone decides what is true on this chain: list several under `rpc.seats`, or accept the risk with `dangerous_single_seat: true` beside it",
    "line 20: target_chains.there.sender.provider: local keeps the key in memory, which `service.environment: dev` alone allows: use aws or pkcs11",
    "line 21: hsm.provider: local keeps the key in memory, which `service.environment: dev` alone allows: use aws or pkcs11",
];

#[test]
fn production_is_strict_and_the_default() {
    dev(&[(", environment: dev", "", STRICT), ("environment: dev", "environment: production", STRICT)]);
}

#[test]
fn empty_and_broken_files() {
    let whole = problems("");
    assert_eq!(
        whole,
        [
            "line 1: service.name: missing: a name for this node, such as dvn-node-1",
            "line 1: source_chains: missing: name at least one chain",
            "line 1: target_chains: missing: name at least one chain",
            "line 1: hsm: missing: the attesting key; say which `provider` holds it",
        ]
    );
    assert_eq!(
        problems("- 1\n"),
        whole.iter().fold(vec!["line 1: must be a mapping of keys to values".to_owned()], |mut all, it| {
            all.push(it.clone());
            all
        })
    );
    assert!(problems("service: [")[0].starts_with("line 2: not YAML: "), "{:?}", problems("service: ["));
}

#[test]
fn values() {
    dev(&[
        (
            "chain_id: 31337",
            "chain_id: -1",
            &["line 4: source_chains.here.chain_id: `-1` is not a whole number from 1 to 18446744073709551615"],
        ),
        ("chain_id: 31337", "chain_id: [1]", &["line 4: source_chains.here.chain_id: must be one value, not a list"]),
        (
            "    eid: 40001",
            "    eid: 40001\n    block_time: 12",
            &[
                "line 6: source_chains.here.block_time: `12` is not a duration: write a number with its unit, such as 12s, 250ms or 15m",
            ],
        ),
        (
            "    eid: 40001",
            "    eid: 40001\n    class: solana",
            &[
                "line 6: source_chains.here.class: `solana` is none of: ethereum, op-stack, arbitrum, polygon, bsc, conflux, generic",
            ],
        ),
        (
            "    eid: 40001",
            "    eid: 40001\n    confirmations: 0",
            &["line 6: source_chains.here.confirmations: `0` is not a whole number from 1 to 100000"],
        ),
        (
            "'0x00000000000000000000000000000000000000e1'",
            "'0xe1'",
            &["line 9: source_chains.here.contracts.send_lib: `0xe1` is not an address: write 0x and 40 hex digits"],
        ),
        (
            "'0x00000000000000000000000000000000000000e1'",
            "[]",
            &["line 9: source_chains.here.contracts.send_lib: missing: the SendUln302 whose fee events count"],
        ),
        (
            "'0x00000000000000000000000000000000000000e1'",
            "['0x00000000000000000000000000000000000000e1', '0x...']",
            &[
                "line 9: source_chains.here.contracts.send_lib[1]: `0x...` is a placeholder for the SendUln302 whose fee events count",
            ],
        ),
        (
            "environment: dev",
            "environment: dev, log_level: verbose",
            &[
                "line 1: service.log_level: `verbose` is neither a level (error, warn, info, debug, trace) nor a filter such as info,dvn_chain=debug",
            ],
        ),
        (
            "environment: dev",
            "environment: dev, listen: '8080'",
            &["line 1: service.listen: `8080` is not an address to listen on: write it like 0.0.0.0:8080"],
        ),
        (
            "  here:",
            "  he re:",
            &["line 3: source_chains.he re: `he re` is not a name: use 1 to 64 letters, digits, `-` and `_`"],
        ),
    ]);
    production(&[(
        "dvn: \"0x00000000000000000000000000000000000000d1\"",
        "dvn: \"0x1A44076050125825900e736c501f859c50fE728c\"",
        &[
            "source_chains.ethereum.contracts.dvn: `0x1A44076050125825900e736c501f859c50fE728c` does not match its EIP-55 checksum: a character is mistyped, copy it again",
        ],
    )]);
}

#[test]
fn sections_seen_together() {
    dev(&[
        (
            "eid: 40002",
            "eid: 40001",
            &[
                "line 12: target_chains.there: the only source and the only target are one chain: there is no path to serve",
                "line 14: target_chains.there.eid: must have the same name, eid and chain id as source_chains.here, or share none of them",
            ],
        ),
        (
            "  there:",
            "  here:",
            &[
                "line 12: target_chains.here.rpc: differs from the one of source_chains.here: give it once, in either place",
                "line 14: target_chains.here.eid: must have the same name, eid and chain id as source_chains.here, or share none of them",
            ],
        ),
    ]);
    production(&[(
        "    chain_id: 42161\n    eid: 30110\n    rpc: &arbitrum",
        "    chain_id: 1\n    eid: 30101\n    rpc: &arbitrum",
        &[
            "source_chains.arbitrum.chain_id: chain id 1 is that of source_chains.ethereum as well",
            "source_chains.arbitrum.eid: eid 30101 is that of source_chains.ethereum as well",
            "target_chains.arbitrum.eid: must have the same name, eid and chain id as source_chains.arbitrum, or share none of them",
        ],
    )]);
}

#[test]
fn peers() {
    let listen = "signing.listen: missing: address and port where peers ask this node to cosign";
    let cert = "signing.tls.cert: missing: the path of this node's certificate, in PEM";
    let key = "signing.tls.key_file: missing: the path of the certificate's private key, in PEM";
    let ca = "signing.tls.ca: missing: the path of the certificate of the nodes' authority, in PEM";
    let whole = |peers: &str| {
        format!(
            "total_signers: 3\n  listen: 0.0.0.0:8443\n  tls: {{ cert: a, key_file: b, ca: c }}\n  peers: [ {peers} ]"
        )
    };
    let [two, three] = [2, 3].map(|n| {
        format!("{{ name: node-{n}, url: \"https://10.0.0.{n}:8443\", address: \"0x000000000000000000000000000000000000000{n}\" }}")
    });
    let itself = whole(&format!("{two}, {}", three.replace("node-3", "dvn-node-1")));
    let twice = whole(&format!("{two}, {}", three.replace("10.0.0.3", "10.0.0.2")));
    let one_key = whole(&format!("{two}, {}", three.replace("00000003", "00000002")));
    let plain = whole(&format!("{two}, {}", three.replace("https", "http")));
    production(&[
        ("quorum: 1", "quorum: 2", &["signing.quorum: 2 of 1 signers can never sign"]),
        (
            "total_signers: 1",
            "total_signers: 3",
            &[listen, cert, key, ca, "signing.peers: lists 0, but 3 signers are this node and 2 others"],
        ),
        (
            "total_signers: 1",
            "total_signers: 1\n  peers: [ { name: n, url: \"https://n\", address: \"0x...\" } ]",
            &[
                listen,
                cert,
                key,
                ca,
                "signing.peers: lists 1, but 1 signers are this node and 0 others",
                "signing.peers[0].address: `0x...` is a placeholder for the address of the peer's attesting key",
            ],
        ),
        (
            "total_signers: 1",
            &itself,
            &["signing.peers[1]: dvn-node-1 is this node's own name: a node is no peer of itself"],
        ),
        (
            "total_signers: 1",
            &twice,
            &["signing.peers[1]: shares its name, url or address with node-2: each signer is one node with one key"],
        ),
        (
            "total_signers: 1",
            &one_key,
            &["signing.peers[1]: shares its name, url or address with node-2: each signer is one node with one key"],
        ),
        ("total_signers: 1", &plain, &["signing.peers[1].url: the URL must start with https://"]),
    ]);
}

#[test]
fn what_is_not_in_this_build() {
    production(&[
        ("quorum: 1", "quorum: 0", &["signing.quorum: `0` is not a whole number from 1 to 255"]),
        ("expiration: 10m", "expiration: 30s", &["signing.expiration: `30s` is out of range: from 2m to 1day"]),
        (
            "policy: {}",
            "policy: { deny: [] }",
            &["policy: policies beyond the built-in ones are not in this build: remove what stands under it"],
        ),
        (
            "telemetry:\n",
            "telemetry: { otlp: x }\n",
            &["telemetry: OpenTelemetry export is not in this build: remove what stands under it"],
        ),
        ("policy: {}", "redis: { addr: nowhere, db: 0 }", &["redis.addr: `nowhere` is not host:port"]),
        ("policy: {}", "redis: {}", &["redis.addr: missing: host:port"]),
        (
            "policy: {}",
            "redis: { addr: [\"a:1\", \"b:2\"], pasword_env: X }",
            &[
                "redis.addr: lists 2 addresses: write `mode: sentinel` or `mode: cluster`, or keep one",
                "redis.pasword_env: unknown key; the nearest valid one is `password_env`",
            ],
        ),
        (
            "policy: {}",
            "redis: { addr: \"a:1\", mode: sentinel }",
            &["redis.master: missing: the name under which the sentinels know who leads"],
        ),
        (
            "policy: {}",
            "redis: { addr: \"a:1\", master: m }",
            &["redis.master: is for `mode: sentinel` alone: remove it, or write the mode"],
        ),
        ("policy: {}", "redis: { addr: \"a:1\", mode: cluster, db: 2 }", &["redis.db: a cluster has database 0 alone"]),
        (
            "policy: {}",
            "postgres: { host: h, database: d, user: u, tls: prefer, timeout: 2m, connections: 1 }",
            &[
                "postgres.tls: `prefer` is none of: disable, require, verify-ca, verify-full",
                "postgres.connections: `1` is not a whole number from 2 to 100",
                "postgres.timeout: `2m` is out of range: from 1s to 1m",
            ],
        ),
        (
            "policy: {}",
            "postgres: { host: h, user: u, password_env: NOT_THERE }",
            &[
                "postgres.database: missing: the name of the database",
                "postgres.password_env: environment variable NOT_THERE is not set",
            ],
        ),
        (
            "commit: false",
            "commit: true",
            &[
                "target_chains.conflux.commit: calling commitVerification is not in this build: remove it; executors commit",
            ],
        ),
        (
            "daily_budget: \"2.5\", low_balance: \"0.25\"",
            "daily_budget: \"0\", low_balance: lots",
            &[
                "target_chains.conflux.fees.daily_budget: must be above 0: nothing could ever be sent; leave it out for no bound",
                "target_chains.conflux.fees.low_balance: `lots` is not an amount: write a decimal number such as 2.5, with at most 18 decimals",
            ],
        ),
        (
            "max_priority_gwei: 1,",
            "max_priority_gwei: 101,",
            &["target_chains.conflux.fees.max_priority_gwei: must not be above `max_fee_gwei`, of which it is a part"],
        ),
        (
            "max_items: 10",
            "max_items: 0",
            &["target_chains.conflux.batch.max_items: `0` is not a whole number from 1 to 200"],
        ),
    ]);
}

#[test]
fn the_error_lists_all_of_them() {
    let error = Config::parse("service: { name: x }", &env()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 problems in the configuration:\n  line 1: source_chains: missing: name at least one chain\n  \
         line 1: target_chains: missing: name at least one chain\n  \
         line 1: hsm: missing: the attesting key; say which `provider` holds it"
    );
}
