//! The stand-in as a device under the suite.

use std::io;

use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{GcpKmsConfig, GcpKmsSigner, testing::conformance};
use dvn_testkit::{
    aws_kms,
    gcp_kms::{Code, Fault, GcpKms},
};

use super::{SIGN, World, address};
use crate::service_stand::{DEADLINE, Opens, ServiceStand, StandIn};

impl StandIn for GcpKms {
    fn refusal(&self) -> aws_kms::Fault {
        aws_kms::Fault::error(403, "PermissionDenied")
    }

    fn fail(&self, times: u32, fault: aws_kms::Fault) {
        self.fail_times(times, translated(fault));
    }

    fn signatures_asked(&self) -> usize {
        self.asked(SIGN)
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
}

/// In this service's words; its codes have no HTTP status.
fn translated(fault: aws_kms::Fault) -> Fault {
    match fault {
        aws_kms::Fault::Hang => Fault::Hang,
        aws_kms::Fault::OtherKey => Fault::OtherKey,
        aws_kms::Fault::OtherDigest => Fault::OtherDigest,
        aws_kms::Fault::OtherName => Fault::OtherName,
        aws_kms::Fault::HighS => Fault::HighS,
        aws_kms::Fault::OneNonce => Fault::OneNonce,
        aws_kms::Fault::Noise => Fault::Noise,
        aws_kms::Fault::Error { code, .. } => {
            let known = (1..=16).map(Code::from_i32).find(|known| format!("{known:?}") == code);
            Fault::error(known.unwrap(), "scripted")
        }
        fault => {
            assert_eq!(fault, aws_kms::Fault::throttling(), "the service has no such fault");
            Fault::throttling()
        }
    }
}

#[async_trait]
impl Opens for GcpKmsConfig {
    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        Ok(Box::new(GcpKmsSigner::open(self.clone()).await?))
    }
}

pub(crate) fn stand() -> ServiceStand<GcpKms, GcpKmsConfig> {
    let world = World::new();
    let config = world.config().with_deadline(DEADLINE);
    ServiceStand::new(address(), world.kms, config)
}

#[tokio::test]
async fn passes_the_suite() {
    assert_eq!(conformance(&stand()).await, []);
}
