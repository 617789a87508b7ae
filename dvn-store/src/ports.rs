//! All ports on one database.

use std::sync::Arc;

use dvn_core::ports::Store;

use crate::{audit::GroupedAudit, database::Database};

pub(crate) fn of(database: &Arc<Database>) -> Store {
    Store {
        jobs: database.clone(),
        cursors: database.clone(),
        paths: database.clone(),
        finalized: database.clone(),
        journal: database.clone(),
        halts: database.clone(),
        outbox: database.clone(),
        evidence: database.clone(),
        audit: Arc::new(GroupedAudit::new(Arc::clone(database))),
        leases: database.clone(),
    }
}
