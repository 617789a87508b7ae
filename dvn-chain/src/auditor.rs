//! A second look at packets that were attested, by eyes that remember nothing of the first one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, VerifyError, VerifyErrorKind},
    ids::{BlockRef, Eid},
    job::Location,
    ports::{Chain, FinalizedHashes, Verification, Verifier},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    anchor,
    panel::{Panel, PanelError},
    reader::{EvmReader, SourceConfig},
    verifier::EvmVerifier,
};

/// How long one look serves the packets of its blocks, unless told otherwise.
const FRESH: Duration = Duration::from_secs(10);

/// Verifies as an [`EvmVerifier`] does, from the newest final block down, without anything that was learned longer ago than
/// its freshness. Best over a panel of seats that never vote; over the voting ones it finds out what they say by now.
///
/// It keeps no record of final hashes: whether they changed is the source's own question, and a seat that only audits must not
/// put anything on that record.
#[derive(Debug)]
pub struct EvmAuditor {
    panel: Arc<Panel>,
    config: SourceConfig,
    fresh: Duration,
    eyes: Mutex<Option<(Instant, Eyes)>>,
}

/// A reader without a past, and the verifier over it.
#[derive(Clone, Debug)]
struct Eyes {
    reader: Arc<EvmReader>,
    verifier: Arc<EvmVerifier>,
}

impl EvmAuditor {
    /// An auditor over this panel, which reads the chain as `config` says.
    #[must_use]
    pub fn new(panel: Arc<Panel>, config: SourceConfig) -> Self {
        // An outage of its seats only makes an audit late.
        let config = SourceConfig { cool_down: Duration::ZERO, uniform_queries: false, ..config };
        Self { panel, config, fresh: FRESH, eyes: Mutex::default() }
    }

    /// How long what one look learned serves the next ones; ten seconds by default, so that the packets of a block share a look.
    #[must_use]
    pub const fn with_freshness(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }

    async fn fresh(&self) -> Eyes {
        let mut eyes = self.eyes.lock().await;
        if let Some((since, open)) = &*eyes
            && since.elapsed() < self.fresh
        {
            return open.clone();
        }
        let reader = Arc::new(EvmReader::new(Arc::clone(&self.panel), self.config.clone(), Arc::new(Nothing)));
        let verifier = Arc::new(EvmVerifier::new(Arc::clone(&reader)));
        let open = Eyes { reader, verifier };
        *eyes = Some((Instant::now(), open.clone()));
        open
    }

    /// The seats contradict each other about the newest final block. That concerns a packet below only where they differ about
    /// its own block: branches that part above it both hold it.
    async fn below_a_contradiction(
        &self,
        location: &Location,
        contradiction: VerifyError,
    ) -> Result<Verification, VerifyError> {
        match anchor::block_at(&self.panel, location.block.number).await {
            Ok(agreed) if agreed.value.block == location.block => {
                let detail = "the chain is in contradiction above the packet's block, about which the seats agree";
                let error = VerifyError::new(VerifyErrorKind::Missing).chain(&self.panel.chain().name);
                Err(error.block(location.block.number).because(detail).caused_by(contradiction))
            }
            Ok(_) => Ok(Verification::Orphaned),
            Err(PanelError::Contradiction { .. }) => Err(contradiction),
            Err(error @ PanelError::Missing { .. }) => {
                let missing = VerifyError::new(VerifyErrorKind::Missing).chain(&self.panel.chain().name);
                Err(missing.block(location.block.number).because(error.to_string()))
            }
        }
    }
}

#[async_trait]
impl Verifier for EvmAuditor {
    fn chain(&self) -> &Chain {
        self.panel.chain()
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        let Eyes { reader, verifier } = self.fresh().await;
        match verifier.verify(location).await {
            Err(error) if error.kind() == VerifyErrorKind::Contradiction && reader.head().await.is_err() => {
                self.below_a_contradiction(location, error).await
            }
            result => result,
        }
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
