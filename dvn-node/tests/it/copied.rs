//! A node that moves from its embedded store to PostgreSQL, and goes on where it was.

use std::net::SocketAddr;

use dvn_testkit::{
    node::NodeDatabase,
    postgres::{self, Postgres},
};
use serde_json::Value;

use crate::setup::{Net, Node, text};

fn says(node: &Node, line: &[&str]) -> String {
    let done = node.command(line);
    assert!(done.status.success(), "{line:?}: {}{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

fn json(node: &Node, line: &[&str]) -> Value {
    serde_json::from_str(&says(node, line)).unwrap()
}

/// What would let a node with a past forget it.
const REPLICA: &[&str] = &["journal", "mirror", "--replica", "--reason", "a test"];

fn refuses(node: &Node, line: &[&str], code: i32, why: &str) {
    let refused = node.command(line);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(code) && said.contains(why), "{line:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_copied_and_the_node_goes_on() {
    let Some(net) = Net::pair("a copied store").await else { return };
    let Some(server) = Postgres::is_there("a copied store").then(|| Postgres::start().unwrap()) else { return };
    server.create_database("dvn").unwrap();
    let mut node = Node::of(&net);
    let mut packets = net.send("ethereum", 3).await;
    let process = node.start().await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
    let before = json(&node, &["store", "check", "--json"]);
    assert_eq!(before["journal"]["rows"], 3);

    let refused = node.command(&["store", "copy", "--reason", "a test"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    refuses(&node, REPLICA, 2, "--replica is for a journal in `postgres`");
    node.config.postgres = Some(NodeDatabase {
        address: SocketAddr::from(([127, 0, 0, 1], server.port())),
        database: "dvn".to_owned(),
        user: postgres::USER.to_owned(),
        password: server.password().to_owned(),
    });
    node.text = node.config.for_devnet(&net.devnet, &["conflux"]).unwrap();
    let story = says(&node, &["store", "copy", "--reason", "more than one host"]);
    assert!(story.contains("out of use"), "{story}");
    assert!(node.config.data_dir.join("dvn.db.copied").is_file() && !node.config.data_dir.join("dvn.db").exists());
    let after = json(&node, &["store", "check", "--json"]);
    assert_eq!(after["journal"], before["journal"], "every row is the same");
    let again = node.command(&["store", "copy", "--reason", "once more"]);
    assert_eq!(again.status.code(), Some(1), "there is no embedded store any more: {}", text(&again.stderr));

    refuses(&node, REPLICA, 3, "is a mirror already");

    packets.extend(net.send("ethereum", 3).await);
    let process = node.start().await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
    let verified = json(&node, &["journal", "verify", "--json"]);
    assert_eq!((&verified["intact"], &verified["rows"]), (&Value::Bool(true), &Value::from(6)), "{verified}");
    assert_eq!(json(&node, &["audit", "verify", "--json"])["intact"], true);
    // Without the block the old folder is no store, and its mirror says that there was more.
    node.config.postgres = None;
    node.text = node.config.for_devnet(&net.devnet, &["conflux"]).unwrap();
    let refused = node.command(&["run"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    node.assert_no_secrets();
}
