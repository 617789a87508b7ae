//! The stand-in as a device under the suite.

use std::io;

use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{AliyunKmsConfig, AliyunKmsSigner, testing::conformance};
use dvn_testkit::aliyun_kms::{AliyunKms, Fault};

use super::{SIGN, World, address};
use crate::service_stand::{DEADLINE, Opens, ServiceStand, StandIn};

impl StandIn for AliyunKms {
    fn refusal(&self) -> Fault {
        Fault::error(403, "Forbidden.NoPermission")
    }

    fn fail(&self, times: u32, fault: Fault) {
        self.fail_times(times, fault);
    }

    fn heal(&self) {
        Self::heal(self);
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn start_again(&mut self) -> io::Result<()> {
        Self::start_again(self)
    }

    fn signatures_asked(&self) -> usize {
        self.asked(SIGN)
    }
}

#[async_trait]
impl Opens for AliyunKmsConfig {
    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        Ok(Box::new(AliyunKmsSigner::open(self.clone()).await?))
    }
}

pub(crate) fn stand() -> ServiceStand<AliyunKms, AliyunKmsConfig> {
    let world = World::new();
    let config = world.config().with_deadline(DEADLINE);
    ServiceStand::new(address(), world.kms, config)
}

#[tokio::test]
async fn passes_the_suite() {
    assert_eq!(conformance(&stand()).await, []);
}
