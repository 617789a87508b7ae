//! Broken files: each edit of a good one gives exactly these problems.

use super::*;

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
fn published_numbers() {
    production(&[
        (
            "    eid: 30110",
            "    eid: 30111",
            &[
                "source_chains.arbitrum.eid: chain id 42161 is Arbitrum One, whose eid is 30110 and not 30111",
                "target_chains.arbitrum.eid: chain id 42161 is Arbitrum One, whose eid is 30110 and not 30111",
            ],
        ),
        (
            "chain_id: 42161",
            "chain_id: 42170",
            &[
                "source_chains.arbitrum.eid: eid 30110 is Arbitrum One, whose chain id is 42161 and not 42170",
                "target_chains.arbitrum.eid: eid 30110 is Arbitrum One, whose chain id is 42161 and not 42170",
            ],
        ),
        (
            "    chain_id: 1\n    eid: 30101",
            "    chain_id: 12345\n    eid: 101",
            &["source_chains.ethereum.eid: 101 is not the id of a LayerZero V2 endpoint: those begin at 30000"],
        ),
        (
            "class: ethereum",
            "class: generic",
            &["source_chains.ethereum.class: Ethereum is of class ethereum: its finality and gas rules differ"],
        ),
    ]);
    let warned = Config::parse(&DEV.replace("31337", "1"), &env()).unwrap().warnings;
    let warned: Vec<_> = warned.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "line 5: source_chains.here.eid: chain id 1 is Ethereum, whose eid is 30101 and not 40001",
            "line 20: target_chains.there.sender: is an attesting key: give the account that pays for gas a key of its own",
        ],
        "dev may simulate a chain and save a key"
    );
}

#[test]
fn seats() {
    let single = "one seat alone decides what is true on this chain: list several under `rpc.seats`, or accept the risk with `dangerous_single_seat: true` beside it";
    production(&[
        (
            "threshold: 3",
            "threshold: 5",
            &["source_chains.ethereum.rpc.threshold: threshold is 5, but there are only 4 seats"],
        ),
        (
            "threshold: 3\n      quotas: { operators: 2, clients: 2, self: 1, third_party: 1 }",
            "threshold: 2",
            &[
                "source_chains.ethereum.rpc.threshold: 2 of 4 seats is less than 3, the least that is safe while fewer than a third of them lie",
            ],
        ),
        (
            "operators: 2",
            "operators: 4",
            &["source_chains.ethereum.rpc.quotas.operators: 4 are asked for, but the seats have only 3"],
        ),
        (
            "third_party: 1",
            "third_party: 2",
            &[
                "source_chains.ethereum.rpc.quotas.third_party: a quota that some votes of the threshold's number miss is not in this build: any 3 of these seats have at least 1; raise the threshold or lower the quota",
            ],
        ),
        (
            "http://10.0.3.100:8545\"",
            "http://10.0.2.100:8545\"",
            &[
                "source_chains.ethereum.rpc.seats[1].url: the same endpoint as source_chains.ethereum.rpc.seats[0]: one endpoint has one vote",
            ],
        ),
        (
            "http://10.0.3.100:8545\", operator: self",
            "http://10.0.2.100:8555\", operator: acme",
            &[
                "source_chains.ethereum.rpc.quotas.self: a quota that some votes of the threshold's number miss is not in this build: any 3 of these seats have at least 0; raise the threshold or lower the quota",
                "source_chains.ethereum.rpc.seats[1].operator: acme and self (source_chains.ethereum.rpc.seats[0]) share the host of http://10.0.2.100:8555: one host has one operator",
            ],
        ),
        (
            "http://10.0.3.100:8545\", operator: self, ",
            "http://10.0.3.100:8545\", ",
            &["source_chains.ethereum.rpc.seats[1].operator: missing: who runs it, `self` for your own"],
        ),
        (
            "url_env: FOURTH_RPC",
            "url_env: FIFTH_RPC",
            &["source_chains.ethereum.rpc.seats[3].url_env: environment variable FIFTH_RPC is not set"],
        ),
        (
            "url_env: FOURTH_RPC",
            "url_env: HSM_PIN",
            &[
                "source_chains.ethereum.rpc.seats[3].url_env: environment variable HSM_PIN: the URL must start with http:// or https://",
            ],
        ),
        (
            "url_env: FOURTH_RPC",
            "url: \"http://x.example\", url_env: FOURTH_RPC",
            &["source_chains.ethereum.rpc.seats[3].url_env: `url` is given as well: keep one of the two"],
        ),
        (
            "url_env: FOURTH_RPC",
            "url: \"ftp://x.example/s3cret\"",
            &["source_chains.ethereum.rpc.seats[3].url: the URL must start with http:// or https://"],
        ),
        (
            "headers_env: ACME_HEADERS",
            "headers_env: GAS_PIN",
            &[
                "source_chains.ethereum.rpc.seats[2].headers_env: environment variable GAS_PIN: must hold HTTP headers as `Name: value`, one a line",
            ],
        ),
        (
            "role: audit",
            "role: auditor",
            &["source_chains.ethereum.rpc.seats[4].role: `auditor` is none of: vote, audit"],
        ),
        (
            "dangerous_single_seat: true",
            "dangerous_single_seat: false",
            &[&format!("source_chains.conflux.rpc_url_env: {single}")],
        ),
        (
            "rpc_url_env: CONFLUX_RPC\n    dangerous_single_seat: true",
            "rpc: { seats: [ { url: \"http://10.0.2.102\", operator: self } ] }",
            &[&format!("source_chains.conflux.rpc: {single}")],
        ),
        (
            "rpc_url_env: CONFLUX_RPC\n",
            "rpc_url_env: CONFLUX_RPC\n    rpc: { seats: [ { url: \"http://10.0.2.102\", operator: self } ] }\n",
            &["source_chains.conflux.rpc_url_env: `rpc` is given as well: keep one of the two"],
        ),
        ("rpc_url_env: CONFLUX_RPC\n", "rpc: { seats: [] }\n", &["source_chains.conflux.rpc.seats: no seats"]),
        (
            "rpc: *arbitrum",
            "rpc: { seats: [ { url: \"http://x\", operator: self }, { url: \"http://y\", operator: self } ] }",
            &[
                "target_chains.arbitrum.rpc: differs from the one of source_chains.arbitrum: give it once, in either place",
            ],
        ),
    ]);
}

#[test]
fn finality_without_any() {
    production(&[(
        "confirmations: 12\n    finality: finalized",
        "finality: latest",
        &[
            "source_chains.ethereum.confirmations: missing: with `finality: latest` the number of confirmations alone protects, so say it",
        ],
    )]);
}

#[test]
fn secrets() {
    let name =
        "must be the name of an environment variable in upper case, such as HSM_PIN, and never the secret itself";
    production(&[
        (
            "pin_file: /run/secrets/gas-pin",
            "pin_file: /run/s3cret",
            &["target_chains.conflux.sender.pkcs11.pin_file: the file that it names cannot be read: entity not found"],
        ),
        (
            "pin_env: GAS_PIN",
            "pin_env: GAS_PIN, pin_file: /run/secrets/gas-pin",
            &["target_chains.arbitrum.sender.pkcs11.pin_file: `pin_env` is given as well: keep one of the two"],
        ),
        ("pin_env: GAS_PIN", "pin_env: s3cret", &[&format!("target_chains.arbitrum.sender.pkcs11.pin_env: {name}")]),
        (
            "pin_env: GAS_PIN",
            "pin: s3cret",
            &[
                "target_chains.arbitrum.sender.pkcs11.pin_env: missing: name the environment variable that holds it, or give `pin_file`",
                "target_chains.arbitrum.sender.pkcs11.pin: unknown key; the nearest valid one is `pin_env`",
            ],
        ),
    ]);
}

#[test]
fn devices() {
    let absent = "this provider is not in this build: choose aws (CloudHSM) or pkcs11";
    production(&[
        (
            "provider: aws\n  address",
            "provider: awss\n  address",
            &["hsm.provider: `awss` is none of: aws, pkcs11, aws-kms, aliyun, gcp, local"],
        ),
        (
            "provider: aws\n  address",
            "provider: pkcs11\n  address",
            &[
                "hsm.pkcs11.library: `...` is a placeholder for the path of the vendor's PKCS#11 library",
                "hsm.pkcs11.pin_env: environment variable OTHER_PIN is not set",
            ],
        ),
        (
            "provider: aws\n  address",
            "provider: aws-kms\n  address",
            &[
                "hsm.aws-kms.key_id: `arn:aws:kms:...` is a placeholder for a part of the key's name",
                &format!("hsm.aws-kms: {absent}"),
            ],
        ),
        (
            "provider: aws\n  address",
            "provider: aliyun\n  address",
            &[
                "hsm.aliyun.key_id: `key-xxx` is a placeholder for a part of the key's name",
                &format!("hsm.aliyun: {absent}"),
            ],
        ),
        ("provider: aws\n  address", "provider: gcp\n  address", &[&format!("hsm.gcp: {absent}")]),
        (
            "provider: aws\n  address",
            "provider: local\n  address",
            &[
                "hsm.provider: local keeps the key in memory, which `service.environment: dev` alone allows: use aws or pkcs11",
            ],
        ),
        (
            "key_version_id:",
            "key_version:",
            &["hsm.aliyun.key_version: unknown key; the nearest valid one is `key_version_id`"],
        ),
        (
            "sessions: 1 ",
            "sessions: 17 ",
            &["target_chains.conflux.sender.pkcs11.sessions: `17` is not a whole number from 1 to 16"],
        ),
        ("key_label: \"dvn-signing-key\", ", "", &["hsm.aws.key_label: missing: the label of the key in the token"]),
        (
            "address: \"0x00000000000000000000000000000000000000a1\"",
            "address: \"0xa1\"",
            &["hsm.address: `0xa1` is not an address: write 0x and 40 hex digits"],
        ),
        (
            "      provider: aws\n      aws:",
            "      provider: aws\n      pkcs11:",
            &["target_chains.arbitrum.signer.aws: missing: the chosen provider's block"],
        ),
    ]);
}

#[test]
fn the_gas_account_is_not_the_attesting_key() {
    let same = "is an attesting key: give the account that pays for gas a key of its own";
    let gas = "provider: pkcs11\n      pkcs11: { library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: arbitrum-gas, pin_env: GAS_PIN }";
    let with = |label: &str| format!("provider: aws\n      aws: {{ key_label: {label}, pin_env: HSM_PIN }}");
    production(&[
        (gas, &with("dvn-signing-key"), &[&format!("target_chains.arbitrum.sender: {same}")]),
        (gas, &with("dvn-arbitrum-key"), &[&format!("target_chains.arbitrum.sender: {same}")]),
        (gas, &with("gas"), &[]),
        (
            gas,
            &format!("address: \"0x00000000000000000000000000000000000000a1\"\n      {gas}"),
            &[&format!("target_chains.arbitrum.sender: {same}")],
        ),
    ]);
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
fn what_is_not_in_this_build() {
    let peers = "signing: cosigning with peers is not in this build: write `quorum: 1` and `total_signers: 1`, and remove `listen`, `tls` and `peers`";
    production(&[
        ("quorum: 1", "quorum: 0", &["signing.quorum: `0` is not a whole number from 1 to 255"]),
        ("quorum: 1", "quorum: 2", &[peers, "signing.quorum: 2 of 1 signers can never sign"]),
        ("total_signers: 1", "total_signers: 3", &[peers]),
        (
            "total_signers: 1",
            "total_signers: 1\n  peers: [ { name: n, url: \"https://n\", address: \"0x...\" } ]",
            &[
                peers,
                "signing.peers: lists 1, but 1 signers are this node and 0 others",
                "signing.peers[0].address: `0x...` is a placeholder for the address of the peer's attesting key",
            ],
        ),
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
        (
            "policy: {}",
            "redis: { addr: nowhere, db: 0 }",
            &[
                "redis.addr: `nowhere` is not host:port",
                "redis: redis is not in this build: remove the block, and the queue lives in the process",
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
            "max_fee_gwei: 100.5",
            "max_fee_gwei: 100.5, daily_budget: \"2.5\"",
            &[
                "target_chains.conflux.fees.daily_budget: a daily budget is not in this build: remove it and keep little on the sender's account",
            ],
        ),
        (
            "max_priority_gwei: 1 ",
            "max_priority_gwei: 101 ",
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
