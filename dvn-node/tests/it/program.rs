//! The program as an operator starts it: exit codes, signals and ports.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use dvn_testkit::softhsm::SoftHsm;

const DEV: &str = include_str!("../../testdata/dev.yaml");
const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";

fn node(folder: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dvn-node"));
    command.current_dir(folder).args(line).env("DVN_DEV_KEY", KEY).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What an operator says before a node's first start.
fn begin(folder: &Path) {
    let begun = node(folder, &["journal", "init", "--key-is-new", "--reason", "first start"]).output().unwrap();
    assert_eq!(code(&begun), Some(0), "{}", String::from_utf8_lossy(&begun.stderr));
}

/// A folder whose `config.yaml` listens on this address.
fn folder(listen: SocketAddr) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = DEV.replace("127.0.0.1:8080", &listen.to_string());
    std::fs::write(folder.path().join("config.yaml"), config).unwrap();
    folder
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn health(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Waits for the first answer, for as long as the process lives.
fn until_up(child: &mut Child, address: SocketAddr) -> String {
    loop {
        if let Some(answer) = health(address) {
            return answer;
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the node ended with {status} before it answered");
        }
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn check_passes_a_good_file_and_names_problems_of_a_bad_one() {
    let folder = folder(free_port());
    let good = node(folder.path(), &["check"]).output().unwrap();
    assert_eq!(code(&good), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(good.stdout.starts_with(b"ok: dev (dev)\n"));

    let bad = node(folder.path(), &["check"]).env_remove("DVN_DEV_KEY").output().unwrap();
    assert_eq!((code(&bad), bad.stdout.len()), (Some(2), 0));
    let errors = String::from_utf8(bad.stderr).unwrap();
    assert!(errors.contains("hsm.local.private_key_env: environment variable DVN_DEV_KEY is not set"), "{errors}");
}

#[test]
fn bad_usage_exits_with_2() {
    let folder = folder(free_port());
    for line in [&["no-such-command"][..], &["packet"], &["halt", "all"], &["--config", "absent.yaml", "check"]] {
        assert_eq!(code(&node(folder.path(), line).output().unwrap()), Some(2), "{line:?}");
    }
}

#[test]
fn a_port_in_use_ends_the_start_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder(taken.local_addr().unwrap());
    let output = node(folder.path(), &["run"]).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), Some(1), "{errors}");
    assert!(errors.contains("change `service.listen`"), "{errors}");
}

#[test]
fn a_node_answers_probes_and_ends_with_0_on_sigterm() {
    let listen = free_port();
    let folder = folder(listen);
    begin(folder.path());
    let mut child = node(folder.path(), &["run"]).spawn().unwrap();
    let answer = until_up(&mut child, listen);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), Some(0), "{errors}");
    assert!(!errors.contains(KEY), "{errors}");
}

#[test]
fn provision_makes_the_attesting_key_once() {
    if SoftHsm::for_test("provision").is_none() {
        return;
    }
    let folder = folder(free_port());
    let token = SoftHsm::create(folder.path(), "s3cret-pin-4711", &[]).unwrap();
    let library = token.path().display();
    let hsm = format!(
        "hsm: {{ provider: pkcs11, pkcs11: {{ library: {library}, token_label: dvn, key_label: new, pin_env: PIN }} }}\n"
    );
    let config = std::fs::read_to_string(folder.path().join("config.yaml")).unwrap();
    let config = config.lines().filter(|line| !line.starts_with("hsm:")).map(|line| format!("{line}\n"));
    std::fs::write(folder.path().join("config.yaml"), config.chain([hsm]).collect::<String>()).unwrap();
    let signer = |word| {
        let mut command = node(folder.path(), &["signer", word]);
        command.env("PIN", token.pin()).envs(token.environment()).output().unwrap()
    };

    let made = signer("provision");
    assert_eq!(code(&made), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let told = String::from_utf8(made.stdout).unwrap();
    for attribute in ["CKA_SIGN true", "CKA_SENSITIVE true", "CKA_EXTRACTABLE false", "CKA_LOCAL true"] {
        assert!(told.contains(attribute), "{told}");
    }
    assert!(!told.contains(token.pin()), "{told}");
    let address = told.split_whitespace().nth(1).unwrap();
    let asked = String::from_utf8(signer("selftest").stdout).unwrap();
    assert!(asked.contains(&format!("hsm {address} signs")), "{asked} after {told}");

    let again = signer("provision");
    assert_eq!(code(&again), Some(3), "{}", String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stderr).contains("has a key labelled"), "{again:?}");
    let asked = String::from_utf8(signer("address").stdout).unwrap();
    assert!(asked.contains(address), "the key is as it was: {asked}");
}
