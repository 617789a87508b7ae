use std::{sync::Arc, time::Duration};

use dvn_chain::{ChainClass, EvmReader, EvmVerifier, Panel, PanelSetupError, SeatConfig, SourceConfig};
use dvn_core::{
    error::{VerifyError, VerifyErrorKind},
    ids::Confirmations,
    ports::{Chain, Verifier},
    quorum::Threshold,
};

use crate::{fakes::Hashes, node, world};

/// Everything that an error shows, with all its causes.
fn shown(error: &VerifyError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text.push_str(&format!(" {deeper} {deeper:?}"));
        cause = deeper.source();
    }
    text
}

async fn failure(panel: Arc<Panel>) -> VerifyError {
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(1));
    let verifier = EvmVerifier::new(Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default()))));
    verifier.verify(&world::World::default().location(70, 1)).await.unwrap_err()
}

fn single(url: &str) -> Arc<Panel> {
    let chain = Chain { name: "testchain".to_owned(), eid: world::SRC };
    let panel = Panel::try_new(chain, vec![Arc::new(node::seat(url))], Threshold::try_new(1, 1).unwrap());
    Arc::new(panel.unwrap().with_patience(Duration::from_secs(20), Duration::from_millis(250)))
}

#[tokio::test]
async fn a_refused_connection_never_prints_the_key_in_the_url() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let panel = single(&format!("http://user:PASSWORD1@{address}/v2/SECRETKEY?token=QUERYKEY"));
    let debug = format!("{panel:?}");
    let error = failure(panel).await;
    assert_eq!(error.kind(), VerifyErrorKind::Missing);
    let text = shown(&error) + &debug;
    assert!(text.contains("127.0.0.1"), "{text}");
    for secret in ["SECRETKEY", "QUERYKEY", "PASSWORD1"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_node_that_echoes_the_key_does_not_leak_it() {
    // The head is asked for in a batch, the packet's block by itself.
    for is_tag in [true, false] {
        let node = node::Node::start(world::World::default()).await;
        node.answer("eth_getBlockByNumber", move |params| {
            let spared = params[0].as_str().is_some_and(|text| text.starts_with("0x")) == is_tag;
            (!spared).then(|| Err((-32000, "no such path /v2/SECRETKEY".to_owned())))
        });
        let text = shown(&failure(single(&format!("http://{}/v2/SECRETKEY", node.address))).await);
        assert!(text.contains("no such path") && !text.contains("SECRETKEY"), "{text}");
    }
}

#[test]
fn header_values_never_print() {
    let mut config = SeatConfig::new("https://node.example/KEYKEYKEY".parse().unwrap(), "acme".into(), "geth".into());
    config.headers = vec![("Authorization".to_owned(), "Bearer SECRETKEY".to_owned())];
    let text = format!("{config:?}");
    assert!(text.contains("Authorization") && !text.contains("SECRETKEY") && !text.contains("KEYKEYKEY"), "{text}");
}

#[test]
fn one_endpoint_has_one_vote() {
    let chain = Chain { name: "testchain".to_owned(), eid: world::SRC };
    let seats = vec![Arc::new(node::seat("http://node.example/a")), Arc::new(node::seat("http://node.example/a"))];
    let panel = Panel::try_new(chain, seats, Threshold::try_new(2, 2).unwrap());
    assert_eq!(panel.unwrap_err(), PanelSetupError::Duplicate("node.example".to_owned()));
}
