//! Whole files: what parses, to what, and which problems a broken one has.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::address;
use dvn_core::{
    ids::{BlockNumber, Confirmations, Eid},
    quorum::Quotas,
};
use secrecy::ExposeSecret;

use dvn_chain::{ChainClass, Finality};

use super::*;

mod problems;
mod sketch;

const PRODUCTION: &str = include_str!("../../testdata/production.yaml");

#[derive(Debug, Default)]
struct FakeEnv(BTreeMap<&'static str, &'static str>);

impl Env for FakeEnv {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let found = path.to_str().and_then(|path| self.0.get(path));
        found.map(|&text| text.to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn env() -> FakeEnv {
    FakeEnv(BTreeMap::from([
        ("ACME_HEADERS", "Authorization: Bearer s3cret\n"),
        ("FOURTH_RPC", "https://fourth.example/s3cret"),
        ("AUDIT_RPC", "https://audit.example/s3cret"),
        ("CONFLUX_RPC", "http://10.0.2.102:8545/s3cret"),
        ("HSM_PIN", "user:s3cret"),
        ("REDIS_PASSWORD", "s3cret"),
        ("POSTGRES_PASSWORD", "s3cret"),
        ("AK_ID", "LTAI-s3cret"),
        ("/etc/kms-ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        (
            "/run/secrets/gcp.json",
            r#"{"type":"service_account","project_id":"p","client_email":"dvn@p.iam.gserviceaccount.com",
                "private_key_id":"s3cret","private_key":"s3cret"}"#,
        ),
        ("GAS_PIN", "s3cret-too"),
        ("DVN_DEV_KEY", "s3cret-key"),
        ("/run/secrets/gas-pin", "s3cret-in-a-file\n"),
    ]))
}

/// The problems of a text, as lines.
fn problems(text: &str) -> Vec<String> {
    problems_in(text, &env())
}

fn problems_in(text: &str, env: &FakeEnv) -> Vec<String> {
    match Config::parse(text, env) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

fn production() -> Config {
    Config::parse(PRODUCTION, &env()).unwrap()
}

#[test]
fn a_production_file_parses_to_what_it_says() {
    let config = production();
    let service = &config.service;
    assert_eq!((service.name.as_str(), service.region.as_deref()), ("dvn-node-1", Some("aws-us-east-1")));
    assert_eq!((service.log_level.as_str(), service.log_format), ("info,dvn_chain=debug", LogFormat::Json));
    assert_eq!(service.environment, Environment::Production);
    assert_eq!(service.data_dir, PathBuf::from("/var/lib/dvn"));
    assert_eq!(service.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(
        config.sources.iter().map(|it| it.network.name.as_str()).collect::<Vec<_>>(),
        ["ethereum", "arbitrum", "conflux"]
    );
    assert_eq!(config.targets.iter().map(|it| it.network.name.as_str()).collect::<Vec<_>>(), ["conflux", "arbitrum"]);
    assert_eq!((config.signing.quorum, config.signing.total_signers), (1, 1));
    assert_eq!(config.signing.timeout, Duration::from_secs(20));
    assert_eq!(config.signing.takeover, Duration::from_secs(5));
    assert_eq!(config.signing.expiration, Duration::from_secs(600));
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let warnings: Vec<_> = production().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 98: signing.journal_mirror: /var/lib/dvn/journal.head is inside `service.data_dir`: a copy of the folder that is put back brings both back, and nobody sees that signatures are forgotten; keep it on another disk",
            "line 99: signing.quorum: with a quorum of 1 nothing fences a second host with the same key and a journal of its own: make sure that there is none, standbys included",
            "line 34: source_chains.arbitrum.rpc: no seat has `role: audit`: what is attested is looked at again by the seats that voted on it, two minutes later",
            "line 47: source_chains.conflux.rpc: no seat has `role: audit`: what is attested is looked at again by the seats that voted on it, two minutes later",
        ]
    );
}

#[test]
fn pushed_heads_are_for_the_voting_seats_of_sources() {
    let warned = |seat: &str, of: &str| {
        let from = format!("operator: {seat}");
        let text = PRODUCTION.replace(&from, &format!("{from}, ws: \"wss://node.example/s3cret\""));
        assert_ne!(text, PRODUCTION, "{seat}");
        let warnings: Vec<_> = Config::parse(&text, &env()).unwrap().warnings.iter().map(ToString::to_string).collect();
        assert!(!warnings.concat().contains("s3cret"), "{warnings:?}");
        warnings.iter().any(|warning| warning.contains(of))
    };
    assert!(warned("third", "source_chains.ethereum.rpc.seats[4].ws: has no effect"));
    assert!(!warned("acme", "has no effect"));
}

#[test]
fn limits_of_seats_are_read_and_checked() {
    let with = |limits: &str| PRODUCTION.replace("operator: acme", &format!("operator: acme, {limits}"));
    let config = Config::parse(&with("rate: 25, burst: 50, daily_budget: 1000000"), &env()).unwrap();
    let rpc = &config.sources[0].network.rpc;
    let limits = rpc.seats[2].limits;
    assert_eq!(limits.rate.map(u32::from), Some(25));
    assert_eq!(limits.burst.map(u32::from), Some(50));
    assert_eq!(limits.daily_budget.map(u64::from), Some(1_000_000));
    assert_eq!(rpc.seats[0].limits, dvn_chain::SeatLimits::default());
    let seat = "source_chains.ethereum.rpc.seats[2]";
    for (limits, problem) in
        [("rate: 0", "rate"), ("daily_budget: 0", "daily_budget"), ("burst: 5", "burst: is nothing")]
    {
        let problems = problems(&with(limits));
        assert!(problems.iter().any(|it| it.contains(&format!("{seat}.{problem}"))), "{problems:?}");
    }
}

#[test]
fn the_journals_mirror_is_in_the_data_folder_unless_it_is_put_elsewhere() {
    let config = production();
    assert_eq!(config.signing.journal_mirror, PathBuf::from("/var/lib/dvn/journal.head"));
    let warned = |path: &str| {
        let text = PRODUCTION.replacen("signing:\n", &format!("signing:\n  journal_mirror: {path}\n"), 1);
        let config = Config::parse(&text, &env()).unwrap();
        assert_eq!(config.signing.journal_mirror, PathBuf::from(path));
        config.warnings.iter().any(|warning| warning.path == "signing.journal_mirror")
    };
    assert!(warned("/var/lib/dvn/other/journal.head"));
    assert!(!warned("/var/lib/dvn-mirror/journal.head") && !warned("/mnt/other/journal.head"));
}

#[test]
fn a_source_keeps_every_setting() {
    let ethereum = production().sources.remove(0);
    let network = &ethereum.network;
    assert_eq!((network.chain_id, network.eid, network.class), (1, Eid(30101), ChainClass::Ethereum));
    assert_eq!((network.confirmations, network.finality), (Confirmations(12), Finality::Finalized));
    assert_eq!((network.block_time, ethereum.start_block), (Duration::from_secs(12), Some(BlockNumber(19_000_000))));
    assert_eq!((ethereum.cool_down, ethereum.uniform_queries), (Duration::from_secs(30), false));
    assert_eq!(ethereum.contracts.endpoint, address!("1a44076050125825900e736c501f859c50fE728c"));
    assert_eq!(ethereum.contracts.send_libs, [address!("bB2Ea70C9E858123480642Cf96acbcCE1372dCe1")]);
    assert_eq!(ethereum.contracts.dvn, address!("00000000000000000000000000000000000000d1"));

    let rpc = &network.rpc;
    assert_eq!((rpc.threshold.need(), rpc.threshold.seats()), (3, 4));
    assert_eq!(rpc.quotas, Quotas { operators: 2, clients: 2, own: 1, third_party: 1 });
    assert_eq!(rpc.audit.iter().map(|seat| seat.operator.as_str()).collect::<Vec<_>>(), ["third"]);
    let (own, acme, other) = (&rpc.seats[0], &rpc.seats[2], &rpc.seats[3]);
    assert_eq!(own.url.expose().as_str(), "http://10.0.2.100:8545/");
    assert_eq!(own.ws.as_ref().unwrap().expose().as_str(), "ws://10.0.2.100:8546/");
    assert_eq!((own.operator.as_str(), own.client.as_deref()), ("self", Some("geth")));
    let headers: Vec<_> = acme.headers.iter().map(|(name, value)| (name, value.expose_secret())).collect();
    assert_eq!(headers, [("Authorization", "Bearer s3cret")]);
    assert_eq!(other.url.expose().as_str(), "https://fourth.example/s3cret");
}

#[test]
fn what_is_left_out_has_defaults() {
    let config = production();
    let arbitrum = &config.sources[1];
    assert_eq!(arbitrum.network.class, ChainClass::Arbitrum, "of the well-known chain id");
    assert_eq!(arbitrum.network.block_time, Duration::from_millis(250));
    assert_eq!((arbitrum.network.finality, arbitrum.network.confirmations), (Finality::Finalized, Confirmations(1)));
    assert_eq!(arbitrum.network.rpc.threshold.need(), 3, "of three seats, none may lie");
    assert_eq!(arbitrum.start_block, None);
    assert_eq!(arbitrum.contracts.send_libs.len(), 2);
    let target = &config.targets[1];
    assert_eq!(target.batch, Batch { max_items: 25, max_wait: Duration::from_secs(2) });
    assert_eq!(
        target.fees,
        Fees { max_fee: 200_000_000_000, max_priority: 5_000_000_000, daily_budget: None, low_balance: None }
    );
}

#[test]
fn a_target_keeps_every_setting_and_shares_the_rpc_of_its_name() {
    let config = production();
    let conflux = &config.targets[0];
    assert_eq!(conflux.network.rpc, config.sources[2].network.rpc);
    assert_eq!(conflux.network.rpc.seats[0].url.expose().as_str(), "http://10.0.2.102:8545/s3cret");
    assert_eq!(conflux.contracts.receive_libs, [address!("16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347")]);
    assert_eq!(conflux.batch, Batch { max_items: 10, max_wait: Duration::from_millis(500) });
    assert_eq!(
        conflux.fees,
        Fees {
            max_fee: 100_500_000_000,
            max_priority: 1_000_000_000,
            daily_budget: Some(2_500_000_000_000_000_000),
            low_balance: Some(250_000_000_000_000_000)
        }
    );
    assert!(conflux.signer.is_none());
    assert_eq!(pkcs11(config.targets[1].signer.as_ref().unwrap()).key_label, "dvn-arbitrum-key");
}

#[test]
fn keys_name_their_device() {
    let config = production();
    let hsm = pkcs11(&config.hsm);
    assert_eq!(config.hsm.address, Some(address!("00000000000000000000000000000000000000a1")));
    assert_eq!(hsm.library, PathBuf::from("/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"));
    assert_eq!((hsm.token_label.as_deref(), hsm.key_label.as_str(), hsm.sessions), (None, "dvn-signing-key", 2));
    assert_eq!(hsm.pin.expose_secret(), "user:s3cret");
    let sender = pkcs11(&config.targets[0].senders[0]);
    assert_eq!((sender.token_label.as_deref(), sender.sessions), (Some("gas"), 1));
    assert_eq!(sender.pin.expose_secret(), "s3cret-in-a-file", "without the line end");
}

#[test]
fn the_environment_overrides_the_cloudhsm_library() {
    let mut env = env();
    env.0.insert("CLOUDHSM_PKCS11_LIBRARY", "/elsewhere.so");
    assert_eq!(pkcs11(&Config::parse(PRODUCTION, &env).unwrap().hsm).library, PathBuf::from("/elsewhere.so"));
}

#[test]
fn nothing_secret_is_printed() {
    let printed = format!("{:?}", production());
    assert!(!printed.contains("s3cret") && !printed.contains("KEY"), "{printed}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("absent.yaml"), &env()).unwrap_err();
    assert_eq!(error.to_string(), "configuration file absent.yaml cannot be read");
}

fn pkcs11(key: &Key) -> &Pkcs11 {
    match &key.device {
        Device::Pkcs11(pkcs11) => pkcs11,
        _ => panic!("not a PKCS#11 key"),
    }
}
