//! The audit log of a node that ran: what it tells, and what becomes of it when somebody rewrites it.

use dvn_core::packet::Packet;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

use crate::setup::{Net, Node, PATIENCE, TEMPTATION, text};

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Removes every refusal of the database, and then does this.
async fn tamper(node: &Node, sql: &str) {
    let options = SqliteConnectOptions::new().filename(node.folder().join("data").join("dvn.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'";
    for name in sqlx::query_scalar::<_, String>(triggers).fetch_all(&pool).await.unwrap() {
        sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&pool).await.unwrap();
    }
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_an_application_is_one_command_and_a_log_that_was_cut_shows() {
    let Some(net) = Net::pair("the audit log").await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;
    let packets = net.send("ethereum", 1).await;
    net.until_exactly(&packets).await;
    net.deliver(&packets).await;
    process.until_event(PATIENCE, |event| event.is_move_to("committed")).await.unwrap();

    let sender = Packet::decode(&packets[0].encoded).unwrap().header.sender.to_string();
    let query = ["audit", "query", "--oapp", &sender, "--since", "24h", "--json"];
    let mut told = json(&node.command(&query));
    // The row of a move follows the move.
    while !told.to_string().contains("\"committed\"") {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        told = json(&node.command(&query));
    }
    let rows = told["rows"].as_array().unwrap();
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    let mut story = actions.iter();
    for action in ["observed", "verified", "signature", "signed", "transaction", "submitted", "attested", "committed"] {
        assert!(story.any(|it| *it == action), "{action} is not where it should be in {actions:?}");
    }
    let row = |action: &str| rows.iter().find(|row| row["action"] == action).unwrap();
    assert_eq!(row("signature")["evidence"], row("verified")["evidence"]);
    assert!(row("verified")["evidence"].is_string());
    assert_eq!(row("signature")["detail"]["journal"], 1);
    assert_eq!(row("submitted")["detail"]["detail"]["tx"], row("transaction")["detail"]["tx"]);
    let (_, metrics) = process.fetch("metrics").await.unwrap();
    for family in
        ["dvn_audit_rows ", "dvn_audit_head ", "dvn_audit_intact 1", "dvn_disk_free_bytes ", "dvn_disk_full 0"]
    {
        assert!(metrics.contains(family), "{family} is not in\n{metrics}");
    }
    assert!(process.stop().await.unwrap().success());

    let told = json(&node.command(&["audit", "verify", "--json"]));
    assert_eq!((&told["intact"], &told["kept"]["head"]), (&true.into(), &told["head"]), "{told}");
    let last = told["rows"].as_u64().unwrap();

    tamper(&node, &format!("DELETE FROM audit WHERE sequence = {last}")).await;
    let verified = node.command(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(3), "{verified:?}");
    assert!(text(&verified.stderr).contains(&format!("rows from {last} on were cut off")), "{verified:?}");

    // The node goes on, says so, and leaves the witness alone, although its log grows again.
    let mut process = node.start().await;
    let packets = net.send("ethereum", 1).await;
    process.until_event(PATIENCE, |event| event.is_move_to("attested")).await.unwrap();
    net.deliver(&packets).await;
    process.until_event(PATIENCE, |event| event.is_move_to("committed")).await.unwrap();
    let (_, metrics) = process.fetch("metrics").await.unwrap();
    assert!(metrics.contains("dvn_audit_intact 0"), "{metrics}");
    assert!(process.stop().await.unwrap().success());
    assert!(node.log().contains("THE AUDIT LOG WAS TAMPERED WITH"), "{}", node.log());
    let verified = node.command(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(3), "{verified:?}");
    assert!(text(&verified.stderr).contains("written anew"), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_signing_and_not_recording() {
    let Some(net) = Net::pair("a full disk").await else { return };
    let mut node = Node::of(&net);
    node.text = node.text.replacen("service:\n", "service:\n  min_free_disk: 999999TiB\n", 1);
    let mut process = node.spawn().await;
    let packets = net.send("ethereum", 1).await;
    process.until_event(PATIENCE, |event| event.is_move_to("verified")).await.unwrap();
    tokio::time::sleep(TEMPTATION).await;
    let (code, ready) = process.fetch("ready").await.unwrap();
    assert_eq!(code, 503);
    assert!(ready.contains("the disk is full"), "{ready}");
    assert!(process.fetch("metrics").await.unwrap().1.contains("dvn_disk_full 1"));
    assert!(net.verified().await.is_empty(), "nothing is signed");
    assert!(process.stop().await.unwrap().success());
    let story = json(&node.command(&["packet", &packets[0].guid.to_string(), "--json"]));
    assert_eq!((&story[0]["journal"], &story[0]["jobs"][0]["state"]), (&Value::Array(vec![]), &"verified".into()));
    let error = story[0]["jobs"][0]["last_error"].as_str().unwrap();
    assert!(error.contains("min_free_disk"), "{error}");
    // Room is made, and the packet goes on.
    node.text = node.text.replacen("999999TiB", "1MiB", 1);
    let process = node.start().await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}
