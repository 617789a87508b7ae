//! SoftHSM behind the shim as a device under the suite.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use alloy_primitives::Address;
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{
    Pkcs11Config, Pkcs11Signer,
    testing::{Stand, Trouble, conformance},
};

use dvn_testkit::{
    keys::{self, Key},
    pkcs11_shim::{Function, rv},
};

use crate::child::{KEY, World, block_on, with_shim};

/// AWS CloudHSM locks its user after as many; the suite opens the device once while the PIN is refused.
const LOCKS_AFTER: usize = 5;

const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct TokenStand<'a> {
    world: &'a World,
    config: Pkcs11Config,
    key: Key,
    /// How many logins there were when the PIN began to be refused; as many as can be while it is not.
    logins: AtomicUsize,
}

impl<'a> TokenStand<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let key = keys::signer(0);
        world.import(&[(KEY, &key)]);
        let config = world.config().with_deadline(DEADLINE);
        Self { world, config, key, logins: AtomicUsize::new(usize::MAX) }
    }

    /// Where its tokens are while they are not where SoftHSM looks for them.
    fn away(&self) -> PathBuf {
        self.world.tokens().with_extension("away")
    }
}

#[async_trait]
impl Stand for TokenStand<'_> {
    fn address(&self) -> Address {
        self.key.address()
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
        let shim = self.world.shim();
        match trouble {
            Trouble::Hangs => shim.hang(Function::Sign),
            Trouble::Throttled { times } => shim.answer_times(Function::SignInit, times, rv::FUNCTION_FAILED),
            Trouble::Refused => {
                shim.answer(Function::Login, rv::PIN_INCORRECT);
                shim.answer(Function::SignInit, rv::USER_NOT_LOGGED_IN);
                self.logins.store(shim.calls(Function::Login), Ordering::SeqCst);
            }
            Trouble::WrongSignature => shim.flip(),
            Trouble::HighS => shim.high_s(),
            Trouble::OneNonce => shim.one_nonce(&self.key),
            Trouble::Gone => {
                fs::rename(self.world.tokens(), self.away()).unwrap();
                fs::create_dir(self.world.tokens()).unwrap();
            }
            _ => return false,
        }
        true
    }

    fn heal(&self) {
        let shim = self.world.shim();
        let tried = shim.calls(Function::Login).saturating_sub(self.logins.swap(usize::MAX, Ordering::SeqCst));
        shim.heal();
        if tried >= LOCKS_AFTER {
            shim.answer(Function::Login, rv::PIN_LOCKED);
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
        assert_eq!(block_on(conformance(&TokenStand::new(world))), []);
    });
}
