//! The audit log's head, kept in a file beside it, and what the two together show.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use alloy_primitives::B256;
use dvn_core::{
    error::StoreError,
    ports::{AuditHead, AuditLog},
};
use serde::{Deserialize, Serialize};

use crate::time::Stamp;

/// A head as it stands in the file: one JSON object in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptHead {
    /// How many rows the log ever had.
    pub(crate) rows: u64,
    /// The newest one's hash.
    pub(crate) hash: B256,
    /// When it was written, for people.
    pub(crate) at: String,
}

impl KeptHead {
    pub(crate) fn new(head: AuditHead, at: SystemTime) -> Self {
        Self { rows: head.rows, hash: head.hash, at: Stamp(at).to_string() }
    }

    pub(crate) const fn head(&self) -> AuditHead {
        AuditHead { rows: self.rows, hash: self.hash }
    }

    /// What is kept; nothing where there is no file.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let kept = serde_json::from_str(&text);
        kept.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Puts it in the place of what is kept, as a whole and synced.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut file = File::create(&beside)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    }
}

/// Makes a file's own entry durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What is wrong with a log whose head was this once, if anything is. The head has to be read before the log is.
pub(crate) async fn contradiction(audit: &dyn AuditLog, kept: &KeptHead) -> Result<Option<String>, StoreError> {
    let head = audit.head().await?;
    if kept.rows > head.rows {
        let first = head.rows.saturating_add(1);
        return Ok(Some(format!(
            "rows from {first} on were cut off: there were {} on {}, there are {}",
            kept.rows, kept.at, head.rows
        )));
    }
    let there = point(audit, kept.rows).await?;
    // What retention cut off since then is in an archive.
    Ok(there.filter(|there| *there != kept.head()).map(|_| {
        format!("the log was written anew: row {} is not the one whose hash was kept on {}", kept.rows, kept.at)
    }))
}

/// The point at this row; nothing where retention cut it off.
async fn point(audit: &dyn AuditLog, rows: u64) -> Result<Option<AuditHead>, StoreError> {
    let Some(before) = rows.checked_sub(1) else { return Ok(Some(AuditHead::default())) };
    let base = audit.base().await?;
    if base.rows == rows {
        return Ok(Some(base));
    }
    let row = audit.rows(before, 1).await?.pop().filter(|row| row.sequence == rows);
    Ok(row.map(|row| AuditHead { rows: row.sequence, hash: row.row_hash }))
}

/// The first 6 bytes of a hash as a number, which a gauge holds exactly.
pub(crate) fn as_number(hash: B256) -> u64 {
    hash.iter().take(6).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use dvn_core::ports::{AuditCut, AuditEntry};
    use dvn_store::Sqlite;

    use super::*;

    #[test]
    fn the_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        assert_eq!(KeptHead::read(&path).unwrap(), None);
        for rows in [1, 2] {
            let kept = KeptHead::new(AuditHead { rows, hash: B256::repeat_byte(1) }, UNIX_EPOCH);
            kept.write(&path).unwrap();
            assert_eq!(KeptHead::read(&path).unwrap(), Some(kept));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(&path, "12").unwrap();
        assert_eq!(KeptHead::read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_hash_begins_with_its_number() {
        assert_eq!(as_number(B256::repeat_byte(0xff)), (1 << 48) - 1);
        assert_eq!(as_number(B256::right_padding_from(&[0, 0, 0, 0, 1, 2, 3])), 0x0102);
    }

    #[tokio::test]
    async fn a_log_that_is_shorter_or_another_one_shows() {
        let audit = Sqlite::in_memory().await.unwrap().store().audit;
        let entry = |detail: &str| AuditEntry {
            at: UNIX_EPOCH,
            actor: "engine".to_owned(),
            action: "halt".to_owned(),
            guid: None,
            evidence: None,
            detail: detail.to_owned(),
        };
        let none = KeptHead::new(AuditHead::default(), UNIX_EPOCH);
        assert_eq!(contradiction(&*audit, &none).await.unwrap(), None);
        audit.append(&[entry("1"), entry("2"), entry("3")]).await.unwrap();
        let kept = KeptHead::new(audit.head().await.unwrap(), UNIX_EPOCH);
        audit.append(&[entry("4")]).await.unwrap();
        assert_eq!(contradiction(&*audit, &kept).await.unwrap(), None);
        let longer = KeptHead { rows: 9, ..kept.clone() };
        assert!(contradiction(&*audit, &longer).await.unwrap().unwrap().contains("rows from 5 on were cut off"));
        let other = KeptHead { hash: B256::ZERO, ..kept.clone() };
        let told = contradiction(&*audit, &other).await.unwrap().unwrap();
        assert!(told.contains("row 3 is not the one"), "{told}");
        // At a cut, and before one.
        let cut = AuditCut { through: kept.head(), archive: B256::ZERO };
        audit.cut(&cut, &cut.entry(UNIX_EPOCH, "root", "old")).await.unwrap();
        assert_eq!(contradiction(&*audit, &kept).await.unwrap(), None);
        assert!(contradiction(&*audit, &other).await.unwrap().is_some());
        assert_eq!(contradiction(&*audit, &KeptHead { rows: 2, ..other }).await.unwrap(), None);
    }
}
