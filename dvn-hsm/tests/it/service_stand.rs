//! The stand-in for a key service as a device under the suite, whichever service it is.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::Address;
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::testing::{Stand, Trouble};
use dvn_testkit::aws_kms::Fault;

/// Shorter than the three attempts that fit into the usual one.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1_500);

/// What every stand-in can do.
pub(crate) trait StandIn: Send {
    /// What it says to those who may not sign.
    fn refusal(&self) -> Fault;
    fn fail(&self, times: u32, fault: Fault);
    fn heal(&self);
    fn stop(&mut self);
    fn start_again(&mut self) -> io::Result<()>;
    /// How often a signature was asked for; rehearsals do not count where they can be told.
    fn signatures_asked(&self) -> usize;
}

/// A signer of the stand-in's key.
#[async_trait]
pub(crate) trait Opens: Send + Sync {
    async fn open(&self) -> Result<Box<dyn Signer>, SignError>;
}

pub(crate) struct ServiceStand<S, O> {
    address: Address,
    opens: O,
    service: Mutex<Service<S>>,
}

struct Service<S> {
    stand_in: S,
    is_gone: bool,
}

impl<S: StandIn, O: Opens> ServiceStand<S, O> {
    /// Whoever `opens` must end a signature within [`DEADLINE`].
    pub(crate) const fn new(address: Address, stand_in: S, opens: O) -> Self {
        Self { address, opens, service: Mutex::new(Service { stand_in, is_gone: false }) }
    }

    fn service(&self) -> MutexGuard<'_, Service<S>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: StandIn, O: Opens> Stand for ServiceStand<S, O> {
    fn address(&self) -> Address {
        self.address
    }

    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        self.opens.open().await
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn trouble(&self, trouble: Trouble) -> bool {
        let mut service = self.service();
        let (times, fault) = match trouble {
            Trouble::Hangs => (u32::MAX, Fault::Hang),
            Trouble::Throttled { times } => (times, Fault::throttling()),
            Trouble::Refused => (u32::MAX, service.stand_in.refusal()),
            Trouble::WrongSignature => (u32::MAX, Fault::OtherKey),
            Trouble::HighS => (u32::MAX, Fault::HighS),
            Trouble::OneNonce => (u32::MAX, Fault::OneNonce),
            Trouble::Gone => {
                service.stand_in.stop();
                service.is_gone = true;
                return true;
            }
            _ => return false,
        };
        service.stand_in.fail(times, fault);
        true
    }

    fn heal(&self) {
        let mut service = self.service();
        service.stand_in.heal();
        if std::mem::take(&mut service.is_gone) {
            service.stand_in.start_again().unwrap();
        }
    }
}
