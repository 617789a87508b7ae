//! What is wrong with keys and the devices that hold them.

#[cfg(feature = "aliyun")]
mod aliyun;
#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "gcp-kms")]
mod gcp;

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
fn several_gas_accounts_have_keys_of_their_own() {
    let item = |label: &str| {
        format!(
            "- provider: pkcs11\n        pkcs11: {{ library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: {label}, pin_env: GAS_PIN }}"
        )
    };
    let gas = "provider: pkcs11\n      pkcs11: { library: /usr/lib/softhsm/libsofthsm2.so, token_label: gas, key_label: arbitrum-gas, pin_env: GAS_PIN }";
    let two = |first: &str, second: &str| format!("{}\n      {}", item(first), item(second));
    production(&[
        (gas, &two("one", "two"), &[]),
        (
            gas,
            &two("one", "one"),
            &["target_chains.arbitrum.sender[1]: is listed twice: give each sender a key of its own"],
        ),
        (
            gas,
            &two("one", "two").replace("key_label: two, ", ""),
            &["target_chains.arbitrum.sender[1].pkcs11.key_label: missing: the label of the key in the token"],
        ),
        (
            &format!("sender:\n      {gas}"),
            "sender: []",
            &[
                "target_chains.arbitrum.sender: missing: the account with ADMIN_ROLE on the DVN contract that pays for gas; say which `provider` holds its key",
            ],
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
fn a_provider_that_is_not_built_is_refused() {
    let built = [
        ("aliyun", cfg!(feature = "aliyun")),
        ("aws-kms", cfg!(feature = "aws-kms")),
        ("gcp", cfg!(feature = "gcp-kms")),
    ];
    for (word, _) in built.iter().filter(|(_, is_built)| !is_built) {
        let chosen = format!("provider: {word}\n  address");
        let absent = format!("hsm.{word}: this provider is not in this build: choose another one");
        production(&[("provider: aws\n  address", &chosen, &[&absent])]);
    }
}
