//! What is wrong with keys and the devices that hold them.

use super::*;

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
    let absent = "this provider is not in this build: choose another one";
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

#[cfg(not(feature = "aliyun"))]
#[test]
fn aliyun_is_refused_where_it_is_not_built() {
    let absent = "hsm.aliyun: this provider is not in this build: choose another one";
    production(&[("provider: aws\n  address", "provider: aliyun\n  address", &[absent])]);
}

#[cfg(feature = "aliyun")]
mod aliyun {
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
            (
                "region: cn-hangzhou, key_id: k, ram_role: dvn, endpoint: 'https://kms-vpc.cn-hangzhou.aliyuncs.com'",
                &[],
            ),
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
}
