//! What is wrong with the block of Alibaba Cloud's service.

use super::*;

/// The chosen provider with this block gives these problems.
fn blocks(cases: &[(&str, &[&str])]) {
    let file = PRODUCTION.replace("provider: aws\n  address", "provider: aliyun\n  address");
    let placeholders = "aliyun: { region: cn-hangzhou, key_id: key-xxx, key_version_id: \"...\" }";
    for (block, expected) in cases {
        let found = edited(&file, placeholders, &format!("aliyun: {{ {block} }}"));
        let found: Vec<_> = found.iter().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
        assert_eq!(found, *expected, "{block}");
    }
}

const ROLE: &str = "the RAM role of the ECS instance that this runs on, or `access_key_id_env` and \
                    `access_key_secret_env`";

#[test]
fn placeholders_and_credentials_are_asked_for() {
    production(&[(
        "provider: aws\n  address",
        "provider: aliyun\n  address",
        &[
            "hsm.aliyun.key_id: `key-xxx` is a placeholder for the key's id or alias, as the KMS console shows it",
            "hsm.aliyun.key_version_id: `...` is a placeholder for the id of the key's version, which may be left out",
            &format!("hsm.aliyun.ram_role: missing: {ROLE}"),
        ],
    )]);
    blocks(&[
        ("region: cn-hangzhou, key_id: k, ram_role: dvn", &[]),
        ("region: cn-hangzhou, key_id: alias/dvn, key_version_id: v, ram_role: dvn", &[]),
        ("region: cn-hangzhou, key_id: k, access_key_id_env: AK_ID, access_key_secret_env: HSM_PIN", &[]),
        (
            "region: cn-hangzhou, key_id: k, access_key_id_env: AK_ID, access_key_secret_env: HSM_PIN, \
             security_token_env: HSM_PIN",
            &[],
        ),
        (
            "region: cn-hangzhou, key_id: k, access_key_id_env: AK_ID",
            &[
                "hsm.aliyun.access_key_secret_env: missing: name the environment variable that holds it, or give `access_key_secret_file`",
            ],
        ),
        (
            "region: cn-hangzhou, key_id: k, security_token_env: HSM_PIN",
            &[
                "hsm.aliyun.access_key_id_env: missing: name the environment variable that holds it, or give `access_key_id_file`",
                "hsm.aliyun.access_key_secret_env: missing: name the environment variable that holds it, or give `access_key_secret_file`",
            ],
        ),
        (
            "region: cn-hangzhou, key_id: k, access_key_id_env: s3cret, access_key_secret_env: HSM_PIN",
            &[
                "hsm.aliyun.access_key_id_env: must be the name of an environment variable in upper case, such as HSM_PIN, and never the secret itself",
            ],
        ),
        (
            "region: cn-hangzhou, key_id: k, access_key_id_env: AK_ID, ram_role: dvn",
            &["hsm.aliyun.access_key_id_env: `ram_role` is given as well: keep one of the two"],
        ),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn/../x",
            &["hsm.aliyun.ram_role: `dvn/../x` is not a name: use 1 to 64 letters, digits, `-` and `_`"],
        ),
    ]);
}

#[test]
fn places_are_checked() {
    blocks(&[
        (
            "region: CN Hangzhou, key_id: k, ram_role: dvn",
            &["hsm.aliyun.region: `CN Hangzhou` is not a region: write it like cn-hangzhou"],
        ),
        (
            "key_id: k, ram_role: dvn, regoin: cn-hangzhou",
            &[
                "hsm.aliyun.region: missing: the region that holds the key",
                "hsm.aliyun.regoin: unknown key; the nearest valid one is `region`",
            ],
        ),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn, endpoint: kms-vpc.cn-hangzhou.aliyuncs.com",
            &["hsm.aliyun.endpoint: not a URL: relative URL without a base"],
        ),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn, endpoint: 'http://kms-vpc.cn-hangzhou.aliyuncs.com'",
            &[
                "hsm.aliyun.endpoint: must start with https://, since whoever listens could read the security token and answer for it",
            ],
        ),
        ("region: cn-hangzhou, key_id: k, ram_role: dvn, endpoint: 'https://kms-vpc.cn-hangzhou.aliyuncs.com'", &[]),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn, endpoint: 'https://kst-1.cryptoservice.kms.aliyuncs.com'",
            &["hsm.aliyun.key_version_id: missing: the gateway of a KMS instance cannot be asked for the versions"],
        ),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn, ca_file: /run/s3cret",
            &["hsm.aliyun.ca_file: the file that it names cannot be read: entity not found"],
        ),
        (
            "region: cn-hangzhou, key_id: k, ram_role: dvn, ca_file: /run/secrets/gas-pin",
            &["hsm.aliyun.ca_file: the file that it names holds no certificate in PEM"],
        ),
        ("region: cn-hangzhou, key_id: k, ram_role: dvn, ca_file: /etc/kms-ca.pem", &[]),
    ]);
}

#[test]
fn the_gas_account_is_another_key_there_too() {
    let file = PRODUCTION.replace("provider: aws\n  address", "provider: aliyun\n  address");
    let file = file.replace("key_id: key-xxx, key_version_id: \"...\"", "key_id: k, ram_role: dvn");
    let gas = "provider: pkcs11\n      pkcs11: { library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: arbitrum-gas, pin_env: GAS_PIN }";
    let with = |key: &str| {
        format!("provider: aliyun\n      aliyun: {{ region: cn-hangzhou, key_id: {key}, ram_role: other }}")
    };
    let found = edited(&file, gas, &with("k"));
    let same =
        "target_chains.arbitrum.sender: is an attesting key: give the account that pays for gas a key of its own";
    assert!(found.iter().any(|line| line.ends_with(same)), "{found:?}");
    assert_eq!(edited(&file, gas, &with("gas")), [""; 0]);
}
