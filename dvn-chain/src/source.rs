//! What was assigned to us on a source chain: hints for the verifier, which reads everything again.

mod range;
mod scan;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use alloy::primitives::Address;
use async_trait::async_trait;
use dvn_core::{
    error::{ChainSourceError, ChainSourceErrorKind},
    ids::{BlockNumber, Confirmations},
    ports::{Chain, ChainSource, Head, Scan},
};

use self::range::Stride;
use crate::{
    head,
    panel::{Panel, PanelError},
    profile::{Finality, Profile},
};

/// The contracts of a source chain. Keyed by role: one address may play different roles on different chains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SourceContracts {
    /// `EndpointV2`.
    pub endpoint: Address,
    /// The `SendUln302`s whose packets are attested.
    pub send_libs: Vec<Address>,
    /// `SendUln301`s whose packets are noticed, reported and never attested; may be empty.
    pub legacy_send_libs: Vec<Address>,
    /// Our DVN contract, the one that `DVNFeePaid` names.
    pub dvn: Address,
}

/// How a source chain is scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SourceConfig {
    /// Its contracts.
    pub contracts: SourceContracts,
    /// Which tag settles a block.
    pub finality: Finality,
    /// The operator's confirmations: with [`Finality::Latest`] they alone settle a block.
    pub floor: Confirmations,
    /// Usual time between blocks; paces polling.
    pub block_time: Duration,
    /// How many blocks one `eth_getLogs` asks for at first.
    pub log_range: u64,
}

impl SourceConfig {
    /// The settings of a class of chain.
    #[must_use]
    pub const fn new(contracts: SourceContracts, profile: &Profile, floor: Confirmations) -> Self {
        let Profile { finality, block_time, log_range, .. } = *profile;
        Self { contracts, finality, floor, block_time, log_range }
    }
}

/// Scans a source chain's logs over all seats of a panel.
#[derive(Debug)]
pub struct EvmSource {
    panel: Arc<Panel>,
    config: SourceConfig,
    stride: Stride,
}

const SHORTEST_POLL: Duration = Duration::from_millis(100);
const LONGEST_POLL: Duration = Duration::from_secs(15);

impl EvmSource {
    /// A source over this panel's chain.
    #[must_use]
    pub fn new(panel: Arc<Panel>, config: SourceConfig) -> Self {
        let stride = Stride::new(config.log_range);
        Self { panel, config, stride }
    }

    fn error(&self, error: PanelError) -> ChainSourceError {
        // A hint decides nothing, so that a dissent about one is no more than a missing answer.
        ChainSourceError::new(ChainSourceErrorKind::Missing).chain(&self.panel.chain().name).caused_by(error)
    }

    fn poll_interval(&self) -> Duration {
        self.config.block_time.div_f32(2.0).clamp(SHORTEST_POLL, LONGEST_POLL)
    }
}

#[async_trait]
impl ChainSource for EvmSource {
    fn chain(&self) -> &Chain {
        self.panel.chain()
    }

    async fn next_head(&self, seen: Option<Head>) -> Result<Head, ChainSourceError> {
        loop {
            let head =
                head::head(&self.panel, self.config.finality, self.config.floor).await.map_err(|it| self.error(it))?;
            if Some(head) != seen {
                return Ok(head);
            }
            tokio::time::sleep(self.poll_interval()).await;
        }
    }

    async fn scan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        scan::scan(self, range).await
    }
}
