//! Every story runs to its end and tells what it promises.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop the test when something is off")]

use std::process::Command;

use dvn_testkit::{
    aws_kms::{ACCESS_KEY_ID, AwsKms, REGION, SECRET_ACCESS_KEY},
    gcp_kms::GcpKms,
    toolchain::Toolchain,
};

/// What a program prints on standard output, or nothing where the toolchain is absent.
fn told(story: &str, program: &str) -> Option<String> {
    Toolchain::for_test(story)?;
    Some(printed(&mut Command::new(program)))
}

/// What a program prints on standard output.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}\n{told}\n{errors}", output.status);
    told
}

fn lines<'a>(told: &'a str, part: &str) -> Vec<&'a str> {
    told.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn an_embedded_dvn_attests_through_the_relayers_own_wallet() {
    let Some(told) = told("embed", env!("CARGO_BIN_EXE_embed")) else { return };
    let committed = lines(&told, " → submitted → attested → committed");
    assert_eq!(committed.len(), 5, "{told}");
    assert!(!lines(&told, "is mined in transaction").is_empty(), "{told}");
    assert!(told.ends_with("stopped cleanly\n"), "{told}");
}

#[test]
fn a_verifier_of_ones_own_has_a_packet_refused_that_ours_would_take() {
    let Some(told) = told("custom_verifier", env!("CARGO_BIN_EXE_custom_verifier")) else { return };
    let (customer, stranger) = (lines(&told, "customer's packet"), lines(&told, "stranger's packet"));
    assert!(matches!(customer.as_slice(), [line] if line.ends_with("→ committed")), "{told}");
    assert!(matches!(stranger.as_slice(), [line] if line.ends_with("→ refused") && !line.contains("signed")), "{told}");
}

#[test]
fn a_watcher_sees_the_genuine_packets_alone() {
    let Some(told) = told("watch_only", env!("CARGO_BIN_EXE_watch_only")) else { return };
    assert_eq!(lines(&told, ": would be attested").len(), 3, "{told}");
    assert_eq!(lines(&told, "packet ").len(), 3, "{told}");
}

#[test]
fn a_key_of_aws_kms_signs_and_gives_out_nothing_wrong() {
    let told = printed(&mut Command::new(env!("CARGO_BIN_EXE_aws_kms")));
    assert_eq!(lines(&told, "signed by 0x").len(), 3, "{told}");
    assert_eq!(lines(&told, "returned a wrong signature").len(), 1, "{told}");
    assert_eq!(lines(&told, "DisabledException").len(), 1, "{told}");
}

#[test]
fn a_key_that_the_environment_names_is_used() {
    let kms = AwsKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_aws_kms"));
    command.env("DVN_AWS_KEY_ID", key.arn).env("AWS_REGION", REGION).env("DVN_AWS_ENDPOINT", kms.url().as_str());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let told = printed(&mut command);
    assert_eq!((lines(&told, "signed by 0x").len(), kms.asked("Sign")), (1, 2), "{told}");
}

#[test]
fn a_key_of_google_cloud_kms_signs_and_gives_out_nothing_wrong() {
    let told = printed(Command::new(env!("CARGO_BIN_EXE_gcp_kms")).env_remove("DVN_GCP_KEY"));
    assert_eq!(lines(&told, "is signed by 0x").len(), 4, "{told}");
    assert_eq!(lines(&told, "does not recover to the key's address").len(), 1, "{told}");
    assert_eq!(lines(&told, "state DISABLED").len(), 1, "{told}");
}

#[test]
fn a_key_of_google_cloud_kms_that_the_environment_names_is_used() {
    let kms = GcpKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gcp_kms"));
    command.env("DVN_GCP_KEY", key.resource()).env("DVN_GCP_ENDPOINT", kms.url().as_str());
    let told = printed(&mut command);
    let asked = (kms.asked("ListCryptoKeyVersions"), kms.asked("AsymmetricSign"));
    assert_eq!((lines(&told, "is signed by 0x").len(), asked), (1, (0, 2)), "{told}");
}

#[test]
fn a_key_of_aliyun_kms_signs_and_gives_out_nothing_wrong() {
    let told = printed(Command::new(env!("CARGO_BIN_EXE_aliyun_kms")).env_remove("DVN_ALIYUN_KEY_ID"));
    assert_eq!(lines(&told, "is signed by 0x").len(), 3, "{told}");
    assert_eq!(lines(&told, "does not recover to the key's address").len(), 1, "{told}");
    assert_eq!(lines(&told, "Rejected.Disabled").len(), 1, "{told}");
}

#[test]
fn a_key_of_a_token_signs_and_outlives_its_absence() {
    if dvn_hsm::softhsm::locate().is_none() && std::env::var_os("DVN_TEST_REQUIRE").is_none() {
        return;
    }
    let told = printed(Command::new(env!("CARGO_BIN_EXE_pkcs11")).env_remove("DVN_PKCS11_LIBRARY"));
    assert_eq!(lines(&told, "is signed by 0x").len(), 2, "{told}");
}
