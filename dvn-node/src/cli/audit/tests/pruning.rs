//! What goes, what stays, and what refuses to go.

use alloy_primitives::keccak256;
use dvn_core::{
    job::{Move, Refusal, Wake},
    ports::EvidenceBundle,
};

use super::*;

impl Place {
    async fn with_documents() -> Self {
        let place = Self::set().await;
        let bundle = EvidenceBundle::new("{\"votes\":[\"a\"]}");
        for nonce in [1, 2] {
            place.store.evidence.put(claim(nonce).header.guid(), &bundle, day(1)).await.unwrap();
        }
        let mut job = place.store.jobs.by_guid(claim(1).header.guid()).await.unwrap().remove(0);
        job.apply(Move::Refuse(Refusal::NotGenuine), Wake::Never).unwrap();
        place.store.jobs.save(&mut job).await.unwrap();
        place
    }

    async fn documents(&self) -> [usize; 2] {
        let mut counts = [0; 2];
        for (count, nonce) in counts.iter_mut().zip([1, 2]) {
            *count = self.store.evidence.of_packet(claim(nonce).header.guid()).await.unwrap().len();
        }
        counts
    }
}

#[tokio::test]
async fn old_rows_go_to_an_archive_and_the_log_goes_on() {
    let place = Place::with_documents().await;
    place.keep_head().await;
    let (archive, rest) = (place.path("archive.jsonl"), place.path("rest.jsonl"));
    let before = place.done(&["export"]).await;
    let prune =
        ["prune", "--before", "3d", "--reason", "retention", "--evidence", "--archive", archive.to_str().unwrap()];
    let told = place.done(&prune).await;
    let digest = keccak256(std::fs::read(&archive).unwrap());
    assert!(told.contains(&digest.to_string()), "{told}");
    assert!(told.contains("rows       3 removed, the log begins after row 3\ndocuments  1 removed\n"), "{told}");
    assert_eq!(place.documents().await, [0, 1], "packet 2 is not known to be done");

    // Archive and log together are what the log was.
    let archived = std::fs::read_to_string(&archive).unwrap();
    assert!(before.starts_with(archived.split("{\"type\":\"evidence\"").next().unwrap()), "{archived}");
    let archived = lines(&archive);
    assert_eq!(archived[3]["document"], "{\"votes\":[\"a\"]}");
    place.done(&["export", "--out", rest.to_str().unwrap()]).await;
    let rest = lines(&rest);
    assert_eq!((&rest[0]["sequence"], &rest[0]["prev_hash"]), (&4.into(), &archived[2]["row_hash"]));

    // It is told, verified from there on, and goes with the head that was kept before.
    let told = place.done(&["verify"]).await;
    assert!(told.contains("begins      after row 3") && told.ends_with("intact\n"), "{told}");
    let told = place.done(&["query", "--actor", "operator", "--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let [cut, documents] = [&told["rows"][0], &told["rows"][1]];
    assert_eq!((&cut["action"], &cut["detail"]["through"]), (&"audit_pruned".into(), &3.into()));
    assert_eq!((&cut["evidence"], &cut["detail"]["reason"]), (&digest.to_string().into(), &"retention".into()));
    assert!(!cut["detail"]["user"].as_str().unwrap().is_empty());
    assert_eq!((&documents["action"], &documents["detail"]["documents"]), (&"evidence_pruned".into(), &1.into()));

    // The next archive begins where this one ends.
    let next = place.path("next.jsonl");
    place.done(&["prune", "--before", "1d", "--reason", "more", "--archive", next.to_str().unwrap()]).await;
    assert_eq!(lines(&next)[0]["prev_hash"], archived[2]["row_hash"]);
    place.done(&["verify"]).await;
    assert_eq!(place.documents().await, [0, 1]);
}

#[tokio::test]
async fn nothing_goes_that_is_not_in_an_archive() {
    let place = Place::with_documents().await;
    let archive = place.path("archive.jsonl");
    let prune = |before: &'static str| {
        let path = archive.to_str().unwrap().to_owned();
        [
            "prune".to_owned(),
            "--before".to_owned(),
            before.to_owned(),
            "--reason".to_owned(),
            "r".to_owned(),
            "--archive".to_owned(),
            path,
        ]
    };
    let run = async |before| {
        let words = prune(before);
        place.run(&words.each_ref().map(String::as_str)).await
    };
    let (told, result) = run("30d").await;
    result.unwrap();
    assert!(told.starts_with("nothing is older than") && !archive.exists(), "{told}");
    std::fs::write(&archive, "somebody's only copy").unwrap();
    let error = run("3d").await.1.unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert_eq!(std::fs::read_to_string(&archive).unwrap(), "somebody's only copy");
    std::fs::remove_file(&archive).unwrap();

    place.tamper("UPDATE audit SET detail = '[]' WHERE sequence = 2").await;
    let error = run("3d").await.1.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused);
    assert!(error.to_string().contains("breaks at row 2") && !archive.exists(), "{error}");
    assert_eq!(place.store.audit.rows(0, 9).await.unwrap().len(), 6);
}
