//! Exports, checked by what docs/audit.md says and by nothing else of this workspace.

use std::process::Command;

use alloy_primitives::{hex, keccak256};

use super::*;

const DOCS: &str = include_str!("../../../../../docs/audit.md");

/// Follows the documented bytes; says which row is wrong.
fn check(lines: &[Value]) -> Result<(u64, String), u64> {
    let bytes = |value: &Value| value.as_str().map(|text| hex::decode(text).unwrap()).unwrap_or_default();
    let mut last: Option<(u64, String)> = None;
    for line in lines.iter().filter(|line| line["type"] == "audit") {
        let sequence = line["sequence"].as_u64().unwrap();
        let mut fields = vec![
            sequence.to_be_bytes().to_vec(),
            line["at_micros"].as_i64().unwrap().to_be_bytes().to_vec(),
            line["actor"].as_str().unwrap().into(),
            line["action"].as_str().unwrap().into(),
            bytes(&line["guid"]),
            line["detail"].as_str().unwrap().into(),
        ];
        if !line["evidence"].is_null() {
            fields.push(bytes(&line["evidence"]));
        }
        let mut hashed = bytes(&line["prev_hash"]);
        for field in fields {
            hashed.extend(u64::try_from(field.len()).unwrap().to_be_bytes());
            hashed.extend(field);
        }
        let hash = keccak256(hashed).to_string();
        let follows = last.is_none_or(|(row, hash)| row.checked_add(1) != Some(sequence) || hash == line["prev_hash"]);
        if hash != line["row_hash"] || !follows {
            return Err(sequence);
        }
        last = Some((sequence, hash));
    }
    Ok(last.unwrap_or_default())
}

#[tokio::test]
async fn an_export_is_checked_without_our_code() {
    let place = Place::set().await;
    let path = place.path("audit.jsonl");
    let out = path.to_str().unwrap();
    assert_eq!(place.done(&["export", "--out", out]).await, format!("exported 6 rows to {out}\n"));
    let lines = lines(&path);
    let head = place.store.audit.head().await.unwrap();
    assert_eq!(check(&lines), Ok((6, head.hash.to_string())));
    assert_eq!(lines[0]["at"], "2023-11-15T22:13:20.000007Z");
    for (row, field, value) in [
        (2, "detail", "{}".into()),
        (3, "at_micros", 5.into()),
        (4, "evidence", Value::Null),
        (5, "guid", Value::Null),
        (6, "action", "refused".into()),
    ] {
        let mut edited = lines.clone();
        edited[row - 1][field] = value;
        assert_eq!(check(&edited), Err(u64::try_from(row).unwrap()), "{field}");
    }
    assert_eq!(
        place.run(&["export", "--out", out]).await.1.unwrap_err().exit(),
        Exit::Failed,
        "nothing is overwritten"
    );

    let guid = claim(1).header.guid().to_string();
    let told = place.done(&["export", "--packet", &guid, "--since", "5d"]).await;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 5, 6]);
    check(&told).unwrap();
}

#[tokio::test]
async fn what_was_tampered_with_is_exported_and_refused() {
    for (sql, row) in [
        ("UPDATE audit SET detail = '{}' WHERE sequence = 5", 5),
        ("DELETE FROM audit WHERE sequence = 2; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 2", 2),
    ] {
        let place = Place::set().await;
        place.tamper(sql).await;
        let told = place.refused(&["export"]).await;
        assert!(told.contains(&format!("breaks at row {row}")), "{told}");
        assert!(told.contains("\"sequence\":5"), "the rows after it are evidence too");
    }
}

/// The script of the documentation, as it stands there.
#[tokio::test]
async fn the_documented_script_agrees() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|run| run.status.success()) {
        let message = "the script of docs/audit.md needs python3, which is not installed";
        assert!(std::env::var_os("DVN_TEST_REQUIRE").is_none(), "{message}");
        eprintln!("skipped: {message}");
        return;
    }
    let place = Place::set().await;
    let script = DOCS.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (check, rows) = (place.path("check.py"), place.path("audit.jsonl"));
    std::fs::write(&check, script).unwrap();
    place.done(&["export", "--out", rows.to_str().unwrap()]).await;
    let run = || Command::new("python3").arg(&check).arg(&rows).output().unwrap();
    let done = run();
    let head = place.store.audit.head().await.unwrap().hash;
    assert_eq!(String::from_utf8_lossy(&done.stdout), format!("6 rows, head {head}\n"), "{done:?}");
    let edited = std::fs::read_to_string(&rows).unwrap().replacen("\"committed\"", "\"refused\"", 1);
    std::fs::write(&rows, edited).unwrap();
    let done = run();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("row 6 was edited"), "{done:?}");
}
