//! The first sketch of a configuration: with what `check` lists changed, and nothing else but addresses of this machine,
//! the node starts and works. Its key is where the sketch says: behind CloudHSM's library, which SoftHSM's stands in for.

use dvn_testkit::{
    devnet::{Chain, ChainSpec},
    keys,
    node::NodeKeys,
    softhsm::SoftHsm,
};

use crate::setup::{Net, Node};

const SKETCH: &str = include_str!("../../testdata/sketch.yaml");
const PIN: &str = "crypto-user:s3cret-pin";

#[tokio::test(flavor = "multi_thread")]
async fn with_what_the_list_names_changed_the_sketch_runs() {
    let specs = vec![
        ChainSpec::ethereum().with_confirmations(2),
        ChainSpec::arbitrum().with_confirmations(2),
        ChainSpec::conflux(),
    ];
    let Some(net) = Net::start("the sketch", specs).await else { return };
    let Some(library) = SoftHsm::for_test("the sketch") else { return };
    let mut node = Node::of(&net);
    let folder = tempfile::tempdir().unwrap();
    let [signing, sending] = NodeKeys::LABELS;
    let (signer, sender) = (keys::signer(0), keys::submitter(0));
    let token = SoftHsm::create(folder.path(), PIN, &[(signing, &signer), (sending, &sender)]).unwrap();
    node.config.keys = NodeKeys::SoftHsm(token);
    node.text = changed(&net, &node);
    node.environment.push(("CLOUDHSM_PKCS11_LIBRARY".to_owned(), library.display().to_string()));

    let process = node.start().await;
    let mut packets = net.send("ethereum", 2).await;
    packets.extend(net.send("arbitrum", 1).await);
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
    node.assert_no_secrets();
}

/// The sketch with the chains of this machine.
fn changed(net: &Net, node: &Node) -> String {
    let (ethereum, arbitrum, conflux) = (net.chain("ethereum"), net.chain("arbitrum"), net.chain("conflux"));
    let url = |chain: &Chain| {
        format!("dangerous_single_seat: true\n    rpc_url: \"{}\"", chain.url().as_str().trim_end_matches('/'))
    };
    let source = |chain: &Chain| {
        let at = chain.addresses();
        format!("endpoint: \"{}\"\n      send_lib: \"{}\"\n      dvn: \"{}\"\n", at.endpoint, at.send_lib, at.dvn)
    };
    let target = conflux.addresses();
    let sender = "sender:\n      provider: aws\n      aws: { key_label: dvn-sender, pin_env: HSM_PIN }\n";
    let edits = [
        (
            "log_level: info",
            format!(
                "log_level: info\n  data_dir: \"{}\"\n  listen: \"127.0.0.1:{}\"\n  log_format: json",
                node.config.data_dir.display(),
                node.config.port
            ),
        ),
        ("rpc_url: \"http://10.0.2.100:8545\"", url(ethereum)),
        ("rpc_url: \"http://10.0.2.101:8545\"", url(arbitrum)),
        ("rpc_url: \"http://10.0.2.102:8545\"", url(conflux)),
        ("endpoint: \"0x1a44076050125825900e736c501f859c50fE728c\"\n      send_lib: \"0x...\"\n", source(ethereum)),
        ("block_time: 250ms\n", format!("block_time: 250ms\n    contracts:\n      {}", source(arbitrum))),
        ("eid: 30250", "eid: 30212".to_owned()),
        ("endpoint: \"0x...\"", format!("endpoint: \"{}\"", target.endpoint)),
        ("receive_lib: \"0x...\"", format!("receive_lib: \"{}\"", target.receive_lib)),
        ("dvn: \"0x...\"\n", format!("dvn: \"{}\"\n    {sender}", target.dvn)),
        ("redis:\n  addr: \"10.0.2.50:6379\"\n  password_env: \"REDIS_PASSWORD\"\n  db: 0\n", String::new()),
        (
            "postgres:\n  host: \"10.0.2.51\"\n  port: 5432\n  database: \"dvn\"\n  user: \"dvn\"\n  password_env: \"POSTGRES_PASSWORD\"\n",
            String::new(),
        ),
        ("quorum: 2\n  total_signers: 3", "quorum: 1\n  total_signers: 1".to_owned()),
    ];
    edits.iter().fold(SKETCH.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the sketch has no {from:?}");
        text.replace(from, to)
    })
}
