//! A PostgreSQL server through a test's troubles.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use dvn_testkit::postgres::{Postgres, SUPERUSER, USER};

/// What was committed survives everything when the disk is waited for, which is the default.
#[test]
fn what_is_committed_survives_every_end() {
    if !Postgres::is_there("a PostgreSQL that ends") {
        return;
    }
    let server = Postgres::start().unwrap();
    assert_eq!(server.sql(SUPERUSER, "SHOW fsync").unwrap(), "on");
    server.create_database("dvn").unwrap();
    server.sql("dvn", "CREATE TABLE kept (n int)").unwrap();
    let ends: [fn(&Postgres); 4] = [
        |server| server.restart().unwrap(),
        |server| server.stop().unwrap(),
        |server| server.stop_immediately().unwrap(),
        |server| server.kill().unwrap(),
    ];
    for (number, end) in ends.iter().enumerate() {
        server.sql("dvn", &format!("INSERT INTO kept VALUES ({number})")).unwrap();
        end(&server);
        server.start_again().unwrap();
    }
    assert_eq!(server.sql("dvn", "SELECT count(*) FROM kept").unwrap(), "4");
}

#[test]
fn nobody_comes_in_without_a_password_or_owns_more_than_the_own() {
    let Some(server) = Postgres::for_test("PostgreSQL's users") else {
        return;
    };
    assert_eq!(server.sql(SUPERUSER, "SHOW fsync").unwrap(), "off");
    let methods = "SELECT DISTINCT auth_method FROM pg_hba_file_rules";
    assert_eq!(server.sql(SUPERUSER, methods).unwrap(), "scram-sha-256");
    server.create_database("a \"name\"").unwrap();
    let owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'a \"name\"'";
    assert_eq!(server.sql(SUPERUSER, owner).unwrap(), USER);
    let error = server.sql("absent", "SELECT 1").unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
    assert!(!format!("{server:?} {error}").contains(server.password()));
}

#[test]
fn a_frozen_server_takes_connections_and_says_nothing() {
    let Some(server) = Postgres::for_test("a frozen PostgreSQL") else {
        return;
    };
    server.pause().unwrap();
    let address = SocketAddr::new(server.host().parse().unwrap(), server.port());
    TcpStream::connect(address).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| server.sql(SUPERUSER, "SELECT 1"));
        thread::sleep(Duration::from_millis(300));
        assert!(!asked.is_finished());
        server.resume().unwrap();
        assert_eq!(asked.join().unwrap().unwrap(), "1");
    });
    // A frozen one can be killed, too.
    server.pause().unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
}

#[test]
fn tls_is_there_for_whoever_asks() {
    if !Postgres::is_there("PostgreSQL with TLS") {
        return;
    }
    let server = Postgres::builder().setting("fsync", "off").tls().start().unwrap();
    assert!(server.ca().unwrap().is_file());
    assert_eq!(server.sql(SUPERUSER, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").unwrap(), "t");
}

/// The process of a test can end without a word, with the server in a static.
#[test]
fn nothing_is_left_of_a_process_that_is_killed() {
    const VARIABLE: &str = "DVN_TESTKIT_SERVER_CHILD";
    if std::env::var_os(VARIABLE).is_some() {
        let server = Postgres::for_test("the child").unwrap();
        println!("data {}", server.data().display());
        std::process::abort();
    }
    if !Postgres::is_there("the end of a test's process") {
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", "servers::postgres::nothing_is_left_of_a_process_that_is_killed"]);
    let output = child.env(VARIABLE, "1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let data = printed.lines().find_map(|line| line.rsplit_once("data ")).unwrap().1;
    let started = Instant::now();
    while Path::new(data).exists() || is_used(data) {
        assert!(started.elapsed() < Duration::from_secs(60), "{data} is still there, or used");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process has the folder on its command line.
fn is_used(folder: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(folder) && line.contains("postgres")
    })
}
