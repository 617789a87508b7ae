//! The first sketch of this format: one list of all that it lacks, and with just that changed it parses.

use super::*;

const SKETCH: &str = include_str!("../../../testdata/sketch.yaml");

#[test]
fn one_list_names_all_that_the_sketch_lacks() {
    let alone = "one seat alone decides what is true on this chain: list several under `rpc.seats`, \
                 or accept the risk with `dangerous_single_seat: true` beside it";
    let dvn = "the address of your own DVN contract on this chain";
    let endpoint = "the address of EndpointV2, 0x1a44076050125825900e736c501f859c50fE728c on";
    let send_lib = "the SendUln302 whose fee events count,";
    let expected = [
        format!("line 12: source_chains.ethereum.rpc_url: {alone}"),
        format!("line 15: source_chains.ethereum.contracts.dvn: missing: {dvn}"),
        format!(
            "line 17: source_chains.ethereum.contracts.send_lib: `0x...` is a placeholder for {send_lib} \
             0xbB2Ea70C9E858123480642Cf96acbcCE1372dCe1 on Ethereum"
        ),
        format!("line 19: source_chains.arbitrum.contracts.endpoint: missing: {endpoint} Arbitrum One"),
        format!(
            "line 19: source_chains.arbitrum.contracts.send_lib: missing: {send_lib} \
             0x975bcD720be66659e3EB3C0e4F1866a3020E493A on Arbitrum One"
        ),
        format!("line 19: source_chains.arbitrum.contracts.dvn: missing: {dvn}"),
        format!("line 22: source_chains.arbitrum.rpc_url: {alone}"),
        "line 28: target_chains.conflux.sender: missing: the account with ADMIN_ROLE on the DVN contract that pays for \
         gas; say which `provider` holds its key"
            .to_owned(),
        "line 30: target_chains.conflux.eid: no chain has eid 30250; Conflux eSpace is 30212".to_owned(),
        format!("line 31: target_chains.conflux.rpc_url: {alone}"),
        format!("line 33: target_chains.conflux.contracts.endpoint: `0x...` is a placeholder for {endpoint} Conflux eSpace"),
        "line 34: target_chains.conflux.contracts.receive_lib: `0x...` is a placeholder for the ReceiveUln302 to call, \
         0x16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347 on Conflux eSpace"
            .to_owned(),
        format!("line 35: target_chains.conflux.contracts.dvn: `0x...` is a placeholder for {dvn}"),
        "line 44: hsm.aws.pin_env: environment variable HSM_PIN is not set".to_owned(),
        "line 57: redis.password_env: environment variable REDIS_PASSWORD is not set".to_owned(),
        "line 66: postgres.password_env: environment variable POSTGRES_PASSWORD is not set".to_owned(),
        "line 69: signing.listen: missing: address and port where peers ask this node to cosign".to_owned(),
        "line 69: signing.tls.cert: missing: the path of this node's certificate, in PEM".to_owned(),
        "line 69: signing.tls.key_file: missing: the path of the certificate's private key, in PEM".to_owned(),
        "line 69: signing.tls.ca: missing: the path of the certificate of the nodes' authority, in PEM".to_owned(),
        "line 69: signing.peers: lists 0, but 3 signers are this node and 2 others".to_owned(),
    ];
    assert_eq!(problems_in(SKETCH, &FakeEnv::default()), expected);
}

#[test]
fn with_just_that_changed_it_parses() {
    let single = "  dangerous_single_seat: true\n    rpc_url:";
    let edits = [
        ("    rpc_url:", &*format!("  {single}")),
        (
            "      send_lib: \"0x...\"\n",
            "      send_lib: \"0xbB2Ea70C9E858123480642Cf96acbcCE1372dCe1\"\n      dvn: \"0x00000000000000000000000000000000000000d1\"\n",
        ),
        (
            "    block_time: 250ms\n",
            "    block_time: 250ms\n    contracts:\n      endpoint: \"0x1a44076050125825900e736c501f859c50fE728c\"\n      \
             send_lib: \"0x975bcD720be66659e3EB3C0e4F1866a3020E493A\"\n      dvn: \"0x00000000000000000000000000000000000000d2\"\n",
        ),
        ("eid: 30250", "eid: 30212"),
        ("      endpoint: \"0x...\"", "      endpoint: \"0x1a44076050125825900e736c501f859c50fE728c\""),
        ("      receive_lib: \"0x...\"", "      receive_lib: \"0x16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347\""),
        (
            "      dvn: \"0x...\"\n",
            "      dvn: \"0x00000000000000000000000000000000000000d3\"\n    sender:\n      provider: aws\n      \
             aws: { key_label: gas-key, pin_env: HSM_PIN }\n",
        ),
        ("quorum: 2\n  total_signers: 3", "quorum: 1\n  total_signers: 1"),
    ];
    let changed = edits.iter().fold(SKETCH.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the sketch has no {from:?}");
        text.replace(from, to)
    });
    assert_eq!(problems(&changed), [""; 0]);
    let config = Config::parse(&changed, &env()).unwrap();
    assert_eq!((config.sources.len(), config.targets.len()), (2, 1));
    let postgres = config.postgres.unwrap();
    assert_eq!((&*postgres.host, postgres.port, postgres.tls), ("10.0.2.51", 5_432, PostgresTls::VerifyFull));
    let redis = config.redis.unwrap();
    assert_eq!(redis.addresses, [("10.0.2.50".to_owned(), 6_379)]);
    assert!(matches!(redis.mode, RedisMode::Single));
}
