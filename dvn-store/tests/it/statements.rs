//! Every statement in the sources is prepared on both databases, so that a wrong column or a text that one of the two does not
//! understand shows here and not in production.

use std::path::Path;

use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::{
    fixture,
    postgres::{begun, database, raw, server},
};

/// What only PostgreSQL understands: its settings, its partitions, what several processes share.
const OF_POSTGRES: [&str; 8] =
    ["pg_", "_setting", "set_config", "audit_room", "audit_drop", "claimed_", "timeline", "to_regclass"];
/// What only SQLite understands, and what is completed when it runs.
const OF_SQLITE: [&str; 2] = ["sqlite_schema", "pragma_table_info"];

/// A row of the journal with its slot, as `journal.rs` writes it.
const SELECT: &str = "SELECT journal.*, slot.nonce, slot.src_eid, slot.sender, slot.dst_eid, slot.receiver
    FROM journal LEFT JOIN journal_slots AS slot ON slot.guid = journal.guid AND slot.payload_hash = journal.payload_hash ";

fn statements(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            statements(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        let code: String =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        // No statement has a quote in it.
        for (index, literal) in code.split('"').enumerate().filter(|(index, _)| index % 2 == 1) {
            let before = code.split('"').nth(index - 1).unwrap();
            if before.ends_with("select!(") {
                found.push(format!("{SELECT}{literal}"));
            } else if ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|word| literal.starts_with(word)) {
                found.push(literal.to_owned());
            }
        }
    }
}

fn all() -> Vec<String> {
    let mut found = Vec::new();
    statements(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    // Pieces: of the macro above, and what is completed with names of tables when a store is copied.
    found.retain(|text| !text.contains('{') && !text.starts_with("SELECT journal.*, slot") || text.starts_with(SELECT));
    assert!(found.len() > 60, "{} statements", found.len());
    found
}

fn is_of(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.contains(word))
}

#[tokio::test]
async fn sqlite_understands_every_statement() {
    let dir = tempfile::tempdir().unwrap();
    drop(fixture::open(dir.path()).await);
    let pool = fixture::raw(dir.path(), true).await;
    for text in all().into_iter().filter(|text| !is_of(&OF_POSTGRES, text)) {
        let prepared = pool.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
        assert!(prepared.is_ok(), "{text}: {:?}", prepared.err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_understands_every_statement() {
    let Some(server) = server() else { return };
    let options = database(server);
    drop(begun(&options).await);
    let pool = raw(server, &options).await;
    for text in all().into_iter().filter(|text| !is_of(&OF_SQLITE, text)) {
        let prepared = pool.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
        assert!(prepared.is_ok(), "{text}: {:?}", prepared.err());
    }
}
