//! What is wrong with chains: their numbers, seats and finality.

use super::*;

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
fn t05_seats_that_cannot_protect_are_refused() {
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
            "third_party: 3",
            &["source_chains.ethereum.rpc.quotas.third_party: 3 are asked for, but the seats have only 2"],
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
