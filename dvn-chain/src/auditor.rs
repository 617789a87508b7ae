//! A second look at packets that were attested, by eyes that remember nothing of the first one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, VerifyError},
    ids::{BlockRef, Eid},
    job::Location,
    ports::{Chain, FinalizedHashes, Verification, Verifier},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    panel::Panel,
    reader::{EvmReader, SourceConfig},
    verifier::EvmVerifier,
};

/// How long one look serves the packets of its blocks.
const FRESH: Duration = Duration::from_secs(10);

/// Verifies as an [`EvmVerifier`] does, from the newest final block down, without anything that was learned more than ten
/// seconds ago. Best over a panel of seats that never vote; over the voting ones it finds out what they say by now.
///
/// It keeps no record of final hashes: whether they changed is the source's own question, and a seat that only audits must not
/// put anything on that record.
#[derive(Debug)]
pub struct EvmAuditor {
    panel: Arc<Panel>,
    config: SourceConfig,
    eyes: Mutex<Option<(Instant, Arc<EvmVerifier>)>>,
}

impl EvmAuditor {
    /// An auditor over this panel, which reads the chain as `config` says.
    #[must_use]
    pub fn new(panel: Arc<Panel>, config: SourceConfig) -> Self {
        // An outage of its seats only makes an audit late.
        let config = SourceConfig { cool_down: Duration::ZERO, uniform_queries: false, ..config };
        Self { panel, config, eyes: Mutex::default() }
    }

    async fn fresh(&self) -> Arc<EvmVerifier> {
        let mut eyes = self.eyes.lock().await;
        if let Some((since, verifier)) = &*eyes
            && since.elapsed() < FRESH
        {
            return Arc::clone(verifier);
        }
        let reader = EvmReader::new(Arc::clone(&self.panel), self.config.clone(), Arc::new(Nothing));
        let verifier = Arc::new(EvmVerifier::new(Arc::new(reader)));
        *eyes = Some((Instant::now(), Arc::clone(&verifier)));
        verifier
    }
}

#[async_trait]
impl Verifier for EvmAuditor {
    fn chain(&self) -> &Chain {
        self.panel.chain()
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        self.fresh().await.verify(location).await
    }
}

/// Remembers no hash.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl FinalizedHashes for Nothing {
    async fn record(&self, _: Eid, _: BlockRef) -> Result<(), StoreError> {
        Ok(())
    }

    async fn newest(&self, _: Eid) -> Result<Option<BlockRef>, StoreError> {
        Ok(None)
    }
}
