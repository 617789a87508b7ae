//! Reading a destination well is most of a submitter's work, so it is left to this project's own. It could send too;
//! with a signer that never signs it is sure not to.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_chain::EvmSubmitter;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::{Outbox, Signer},
};
use dvn_examples::{Failure, parts};
use dvn_testkit::devnet;

/// A submitter to be asked `view`, `committee`, `history` and `head`.
pub(crate) fn submitter(chain: &devnet::Chain, outbox: &Arc<dyn Outbox>) -> Result<EvmSubmitter, Failure> {
    Ok(parts::submitter(&parts::panel(chain)?, chain, Arc::new(NoWallet), Arc::clone(outbox)))
}

/// The wallet is the relayer's.
#[derive(Debug)]
struct NoWallet;

#[async_trait]
impl Signer for NoWallet {
    fn address(&self) -> Address {
        Address::ZERO
    }

    async fn sign_digest(&self, _: B256) -> Result<Signature, SignError> {
        Err(SignError::new(SignErrorKind::Key).because("the relayer has the wallet"))
    }
}
