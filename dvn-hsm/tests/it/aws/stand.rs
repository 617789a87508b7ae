//! The stand-in as a device under the suite.

use std::io;

use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{AwsKmsConfig, AwsKmsSigner, testing::conformance};
use dvn_testkit::aws_kms::{AwsKms, Fault};

use super::{SIGN, World, address};
use crate::service_stand::{DEADLINE, Opens, ServiceStand, StandIn};

impl StandIn for AwsKms {
    fn refusal(&self) -> Fault {
        Fault::error(400, "AccessDeniedException")
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
impl Opens for AwsKmsConfig {
    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        Ok(Box::new(AwsKmsSigner::open(self.clone()).await?))
    }
}

pub(crate) fn stand() -> ServiceStand<AwsKms, AwsKmsConfig> {
    let world = World::new();
    let config = world.config().with_deadline(DEADLINE);
    ServiceStand::new(address(), world.kms, config)
}

#[tokio::test]
async fn passes_the_suite() {
    assert_eq!(conformance(&stand()).await, []);
}
