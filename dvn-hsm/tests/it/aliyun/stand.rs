//! The stand-in as a device under the suite.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::Address;
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{
    AliyunKmsConfig, AliyunKmsSigner,
    testing::{Stand, Trouble, conformance},
};
use dvn_testkit::aliyun_kms::{AliyunKms, Fault};

use super::{World, address};

/// Shorter than the three attempts that fit into the usual one.
const DEADLINE: Duration = Duration::from_millis(1_500);

pub(crate) struct AliyunStand {
    config: AliyunKmsConfig,
    service: Mutex<Service>,
}

struct Service {
    kms: AliyunKms,
    is_gone: bool,
}

impl AliyunStand {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let config = world.config().with_deadline(DEADLINE);
        Self { config, service: Mutex::new(Service { kms: world.kms, is_gone: false }) }
    }
}

#[async_trait]
impl Stand for AliyunStand {
    fn address(&self) -> Address {
        address()
    }

    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        Ok(Box::new(AliyunKmsSigner::open(self.config.clone()).await?))
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn trouble(&self, trouble: Trouble) -> bool {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Trouble::Hangs => service.kms.fail(Fault::Hang),
            Trouble::Throttled { times } => service.kms.fail_times(times, Fault::throttling()),
            Trouble::Refused => service.kms.fail(Fault::error(403, "Forbidden.NoPermission")),
            Trouble::WrongSignature => service.kms.fail(Fault::OtherKey),
            Trouble::HighS => service.kms.fail(Fault::HighS),
            Trouble::OneNonce => service.kms.fail(Fault::OneNonce),
            Trouble::Gone => {
                service.kms.stop();
                service.is_gone = true;
            }
            _ => return false,
        }
        true
    }

    fn heal(&self) {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        service.kms.heal();
        if std::mem::take(&mut service.is_gone) {
            service.kms.start_again().unwrap();
        }
    }
}

#[tokio::test]
async fn passes_the_suite() {
    assert_eq!(conformance(&AliyunStand::new()).await, []);
}
