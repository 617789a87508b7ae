//! SoftHSM behind the shim as a device under the suite.

use std::{fs, path::PathBuf, time::Duration};

use alloy_primitives::Address;
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{
    Pkcs11Config, Pkcs11Signer,
    testing::{Stand, Trouble, conformance},
};

use crate::child::{World, block_on, with_shim};

const DEADLINE: Duration = Duration::from_secs(2);

struct TokenStand<'a> {
    world: &'a World,
    config: Pkcs11Config,
    address: Address,
}

impl<'a> TokenStand<'a> {
    fn new(world: &'a World) -> Self {
        let address = world.provision();
        Self { world, config: world.config().with_deadline(DEADLINE), address }
    }

    /// Where its tokens are while they are not where SoftHSM looks for them.
    fn away(&self) -> PathBuf {
        self.world.tokens().with_extension("away")
    }
}

#[async_trait]
impl Stand for TokenStand<'_> {
    fn address(&self) -> Address {
        self.address
    }

    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        let config = self.config.clone();
        let opened = tokio::task::spawn_blocking(|| Pkcs11Signer::open(config)).await.unwrap();
        opened.map(|signer| Box::new(signer) as Box<dyn Signer>)
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn trouble(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Hangs => self.world.shim().switch("Sign.hang", ""),
            Trouble::Throttled { times: u32::MAX } => self.world.shim().switch("SignInit.rv", "06"), // CKR_FUNCTION_FAILED
            Trouble::Refused => {
                self.world.shim().switch("Login.rv", "a0"); // CKR_PIN_INCORRECT
                self.world.shim().switch("SignInit.rv", "101"); // CKR_USER_NOT_LOGGED_IN
            }
            Trouble::WrongSignature => self.world.shim().switch("Sign.flip", ""),
            Trouble::Gone => {
                fs::rename(self.world.tokens(), self.away()).unwrap();
                fs::create_dir(self.world.tokens()).unwrap();
            }
            _ => return false,
        }
        true
    }

    fn heal(&self) {
        for switch in ["Sign.hang", "Sign.flip", "SignInit.rv", "Login.rv"] {
            self.world.shim().switch_off(switch);
        }
        if self.away().is_dir() {
            fs::remove_dir(self.world.tokens()).unwrap();
            fs::rename(self.away(), self.world.tokens()).unwrap();
        }
    }
}

#[test]
fn passes_the_suite() {
    with_shim("stand::passes_the_suite", |world| {
        let left_out = block_on(conformance(&TokenStand::new(world)));
        assert_eq!(left_out, [Trouble::Throttled { times: 2 }, Trouble::HighS, Trouble::OneNonce]);
    });
}
