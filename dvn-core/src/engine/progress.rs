use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::lock;
use crate::{
    ids::{BlockNumber, Eid},
    ports::Head,
};

/// What a running DVN last saw of its sources. A hint for people; the store has the truth.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<Eid, SourceProgress>>>);

/// What was last seen of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceProgress {
    /// The chain's newest and newest settled block.
    pub head: Option<Head>,
    /// The last block whose assignments are all stored.
    pub cursor: Option<BlockNumber>,
    /// Why the source could not be read, while it could not.
    pub error: Option<String>,
}

impl Progress {
    /// The newest state of each source.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Eid, SourceProgress> {
        lock(&self.0).clone()
    }

    pub(crate) fn update(&self, eid: Eid, change: impl FnOnce(&mut SourceProgress)) {
        change(lock(&self.0).entry(eid).or_default());
    }
}
