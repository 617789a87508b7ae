//! The contracts of the probes, asked over a real port.

use std::time::{Duration, UNIX_EPOCH};

use dvn_core::ports::{JournalHead, JournalId, JournalState, Quarantine};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::config::{Config, Env};

#[derive(Debug)]
struct NoEnv;

impl Env for NoEnv {
    fn variable(&self, _: &str) -> Option<String> {
        Some("set".to_owned())
    }

    fn file(&self, _: &std::path::Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn status() -> NodeStatus {
    let sketch = include_str!("../../testdata/dev.yaml");
    let config = Config::parse(sketch, &NoEnv).unwrap();
    NodeStatus::starting(&config.service, UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000)).unwrap())
}

/// A node at work on one path.
fn running() -> NodeStatus {
    let status = status();
    status.update(|it| {
        (it.phase, it.key_works, it.store_works) = (Phase::Running, true, true);
        let mut source = ChainStatus::new("here", 40001, Role::Source);
        (source.latest, source.settled, source.cursor) = (Some(110), Some(100), Some(98));
        it.chains = vec![source, ChainStatus::new("there", 40002, Role::Target)];
    });
    status
}

/// Status code, headers and body.
async fn ask(status: &NodeStatus, path: &str) -> (u16, String, String) {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("dvn_halts_total").increment(1));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router(status.clone(), recorder.handle()), stop.clone()));

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    stop.cancel();
    server.await.unwrap().unwrap();

    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

async fn code(status: &NodeStatus, path: &str) -> u16 {
    ask(status, path).await.0
}

#[tokio::test]
async fn health_fails_only_when_a_task_died() {
    for (phase, expected) in [
        (Phase::Starting, 200),
        (Phase::Quarantined, 200),
        (Phase::Running, 200),
        (Phase::Draining, 200),
        (Phase::Failed, 503),
    ] {
        let status = status();
        status.update(|it| it.phase = phase);
        assert_eq!(code(&status, "/health").await, expected, "{phase:?}");
    }
}

#[tokio::test]
async fn ready_needs_phase_key_store_and_a_path() {
    assert_eq!(code(&status(), "/ready").await, 503);
    assert_eq!(code(&running(), "/ready").await, 200);
    type Change = fn(&mut Snapshot);
    let breaks: [(&str, Change); 9] = [
        ("the node is starting", |it| it.phase = Phase::Starting),
        ("the node is quarantined", |it| it.phase = Phase::Quarantined),
        ("the node is draining", |it| it.phase = Phase::Draining),
        ("the attesting key does not work", |it| it.key_works = false),
        ("the store does not work", |it| it.store_works = false),
        ("no path works", |it| it.chains[0].latest = None),
        ("no path works", |it| it.chains[0].error = Some("too few seats answered".to_owned())),
        ("no path works", |it| it.chains[1].halted = Some("seats contradict each other".to_owned())),
        ("no path works", |it| it.chains[1].eid = it.chains[0].eid),
    ];
    for (reason, change) in breaks {
        let status = running();
        status.update(change);
        let (code, _, body) = ask(&status, "/ready").await;
        assert_eq!(code, 503, "{reason}");
        assert!(body.contains(&format!("\"reasons\":[\"{reason}\"]")), "{body}");
    }
}

#[tokio::test]
async fn ready_lists_halted_and_degraded_chains_while_another_path_works() {
    let status = running();
    status.update(|it| {
        let mut halted = ChainStatus::new("stopped", 40003, Role::Both);
        halted.halted = Some("why".to_owned());
        let mut degraded = ChainStatus::new("slow", 40004, Role::Both);
        degraded.error = Some("why".to_owned());
        it.chains.extend([halted, degraded]);
    });
    let (code, _, body) = ask(&status, "/ready").await;
    assert_eq!(code, 200);
    let expected = r#"{"ready":true,"phase":"running","reasons":[],"halted":["stopped"],"degraded":["slow"],"why":{"slow":"why","stopped":"why"}}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let (code, head, body) = ask(&running(), "/metrics").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("dvn_halts_total 1"), "{body}");
}

#[tokio::test]
async fn the_page_escapes_and_loads_nothing() {
    let status = running();
    status.update(|it| {
        it.region = Some("<script>alert(1)</script>".to_owned());
        it.chains[0].error = Some("\"><img src=x>".to_owned());
        it.packets = vec![PacketLine {
            guid: "<0x00>".to_owned(),
            src_eid: 40001,
            dst_eid: 40002,
            nonce: 7,
            state: "attested",
            at: it.since,
        }];
        it.jobs = vec![JobCount { src_eid: 40001, dst_eid: 40002, state: "held", reason: Some("nilified"), count: 3 }];
    });
    let (code, head, body) = ask(&status, "/").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    for never in ["<script", "<img", "http://", "https://", "src="] {
        assert!(!body.contains(never) || never == "src=" && body.contains("&lt;img src=x&gt;"), "{never} in {body}");
    }
    for text in ["&lt;script&gt;", "&lt;0x00&gt;", "2023-11-14T22:13:20Z", "nilified", "no path works"] {
        assert!(body.contains(text), "{text} is not in {body}");
    }
}

#[tokio::test]
async fn status_is_there_for_programs() {
    let (code, _, body) = ask(&running(), "/status.json").await;
    assert_eq!(code, 200);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["phase"], "running");
    assert_eq!(json["since"], "2023-11-14T22:13:20Z");
    assert_eq!(json["chains"][0]["settled"], 100);
}

#[tokio::test]
async fn nothing_else_answers() {
    assert_eq!(code(&running(), "/admin").await, 404);
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: another process may use the port, or change `service.listen`")
    );
}

#[tokio::test]
async fn a_node_in_quarantine_is_alive_and_not_ready() {
    let status = running();
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let state = |until| JournalState {
        id: JournalId(alloy_primitives::B256::repeat_byte(7)),
        quarantine: Some(Quarantine { until, reason: "restored <from> a copy".to_owned() }),
        mirror: None,
    };
    let head = JournalHead::default();
    let journal = JournalStatus::new(state(now + Duration::from_secs(60)), head, now);
    status.update(|it| it.tell_journal(journal));
    assert_eq!(code(&status, "/health").await, 200);
    let (code, _, body) = ask(&status, "/ready").await;
    assert_eq!(code, 503);
    assert!(body.contains("\"phase\":\"quarantined\""), "{body}");
    assert!(body.contains("the node is quarantined until 2023-11-14T22:14:20Z: restored"), "{body}");
    let (_, _, page) = ask(&status, "/").await;
    assert!(page.contains("quarantined until 2023-11-14T22:14:20Z: restored &lt;from&gt; a copy"), "{page}");
    let over = JournalStatus::new(state(now), head, now);
    status.update(|it| it.tell_journal(over));
    assert_eq!(ask(&status, "/ready").await.0, 200);
    assert!(ask(&status, "/status.json").await.2.contains("\"rows\":0"));
}

#[tokio::test]
async fn what_is_still_to_be_read_is_shown() {
    let status = running();
    status.update(|it| it.chains[0].backfill = Some(BackfillStatus::new(12_345, Some(600))));
    let (_, _, page) = ask(&status, "/").await;
    assert!(page.contains("ok, reads 12345 missed blocks, about 10 min"), "{page}");
    let (_, _, json) = ask(&status, "/status.json").await;
    assert!(json.contains(r#""backfill":{"left":12345,"seconds":600}"#), "{json}");
}
