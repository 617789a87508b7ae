//! `audit prune`.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    path::Path,
    time::SystemTime,
};

use alloy_primitives::{B256, Keccak256};
use dvn_core::ports::{AuditCut, AuditHead, AuditLog, Clock, Evidence, Store};
use serde_json::json;

use super::{
    AuditCommandError, CliError, PruneOptions,
    export::{create, write_line},
    line::{Document, Line, Row},
};
use crate::{
    audit_head::sync_folder,
    cli::operator::{record, user},
    time::Stamp,
};

/// Rows that are read at once, and documents, which are larger.
const PAGE: usize = 512;
const DOCUMENTS: usize = 64;

/// What is in the archive.
#[derive(Debug)]
struct Archived {
    /// Where the log began.
    base: AuditHead,
    /// The last row that is in it.
    through: AuditHead,
    /// Positions of the documents that are in it.
    documents: Vec<u64>,
}

/// Archive, then the row that tells it, then the rows go. What is not in a verified archive never goes.
pub(super) async fn obey(
    options: &PruneOptions,
    store: &Store,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let before = options.before.resolve(clock.now());
    if is_nothing(store, before, options.evidence).await? {
        return Ok(writeln!(out, "nothing is older than {}", Stamp(before))?);
    }
    let file = create(&options.archive)?;
    let archived = archive(store, before, options, file).await.and_then(|archived| {
        let digest = verified(&options.archive, &archived)?;
        Ok((archived, digest))
    });
    let (archived, digest) = match archived {
        Ok(archived) => archived,
        Err(error) => {
            // It was made by this call and holds nothing that is not in the log.
            let _ = fs::remove_file(&options.archive);
            return Err(error);
        }
    };
    let rows = cut(store, &archived, digest, clock, &options.reason).await?;
    writeln!(out, "archive    {}, keccak256 {digest}", options.archive.display())?;
    writeln!(out, "rows       {rows} removed, the log begins after row {}", archived.through.rows)?;
    if options.evidence {
        let removed = remove_documents(store, &archived, before, digest, clock, options).await?;
        writeln!(out, "documents  {removed} removed")?;
    }
    Ok(())
}

async fn is_nothing(store: &Store, before: SystemTime, evidence: bool) -> Result<bool, CliError> {
    let base = store.audit.base().await?;
    let oldest = store.audit.rows(base.rows, 1).await?.pop();
    let rows = oldest.is_some_and(|row| row.entry.at < before);
    Ok(!rows && (!evidence || store.evidence.of_done(before, 0, 1).await?.is_empty()))
}

async fn archive(store: &Store, before: SystemTime, options: &PruneOptions, file: File) -> Result<Archived, CliError> {
    let mut writer = BufWriter::new(file);
    let base = store.audit.base().await?;
    let through = archive_rows(&*store.audit, base, before, &mut writer).await?;
    let documents =
        if options.evidence { archive_documents(&*store.evidence, before, &mut writer).await? } else { Vec::new() };
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    sync_folder(&options.archive)?;
    Ok(Archived { base, through, documents })
}

/// Writes rows up to the first that is not older, each of which has to follow the one before.
async fn archive_rows(
    audit: &dyn AuditLog,
    base: AuditHead,
    before: SystemTime,
    out: &mut dyn Write,
) -> Result<AuditHead, CliError> {
    let mut through = base;
    loop {
        let rows = audit.rows(through.rows, PAGE).await?;
        for row in &rows {
            if row.entry.at >= before {
                return Ok(through);
            }
            let row = Row::from(row);
            if !row.follows(through) {
                let next = through.rows.saturating_add(1);
                return Err(AuditCommandError::Tampered(format!("it breaks at row {next}; nothing was removed")).into());
            }
            through = row.head();
            write_line(&Line::Audit(row), out)?;
        }
        if rows.is_empty() {
            return Ok(through);
        }
    }
}

async fn archive_documents(
    evidence: &dyn Evidence,
    before: SystemTime,
    out: &mut dyn Write,
) -> Result<Vec<u64>, CliError> {
    let mut documents = Vec::new();
    loop {
        let after = documents.last().copied().unwrap_or_default();
        let page = evidence.of_done(before, after, DOCUMENTS).await?;
        if page.is_empty() {
            return Ok(documents);
        }
        for old in &page {
            write_line(&Line::Evidence(Document::from(old)), out)?;
            documents.push(old.position);
        }
    }
}

/// Reads the archive back from the disk, checks every line of it as anybody else would, and returns the digest of the file.
fn verified(path: &Path, archived: &Archived) -> Result<B256, CliError> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut hasher, mut head, mut documents) = (Keccak256::new(), archived.base, 0_usize);
    let mut line = 0_u64;
    let wrong = |line| CliError::from(AuditCommandError::Archive { path: path.to_owned(), line });
    loop {
        let mut bytes = Vec::new();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        line = line.saturating_add(1);
        hasher.update(&bytes);
        match serde_json::from_slice(&bytes) {
            Ok(Line::Audit(row)) if row.follows(head) => head = row.head(),
            Ok(Line::Evidence(document)) if document.is_genuine() => documents = documents.saturating_add(1),
            _ => return Err(wrong(line)),
        }
    }
    if head == archived.through && documents == archived.documents.len() {
        Ok(hasher.finalize())
    } else {
        Err(wrong(line.saturating_add(1)))
    }
}

async fn cut(
    store: &Store,
    archived: &Archived,
    archive: B256,
    clock: &dyn Clock,
    reason: &str,
) -> Result<u64, CliError> {
    if archived.through == archived.base {
        return Ok(0);
    }
    let cut = AuditCut { through: archived.through, archive };
    Ok(store.audit.cut(&cut, &cut.entry(clock.now(), &user(), reason)).await?)
}

/// On record first; the digests stay in the journal and in the audit log.
async fn remove_documents(
    store: &Store,
    archived: &Archived,
    before: SystemTime,
    archive: B256,
    clock: &dyn Clock,
    options: &PruneOptions,
) -> Result<u64, CliError> {
    if archived.documents.is_empty() {
        return Ok(0);
    }
    let detail = json!({
        "before": Stamp(before).to_string(),
        "documents": archived.documents.len(),
        "archive": archive,
        "reason": options.reason,
    });
    record(store, clock, "evidence_pruned", None, detail).await?;
    let mut removed: u64 = 0;
    for position in &archived.documents {
        removed = removed.saturating_add(u64::from(store.evidence.remove_done(before, *position).await?));
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use dvn_core::{
        ids::Guid,
        ports::{AuditRow, EvidenceBundle, OldEvidence},
    };
    use dvn_store::audit_row_hash;

    use super::*;

    /// What the disk gives back is checked, not what was meant to be written.
    #[test]
    fn an_archive_that_does_not_read_back_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive.jsonl");
        let mut head = AuditHead::default();
        let mut lines = Vec::new();
        for sequence in 1..=3 {
            let cut = AuditCut { through: head, archive: B256::ZERO };
            let entry = cut.entry(SystemTime::UNIX_EPOCH, "root", "old");
            let row_hash = audit_row_hash(head.hash, sequence, &entry);
            let row = Row::from(&AuditRow { sequence, entry, prev_hash: head.hash, row_hash });
            head = row.head();
            lines.push(serde_json::to_string(&Line::Audit(row)).unwrap());
        }
        let (guid, at, bundle) = (Guid::default(), SystemTime::UNIX_EPOCH, EvidenceBundle::new("{}"));
        let old = OldEvidence { position: 1, guid, at, bundle };
        lines.push(serde_json::to_string(&Line::Evidence(Document::from(&old))).unwrap());
        let archived = Archived { base: AuditHead::default(), through: head, documents: vec![1] };
        let check = |lines: &[String]| {
            fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
            verified(&path, &archived).map_err(|error| error.to_string())
        };
        assert_eq!(check(&lines).unwrap(), alloy_primitives::keccak256(fs::read(&path).unwrap()));
        let without = |index: usize| {
            let mut lines = lines.clone();
            lines.remove(index);
            lines
        };
        let replaced = |index: usize, from: &str, to: &str| {
            let mut lines = lines.clone();
            assert!(lines[index].contains(from), "{}", lines[index]);
            lines[index] = lines[index].replacen(from, to, 1);
            lines
        };
        for (lines, line) in [
            (without(0), 1),
            (without(2), 4),
            (without(3), 4),
            (replaced(1, "operator", "verifier"), 2),
            (replaced(3, "\"{}\"", "\"[]\""), 4),
            (replaced(2, "{", ""), 3),
        ] {
            let told = check(&lines).unwrap_err();
            assert!(told.starts_with(&format!("line {line} of ")), "{told}");
        }
    }
}
