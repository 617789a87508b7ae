//! A device that tests watch.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};

/// A signer that counts, and may misbehave.
#[derive(Debug)]
pub(crate) struct CountingSigner {
    inner: Arc<dyn Signer>,
    /// Signs in place of `inner` where set, under `inner`'s address.
    pub(crate) impostor: Option<Arc<dyn Signer>>,
    pub(crate) calls: AtomicU64,
}

impl CountingSigner {
    pub(crate) fn new(inner: Arc<dyn Signer>) -> Self {
        Self { inner, impostor: None, calls: AtomicU64::new(0) }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Signer for CountingSigner {
    fn address(&self) -> Address {
        self.inner.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.impostor.as_ref().unwrap_or(&self.inner).sign_digest(digest).await
    }
}
