//! Commands against a real store and real files.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, Bytes};
use dvn_core::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    job::{Job, Location, Move, Signed, Wake},
    packet::{Claim, Header},
    ports::{
        Attempt, AuditEntry, Clock, EvidenceBundle, Halt, HaltScope, Intent, LaneId, Neighbours, NewTransaction,
        OutboxItem, Purpose, Quarantine, Sighting,
    },
};

use dvn_store::Sqlite;

use super::{heads::Head, *};
use crate::config::ProcessEnv;

pub(in crate::cli) const DEV: &str = include_str!("../../testdata/dev.yaml");

#[derive(Debug)]
pub(in crate::cli) struct FakeEnv;

impl Env for FakeEnv {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "DVN_DEV_KEY").then(|| "s3cret".to_owned())
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        ProcessEnv.file(path)
    }
}

#[derive(Debug)]
struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(1_700_000_000))
        .unwrap()
        .checked_add(Duration::from_secs(seconds))
        .unwrap()
}

fn config() -> Config {
    Config::parse(DEV, &FakeEnv).unwrap()
}

fn claim() -> Claim {
    let header = Header {
        nonce: Nonce(7),
        src_eid: Eid(40001),
        sender: B256::with_last_byte(1),
        dst_eid: Eid(40002),
        receiver: B256::with_last_byte(2),
    };
    Claim { header, payload_hash: PayloadHash(B256::repeat_byte(0xaa)) }
}

fn location() -> Location {
    Location {
        src_eid: Eid(40001),
        block: BlockRef { number: BlockNumber(90), hash: B256::repeat_byte(0xb0) },
        tx_hash: B256::repeat_byte(0xcc),
        log_index: 3,
    }
}

/// A store with one packet that went all the way, and everything that it left behind.
async fn store() -> Store {
    let store = Sqlite::in_memory().await.unwrap().store();
    let mut job = Job::observed(claim(), location(), at(0));
    store.jobs.observe(&job).await.unwrap();
    let evidence = EvidenceBundle::new(r#"{"votes":["a","b"]}"#);
    let guid = claim().header.guid();
    store.evidence.put(guid, &evidence, at(1)).await.unwrap();
    let attestation = Attestation {
        claim: claim(),
        confirmations: Confirmations(20),
        expiration: ChainTime(1_700_000_900),
        vid: Vid(2),
        target: Address::repeat_byte(0xee),
    };
    let intent = Intent {
        purpose: Purpose::Sign,
        attestation,
        signer: Address::repeat_byte(0x51),
        source_block: location().block.hash,
        evidence: evidence.digest(),
        now: ChainTime(1_700_000_000),
        at: at(2),
    };
    let sequence = store.journal.intend(&intent).await.unwrap().rows;
    store.journal.signed(sequence, &Bytes::from(vec![1; 65])).await.unwrap();
    for step in [Move::Verify, Move::Sign, Move::Submit, Move::Attest] {
        job.apply(step, Wake::Never).unwrap();
    }
    job.signed = Some(Signed {
        confirmations: Confirmations(20),
        expiration: ChainTime(1_700_000_900),
        target: Address::repeat_byte(0xee),
        signatures: Bytes::from(vec![1; 65]),
    });
    job.attested_in = Some(BlockRef { number: BlockNumber(500), hash: B256::repeat_byte(0xdd) });
    store.jobs.save(&mut job).await.unwrap();
    let attempt =
        Attempt { tx_hash: B256::repeat_byte(0x77), raw: Bytes::from(vec![2]), max_fee: 9, priority_fee: 1, at: at(3) };
    let lane = LaneId { dst_eid: Eid(40002), sender: Address::repeat_byte(0x5e) };
    let items = vec![OutboxItem { job: job.id, attestation }];
    store.outbox.put(NewTransaction { lane, nonce: 4, items, attempt }, None).await.unwrap();
    for (seconds, action) in [(1, "verified"), (2, "signed"), (4, "attested")] {
        let entry = AuditEntry {
            at: at(seconds),
            actor: "engine".to_owned(),
            action: action.to_owned(),
            guid: Some(guid),
            evidence: None,
            detail: "{}".to_owned(),
        };
        store.audit.append(&[entry]).await.unwrap();
    }
    store.cursors.advance(Eid(40001), BlockNumber(95)).await.unwrap();
    store
}

fn text(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn status_shows_chains_jobs_and_halts() {
    let store = store().await;
    let scope = HaltScope::Chain(Eid(40002));
    let halt = Halt { scope, reason: "seats contradict each other".to_owned(), evidence: None, since: at(5) };
    store.halts.raise(halt).await.unwrap();
    let head = Head { latest: Some(120), settled: Some(100), backfill: None, error: None };
    let heads = [(40001, head)].into();
    let report = status::Report::read(&store, &config(), Some(heads), &At(at(9))).await.unwrap();
    let id = store.journal.state().await.unwrap().id;
    let head = store.audit.head().await.unwrap().hash;
    assert_eq!(
        text(|out| report.write(out)),
        format!(
            "\
dev (dev), running

journal
  1 rows, {id}

audit log
  3 rows, {head}

chains
  name   eid    role    latest  final  read through  behind
  here   40001  source  120     100    95            5
  there  40002  target  -       -      -             -

jobs
  from  to     state     jobs  reason
  here  there  attested  1

halts
  scope  since                 evidence  reason
  there  2023-11-14T22:13:25Z  -         seats contradict each other
"
        )
    );
    let until = at(10);
    store.journal.quarantine(Quarantine { until, reason: "restored".to_owned() }).await.unwrap();
    let report = status::Report::read(&store, &config(), None, &At(at(9))).await.unwrap();
    let told = text(|out| report.write(out));
    assert!(told.contains("QUARANTINED, nothing is signed until 2023-11-14T22:13:30Z: restored\n"), "{told}");
}

#[tokio::test]
async fn status_of_a_node_that_does_not_run_says_so() {
    let store = Sqlite::in_memory().await.unwrap().store();
    let report = status::Report::read(&store, &config(), None, &At(at(9))).await.unwrap();
    let text = text(|out| report.write(out));
    assert!(text.starts_with("dev (dev), not answering: heads are unknown\n"), "{text}");
    assert!(text.contains("jobs\n  none\n") && text.ends_with("halts\n  none\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["running"], &json["chains"][0]["eid"]), (&false.into(), &40001.into()));
}

#[tokio::test]
async fn a_packet_is_told_from_first_sight_to_attestation() {
    let store = store().await;
    let query = Query::Guid(claim().header.guid());
    let stories = packet::read(&store, query, false).await.unwrap();
    let told = text(|out| packet::write(&stories, &Chains::of(&config()), out));
    for line in [
        format!("packet {}", claim().header.guid()),
        "  path      here -> there, nonce 7".to_owned(),
        format!("  sent in   block 90 ({}), transaction {}, log 3", B256::repeat_byte(0xb0), B256::repeat_byte(0xcc)),
        "  state     attested, next look never".to_owned(),
        format!("  quorum    20 confirmations to {} until 1700000900", Address::repeat_byte(0xee)),
        format!("  outbox    nonce 4 of {}, open", Address::repeat_byte(0x5e)),
        format!("            2023-11-14T22:13:23Z {} at 9 wei, tip 1", B256::repeat_byte(0x77)),
        format!("  attested  block 500 ({})", B256::repeat_byte(0xdd)),
        format!(
            "  journal   1: 2023-11-14T22:13:22Z signed by {}: payload {}",
            Address::repeat_byte(0x51),
            B256::repeat_byte(0xaa)
        ),
        "  2023-11-14T22:13:21Z  engine     verified       {}".to_owned(),
    ] {
        assert!(told.lines().any(|it| it == line), "{line:?} is not in\n{told}");
    }
    let order: Vec<_> = ["verified  ", "signed  ", "attested  "]
        .iter()
        .map(|action| told.find(&format!("engine     {action}")))
        .collect();
    assert!(order.is_sorted() && !order.contains(&None), "{told}");
    assert!(!told.contains("votes"));
}

#[tokio::test]
async fn a_packet_is_found_by_its_transaction_with_its_evidence() {
    let store = store().await;
    let stories = packet::read(&store, Query::Transaction(B256::repeat_byte(0xcc)), true).await.unwrap();
    let json = serde_json::to_value(&stories).unwrap();
    assert_eq!(json[0]["evidence"][0]["document"]["votes"][1], "b");
    assert_eq!(json[0]["jobs"][0]["state"], "attested");
    assert_eq!(json[0]["jobs"][0]["transactions"][0]["attempts"][0]["max_fee"], "9");
    assert!(text(|out| packet::write(&stories, &Chains::of(&config()), out)).contains("\"votes\""));
}

#[tokio::test]
async fn an_unknown_packet_is_an_error() {
    let store = Sqlite::in_memory().await.unwrap().store();
    let error = packet::read(&store, Query::Transaction(B256::ZERO), false).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert!(error.to_string().starts_with("no packet of transaction 0x00"));
}

async fn halt(store: &Store, command: HaltCommand) -> Result<String, CliError> {
    let mut out = Vec::new();
    halt::obey(command, store, &Chains::of(&config()), &At(at(9)), &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn halts_are_raised_listed_and_cleared_by_name() {
    let store = Sqlite::in_memory().await.unwrap().store();
    let raise = || HaltCommand::Chain { name: "here".to_owned(), reason: "drill".to_owned() };
    let clear = || HaltCommand::Clear { scope: "here".to_owned(), reason: "over".to_owned() };
    assert_eq!(halt(&store, raise()).await.unwrap(), "halted: here\n");
    assert_eq!(halt(&store, raise()).await.unwrap(), "was halted already, with its first reason: here\n");
    assert_eq!(store.halts.standing().await.unwrap()[0].scope, HaltScope::Chain(Eid(40001)));
    let list = halt(&store, HaltCommand::List { json: false }).await.unwrap();
    assert!(list.contains("here   2023-11-14T22:13:29Z  -         drill"), "{list}");
    assert_eq!(halt(&store, clear()).await.unwrap(), "cleared: here\n");
    assert_eq!(halt(&store, clear()).await.unwrap_err().exit(), Exit::Failed);
    assert_eq!(halt(&store, HaltCommand::List { json: true }).await.unwrap(), "[]\n");
}

#[tokio::test]
async fn the_evidence_of_a_halt_is_shown() {
    let store = store().await;
    let bundle = EvidenceBundle::new(r#"{"question":"final block"}"#);
    store.evidence.put_halt(&bundle, at(1)).await.unwrap();
    let raised = |scope, evidence| Halt { scope, reason: "test".to_owned(), evidence, since: at(1) };
    store.halts.raise(raised(HaltScope::Chain(Eid(40002)), Some(bundle.digest()))).await.unwrap();
    store.halts.raise(raised(HaltScope::All, None)).await.unwrap();
    let shown = |scope: &str| halt(&store, HaltCommand::Evidence { scope: scope.to_owned() });
    assert!(shown("there").await.unwrap().contains("final block"));
    assert!(matches!(shown("all").await, Err(CliError::NoEvidence(_))));
    assert!(matches!(shown("here").await, Err(CliError::NotHalted(_))));
}

#[tokio::test]
async fn a_gap_is_explained_once_and_on_record() {
    let store = store().await;
    let header = claim().header;
    let sighting = |nonce| Sighting { path: header.path(), nonce: Nonce(nonce) };
    let explain = async || {
        let (guid, reason) = (header.guid().0, "sent by a library that we do not serve".to_owned());
        let mut out = Vec::new();
        gap::obey(GapCommand::Explain { guid, reason }, &store, &At(at(9)), &mut out).await?;
        Ok::<_, CliError>(String::from_utf8(out).unwrap())
    };
    assert!(matches!(explain().await, Err(CliError::NoGap(_))));
    store.paths.note(&[sighting(header.nonce.0 - 4), sighting(header.nonce.0)]).await.unwrap();
    assert_eq!(explain().await.unwrap(), format!("explained: 3 packets before nonce {}\n", header.nonce));
    let seen = store.paths.neighbours(header.path(), header.nonce).await.unwrap();
    assert_eq!(seen, Neighbours::Seen);
    let story = store.audit.of_packet(header.guid()).await.unwrap();
    assert!(story.iter().any(|row| row.entry.action == "gap_explained"));
    assert!(matches!(explain().await, Err(CliError::NoGap(_))));
}

#[tokio::test]
async fn a_halt_of_an_unknown_chain_is_bad_usage() {
    let store = Sqlite::in_memory().await.unwrap().store();
    let command = HaltCommand::Chain { name: "elsewhere".to_owned(), reason: "drill".to_owned() };
    let error = halt(&store, command).await.unwrap_err();
    assert_eq!(
        (error.exit(), error.to_string()),
        (Exit::Usage, "no chain elsewhere in the configuration; there are: here, there".to_owned())
    );
}

/// Runs a command line in a folder; its exit, output and errors.
pub(in crate::cli) async fn command(folder: &Path, line: &[&str]) -> (Exit, String, String) {
    let file = folder.join("config.yaml");
    let start = ["dvn-node", "--config", file.to_str().unwrap()];
    let args = Args::try_parse_from(start.iter().chain(line)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = execute(args, &FakeEnv, &mut out, &mut err).await;
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

pub(in crate::cli) fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Nobody answers on port 1, so that no other node on this machine is asked.
    let config = config.replace("./data", data.to_str().unwrap()).replace("127.0.0.1:8080", "127.0.0.1:1");
    std::fs::write(folder.path().join("config.yaml"), config).unwrap();
    folder
}

#[tokio::test]
async fn check_says_what_the_node_would_do() {
    let folder = folder(DEV);
    let (exit, out, err) = command(folder.path(), &["check"]).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert!(
        out.starts_with(
            "ok: dev (dev)\n  watches  here (eid 40001, chain id 31337) by 1 of 1 seats; finalized, at least 1 deep\n"
        ),
        "{out}"
    );
    assert!(out.contains("\nwarning: line 23: target_chains.there.sender: is an attesting key"), "{out}");
    assert!(!out.contains("s3cret"));
}

#[tokio::test]
async fn check_lists_problems_and_exits_with_2() {
    let (exit, out, err) = command(folder("service: {}").path(), &["check"]).await;
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.starts_with("error: 4 problems in the configuration:\n  line 1: service.name: missing"), "{err}");
    let (exit, _, err) = command(Path::new("/nonexistent"), &["check"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(err.ends_with("config.yaml cannot be read: No such file or directory (os error 2)\n"), "{err}");
}

#[tokio::test]
async fn reading_commands_work_on_a_store_on_disk() {
    let folder = folder(DEV);
    let (exit, _, err) = command(folder.path(), &["status"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("there is no store in data_dir"), "{err}");
    // Held open, as by a running node.
    let running = Sqlite::open(folder.path().join("data")).await.unwrap();
    assert_eq!(command(folder.path(), &["status"]).await.0, Exit::Done);
    assert_eq!(command(folder.path(), &["halt", "all", "--reason", "drill"]).await.1, "halted: all\n");
    assert_eq!(running.store().halts.standing().await.unwrap().len(), 1);
    let (exit, _, err) = command(folder.path(), &["packet", &B256::ZERO.to_string()]).await;
    assert_eq!((exit, err), (Exit::Failed, format!("error: no packet {} in the store\n", B256::ZERO)));
}

#[test]
fn a_packet_needs_exactly_one_name() {
    let parse = |line: &[&str]| Args::try_parse_from(["dvn-node", "packet"].iter().chain(line)).is_ok();
    let hash = B256::ZERO.to_string();
    assert!(parse(&[&hash]) && parse(&["--tx", &hash]));
    assert!(!parse(&[]) && !parse(&[&hash, "--tx", &hash]) && !parse(&["0x12"]));
}

#[test]
fn exit_codes_are_a_contract() {
    let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused]
        .map(|exit| format!("{:?}", std::process::ExitCode::from(exit)));
    assert_eq!(codes, [0, 1, 2, 3].map(|code: u8| format!("{:?}", std::process::ExitCode::from(code))));
}

#[tokio::test]
async fn status_tells_how_long_the_rest_takes() {
    let head = Head { backfill: Some(crate::http::BackfillStatus::new(5, None)), ..Head::default() };
    let report =
        status::Report::read(&store().await, &config(), Some([(40001, head)].into()), &At(at(9))).await.unwrap();
    assert!(text(|out| report.write(out)).contains("reads 5 missed blocks\n"));
}
