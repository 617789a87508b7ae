//! What is wrong with the block of AWS's service.

use super::*;
use crate::config::{AwsCredentials, AwsKms};

const CHOSEN: (&str, &str) = ("provider: aws\n  address", "provider: aws-kms\n  address");
const PLACEHOLDERS: &str = "aws-kms: { region: us-east-1, key_id: \"arn:aws:kms:...\" }";

fn chosen(block: &str) -> String {
    PRODUCTION.replace(CHOSEN.0, CHOSEN.1).replace(PLACEHOLDERS, &format!("aws-kms: {{ {block} }}"))
}

/// The chosen provider with this block gives these problems.
fn blocks(cases: &[(&str, &[&str])]) {
    for (block, expected) in cases {
        let found = edited(&chosen(block), "hsm:", "hsm:");
        let found: Vec<_> = found.iter().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
        assert_eq!(found, *expected, "{block}");
    }
}

fn parsed(block: &str) -> AwsKms {
    match Config::parse(&chosen(block), &env()).unwrap().hsm.device {
        Device::AwsKms(key) => *key,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_block_parses_to_what_it_says() {
    let short = parsed("region: us-east-1, key_id: alias/dvn");
    assert_eq!((short.region.as_str(), short.key_id.as_str()), ("us-east-1", "alias/dvn"));
    assert!(short.endpoint.is_none() && short.ca.is_none() && !short.is_fips);
    assert!(matches!(short.credentials, AwsCredentials::DefaultChain));
    let whole = parsed(
        "region: us-east-1, key_id: k, endpoint: 'https://vpce-1.kms.us-east-1.vpce.amazonaws.com', \
         ca_file: /etc/kms-ca.pem, access_key_id_env: AK_ID, secret_access_key_env: HSM_PIN, session_token_env: GAS_PIN",
    );
    assert_eq!(whole.endpoint.unwrap().to_string(), "https://vpce-1.kms.us-east-1.vpce.amazonaws.com");
    assert!(whole.ca.unwrap().contains("BEGIN CERTIFICATE"));
    let AwsCredentials::AccessKey { id, secret, token } = whole.credentials else { unreachable!() };
    let told = [&id, &secret, &token.unwrap()].map(|part| part.expose_secret().to_owned());
    assert_eq!(told, ["LTAI-s3cret", "user:s3cret", "s3cret-too"]);
    assert!(parsed("region: us-east-1, key_id: k, fips: true").is_fips);
}

#[test]
fn placeholders_and_names_are_looked_at() {
    let placeholder = "hsm.aws-kms.key_id: `arn:aws:kms:...` is a placeholder for the key's ARN, id or alias";
    production(&[(CHOSEN.0, CHOSEN.1, &[placeholder])]);
    let no_key = |text: &str| {
        format!(
            "hsm.aws-kms.key_id: `{text}` names no key of KMS: write its id, alias/NAME, or \
             arn:aws:kms:REGION:ACCOUNT:key/ID"
        )
    };
    blocks(&[
        ("region: us-east-1, key_id: 1234abcd-12ab-34cd-56ef-1234567890ab", &[]),
        ("region: us-east-1, key_id: 'arn:aws:kms:us-east-1:111122223333:key/mrk-1234'", &[]),
        ("region: us-east-1, key_id: 'arn:aws:kms:us-east-1:111122223333:alias/dvn'", &[]),
        (
            "region: us-east-1, key_id: 'arn:aws:iam::111122223333:role/dvn'",
            &[&no_key("arn:aws:iam::111122223333:role/dvn")],
        ),
        ("region: us-east-1, key_id: 'arn:aws:kms:us-east-1:key/1'", &[&no_key("arn:aws:kms:us-east-1:key/1")]),
        (
            "region: us-east-1, key_id: 'arn:aws:kms:us-west-2:111122223333:key/1234'",
            &["hsm.aws-kms.key_id: is a key of us-west-2, and `region` is us-east-1: write the region of the key"],
        ),
        ("region: US East, key_id: k", &["hsm.aws-kms.region: `US East` is not a region: write it like eu-central-1"]),
        (
            "key_id: k, regoin: us-east-1",
            &[
                "hsm.aws-kms.region: missing: the region that holds the key",
                "hsm.aws-kms.regoin: unknown key; the nearest valid one is `region`",
            ],
        ),
    ]);
}

#[test]
fn the_way_is_checked() {
    blocks(&[
        (
            "region: us-east-1, key_id: k, endpoint: 'http://vpce-1.kms.us-east-1.vpce.amazonaws.com'",
            &[
                "hsm.aws-kms.endpoint: must start with https://, since whoever listens could read the security token and answer for it",
            ],
        ),
        (
            "region: us-east-1, key_id: k, endpoint: 'https://vpce-1.kms.us-east-1.vpce.amazonaws.com', fips: true",
            &["hsm.aws-kms.fips: `endpoint` is given as well: keep one of the two, since FIPS is the region's own"],
        ),
        (
            "region: us-east-1, key_id: k, fips: yes please",
            &["hsm.aws-kms.fips: `yes please` is neither true nor false"],
        ),
        (
            "region: us-east-1, key_id: k, ca_file: /run/s3cret",
            &["hsm.aws-kms.ca_file: the file that it names cannot be read: entity not found"],
        ),
        (
            "region: us-east-1, key_id: k, ca_file: /run/secrets/gas-pin",
            &["hsm.aws-kms.ca_file: the file that it names holds no certificate in PEM"],
        ),
    ]);
}

#[test]
fn an_access_key_is_whole_or_absent() {
    let name =
        "must be the name of an environment variable in upper case, such as HSM_PIN, and never the secret itself";
    let missing = |key: &str| {
        format!("hsm.aws-kms.{key}_env: missing: name the environment variable that holds it, or give `{key}_file`")
    };
    blocks(&[
        ("region: us-east-1, key_id: k, access_key_id_env: AK_ID, secret_access_key_env: HSM_PIN", &[]),
        ("region: us-east-1, key_id: k, access_key_id_env: AK_ID", &[&missing("secret_access_key")]),
        (
            "region: us-east-1, key_id: k, session_token_env: HSM_PIN",
            &[&missing("access_key_id"), &missing("secret_access_key")],
        ),
        (
            "region: us-east-1, key_id: k, access_key_id_env: s3cret, secret_access_key_env: HSM_PIN",
            &[&format!("hsm.aws-kms.access_key_id_env: {name}")],
        ),
        (
            "region: us-east-1, key_id: k, access_key_id: AK_ID, secret_access_key_env: HSM_PIN",
            &[
                &missing("access_key_id"),
                "hsm.aws-kms.access_key_id: unknown key; the nearest valid one is `access_key_id_env`",
            ],
        ),
    ]);
}

#[test]
fn the_gas_account_is_another_key_there_too() {
    let gas = "provider: pkcs11\n      pkcs11: { library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: arbitrum-gas, pin_env: GAS_PIN }";
    let found = |attests: &str, pays: &str| {
        let pays = format!("provider: aws-kms\n      aws-kms: {{ {pays} }}");
        let found = edited(&chosen(attests), gas, &pays);
        found.iter().any(|line| line.contains("target_chains.arbitrum.sender: is an attesting key"))
    };
    let arn = |region: &str, id: &str| format!("region: {region}, key_id: 'arn:aws:kms:{region}:1:key/{id}'");
    let one = "region: us-east-1, key_id: 1234";
    assert!(found(one, one));
    assert!(found(one, &arn("us-east-1", "1234")), "an ARN ends in the id");
    assert!(!found(one, &arn("us-east-1", "5678")));
    assert!(!found(one, &arn("us-west-2", "1234")));
    assert!(found(&arn("us-east-1", "mrk-1"), &arn("us-west-2", "mrk-1")), "a key of several regions");
}
