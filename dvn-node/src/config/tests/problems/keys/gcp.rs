//! What is wrong with the block of Google Cloud's service.

use super::*;
use crate::config::Gcp;

const CHOSEN: (&str, &str) = ("provider: aws\n  address", "provider: gcp\n  address");
const BLOCK: &str =
    "gcp: { project: p, location: asia-northeast1, key_ring: dvn-keyring, key_name: signing-key, key_version: \"1\" }";
const KEY: &str = "project: p, location: asia-northeast1, key_ring: r, key_name: k";

fn chosen(block: &str) -> String {
    PRODUCTION.replace(CHOSEN.0, CHOSEN.1).replace(BLOCK, &format!("gcp: {{ {block} }}"))
}

/// The chosen provider with this block gives these problems.
fn blocks(cases: &[(&str, &[&str])]) {
    for (block, expected) in cases {
        let found = edited(&chosen(block), "hsm:", "hsm:");
        let found: Vec<_> = found.iter().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
        assert_eq!(found, *expected, "{block}");
    }
}

/// These keys beside a good name.
fn beside(cases: &[(&str, &[&str])]) {
    let whole = cases.iter().map(|(more, expected)| (format!("{KEY}, {more}"), *expected)).collect::<Vec<_>>();
    blocks(&whole.iter().map(|(block, expected)| (block.as_str(), *expected)).collect::<Vec<_>>());
}

fn parsed(file: &str) -> Gcp {
    match Config::parse(file, &env()).unwrap().hsm.device {
        Device::Gcp(key) => *key,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_block_parses_to_what_it_says() {
    let short = parsed(&chosen(KEY));
    let name = [&short.project, &short.location, &short.key_ring, &short.key_name].map(String::as_str);
    assert_eq!(name, ["p", "asia-northeast1", "r", "k"]);
    assert!(short.key_version.is_none() && short.endpoint.is_none());
    assert_eq!(format!("{:?}", short.credentials), "GcpCredentials(application default)");
    let whole = parsed(&chosen(&format!(
        "{KEY}, key_version: 12, endpoint: 'https://cloudkms.asia-northeast1.rep.googleapis.com', \
         credentials_file: /run/secrets/gcp.json"
    )));
    assert_eq!(whole.key_version.as_deref(), Some("12"));
    assert_eq!(whole.endpoint.unwrap().to_string(), "https://cloudkms.asia-northeast1.rep.googleapis.com");
    let shown = format!("{:?}", whole.credentials);
    assert_eq!(shown, "GcpCredentials(service account \"dvn@p.iam.gserviceaccount.com\")");
}

#[test]
fn each_part_of_the_name_is_looked_at() {
    production(&[(CHOSEN.0, CHOSEN.1, &[])]);
    blocks(&[
        (
            "project: your-project, location: '...', key_ring: <ring>, key_name: key-xxx, key_version: '...'",
            &[
                "hsm.gcp.project: `your-project` is a placeholder for the id of the project that holds the key",
                "hsm.gcp.location: `...` is a placeholder for the location of the key ring",
                "hsm.gcp.key_ring: `<ring>` is a placeholder for the name of the key ring",
                "hsm.gcp.key_name: `key-xxx` is a placeholder for the name of the key",
                "hsm.gcp.key_version: `...` is a placeholder for the number of the key's version, which may be left out",
            ],
        ),
        (
            "project: p, location: asia-northeast1, key_rin: r, key_name: k",
            &[
                "hsm.gcp.key_ring: missing: the name of the key ring",
                "hsm.gcp.key_rin: unknown key; the nearest valid one is `key_ring`",
            ],
        ),
        (
            "project: p/locations, location: Tokyo, key_ring: keyRings/r, key_name: k/cryptoKeyVersions/1",
            &[
                "hsm.gcp.project: `p/locations` is not a project: write its id, such as my-project, or its number",
                "hsm.gcp.location: `Tokyo` is not a region: write it like asia-northeast1",
                "hsm.gcp.key_ring: `keyRings/r` is not a name: use 1 to 64 letters, digits, `-` and `_`",
                "hsm.gcp.key_name: `k/cryptoKeyVersions/1` is not a name: use 1 to 64 letters, digits, `-` and `_`",
            ],
        ),
        ("project: 'example.com:p-1', location: global, key_ring: r_1, key_name: K-2", &[]),
    ]);
    beside(&[
        ("key_version: latest", &["hsm.gcp.key_version: `latest` is not a version: write its number, such as 1"]),
        ("key_version: 7", &[]),
    ]);
}

#[test]
fn no_token_goes_where_others_listen() {
    let https = "hsm.gcp.endpoint: must start with https://, since whoever listens could read the security token and answer for it";
    let both =
        "hsm.gcp.credentials_file: whoever listens at an http:// endpoint could take the token: remove one of the two";
    beside(&[
        ("endpoint: cloudkms.googleapis.com", &["hsm.gcp.endpoint: not a URL: relative URL without a base"]),
        ("endpoint: 'http://cloudkms.googleapis.com'", &[https]),
        ("endpoint: 'http://127.0.0.1:81', credentials_file: /run/secrets/gcp.json", &[https, both]),
        ("endpoint: 'https://kms-psc.p.googleapis.com', credentials_file: /run/secrets/gcp.json", &[]),
    ]);
    let dev = chosen(&format!("{KEY}, endpoint: 'http://127.0.0.1:81'"))
        .replace("environment: production", "environment: dev");
    assert_eq!(format!("{:?}", parsed(&dev).credentials), "GcpCredentials(nobody)");
}

#[test]
fn a_credentials_file_is_the_key_of_a_service_account() {
    let file = "hsm.gcp.credentials_file: the file that it names";
    beside(&[
        ("credentials_file: /run/s3cret", &[&format!("{file} cannot be read: entity not found")]),
        (
            "credentials_file: /run/secrets/gas-pin",
            &[&format!(
                "{file} is not the key of a service account: JSON with type, project_id, client_email and private_key is expected"
            )],
        ),
    ]);
}

#[test]
fn the_gas_account_is_another_key_there_too() {
    let gas = "provider: pkcs11\n      pkcs11: { library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: arbitrum-gas, pin_env: GAS_PIN }";
    let found = |pays: &str| {
        let pays = format!("provider: gcp\n      gcp: {{ {pays} }}");
        let found = edited(&chosen(&format!("{KEY}, key_version: 1")), gas, &pays);
        found.iter().any(|line| line.contains("target_chains.arbitrum.sender: is an attesting key"))
    };
    assert!(found(&format!("{KEY}, key_version: 1, credentials_file: /run/secrets/gcp.json")));
    assert!(!found(&format!("{KEY}, key_version: 2")), "another version is another key");
    assert!(!found("project: p, location: asia-northeast1, key_ring: r, key_name: gas, key_version: 1"));
}
