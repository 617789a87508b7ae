//! Eyes that never voted on a packet, and may see otherwise.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use dvn_core::{
    error::{VerifyError, VerifyErrorKind},
    job::{Location, Refusal},
    ports::{Chain, ChainSource, EvidenceBundle, Verification, Verifier},
};

use super::World;

/// What the auditor sees in place of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The same as everybody.
    True,
    Orphaned,
    Rejected {
        is_settled: bool,
    },
    Contradiction,
    Silence,
}

#[derive(Clone, Debug)]
pub(crate) struct AuditSeats {
    world: World,
    sight: Arc<Mutex<Sight>>,
    looks: Arc<AtomicU64>,
}

impl AuditSeats {
    pub(crate) fn new(world: &World, sight: Sight) -> Self {
        Self { world: world.clone(), sight: Arc::new(Mutex::new(sight)), looks: Arc::default() }
    }

    pub(crate) fn see(&self, sight: Sight) {
        *self.sight.lock().unwrap() = sight;
    }

    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Verifier for AuditSeats {
    fn chain(&self) -> &Chain {
        ChainSource::chain(&self.world)
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let sight = *self.sight.lock().unwrap();
        match sight {
            Sight::True => self.world.verify(location).await,
            Sight::Orphaned => Ok(Verification::Orphaned),
            Sight::Rejected { is_settled } => Ok(Verification::Rejected { refusal: Refusal::NotGenuine, is_settled }),
            Sight::Contradiction => {
                let shown = Some(EvidenceBundle::new("{\"votes\":[1,2]}"));
                Err(VerifyError::new(VerifyErrorKind::Contradiction).shown_by(shown))
            }
            Sight::Silence => Err(VerifyError::new(VerifyErrorKind::Missing)),
        }
    }
}
