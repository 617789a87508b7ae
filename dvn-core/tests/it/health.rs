//! Keys that fail while nothing is signed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature,
};

use crate::{
    engine::{Setup, key},
    world::Running,
};

/// A key whose device may be gone, or sign with another key.
#[derive(Debug)]
struct Failing {
    key: Arc<dyn Signer>,
    other: Arc<dyn Signer>,
    is_gone: AtomicBool,
    is_swapped: AtomicBool,
    calls: AtomicU64,
}

impl Failing {
    fn new() -> Self {
        let (is_gone, is_swapped, calls) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        Self { key: key(1), other: key(2), is_gone, is_swapped, calls }
    }
}

#[async_trait]
impl Signer for Failing {
    fn address(&self) -> Address {
        self.key.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        assert_eq!(digest, signature::test_digest(self.address()), "nothing else is to be signed here");
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_gone.load(Ordering::SeqCst) {
            return Err(SignError::new(SignErrorKind::Unavailable));
        }
        let key = if self.is_swapped.load(Ordering::SeqCst) { &self.other } else { &self.key };
        key.sign_digest(digest).await
    }
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never became so");
}

#[tokio::test]
async fn a_key_that_fails_is_told_and_so_is_its_return() {
    let setup = Setup::new().await;
    let signer = Arc::new(Failing::new());
    let builder = setup.world.builder(&setup.store, signer.clone()).key_check(Duration::from_millis(5));
    let dvn = builder.build().unwrap();
    let progress = dvn.progress();
    let running = Running::start(dvn);
    until(|| signer.calls.load(Ordering::SeqCst) > 1).await;
    assert_eq!(progress.report().key_error, None);
    for (fault, word) in [(&signer.is_gone, "not available"), (&signer.is_swapped, "wrong signature")] {
        fault.store(true, Ordering::SeqCst);
        until(|| progress.report().key_error.is_some_and(|error| error.contains(word))).await;
        fault.store(false, Ordering::SeqCst);
        until(|| progress.report().key_error.is_none()).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn one_key_of_many_contracts_is_looked_at_once() {
    let setup = Setup::new().await;
    let signer = Arc::new(Failing::new());
    let dvn = setup.world.builder(&setup.store, signer.clone()).build().unwrap();
    dvn.attestor().check_keys().await.unwrap();
    assert_eq!(signer.calls.load(Ordering::SeqCst), 1);
    signer.is_swapped.store(true, Ordering::SeqCst);
    assert_eq!(dvn.attestor().check_keys().await.unwrap_err().kind(), SignErrorKind::Integrity);
}
