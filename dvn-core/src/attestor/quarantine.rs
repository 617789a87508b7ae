//! While the journal may have forgotten something, nothing is signed until whatever that was has expired.

use super::{Attestor, errors::from_journal};
use crate::{
    error::{CosignError, CosignErrorKind},
    ids::ChainTime,
};

impl Attestor {
    /// `time` is the destination's: expirations are by it, and this node's clock may be wrong.
    pub(super) async fn refuse_if_quarantined(&self, time: ChainTime) -> Result<(), CosignError> {
        let state = self.journal.state().await.map_err(from_journal)?;
        match state.quarantine {
            Some(it) if it.lasts(self.clock.now(), time) => {
                let detail =
                    format!("the journal is quarantined until second {}: {}", it.until_chain_time(), it.reason);
                Err(CosignError::new(CosignErrorKind::Halted).because(detail))
            }
            _ => Ok(()),
        }
    }
}
