//! A peer as a cosigner.

mod journal;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::{Address, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{CosignError, CosignErrorKind},
    ids::Eid,
    ports::{Cosigner, Journal, Proposal, Retraction},
};
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    identity::{Identity, IdentityError},
    memory::Memory,
    wire::{self, Asked, AskedBack, Given, Refused, ShownJournal},
};
use crate::{config, http::PeerStatus};

/// How often a peer is looked for, and how long it has to answer.
const LOOK: Duration = Duration::from_secs(2);

/// Why a peer cannot be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its address cannot be used.
    #[error("signing.peers: {name} cannot be asked")]
    Client {
        /// Its name.
        name: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// Another node of the quorum.
#[derive(Debug)]
pub struct Peer {
    name: String,
    address: Address,
    cosign: Url,
    retract: Url,
    health: Url,
    http: Client,
    /// Its keys for destinations that have one of their own there, as it says. What it signs with them counts only if the
    /// destination's contract lists them.
    others: Mutex<BTreeMap<u32, Address>>,
    /// Why it did not answer when it was last looked for or asked.
    trouble: Mutex<Option<String>>,
    memory: Mutex<Memory>,
    /// This node's own, which it shows with its proposals.
    own: Arc<dyn Journal>,
}

impl Peer {
    /// The way to this peer; `timeout` is for one proposal, and `own` this node's journal. Nothing is connected yet.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn new(
        peer: &config::Peer,
        identity: &Identity,
        timeout: Duration,
        own: Arc<dyn Journal>,
    ) -> Result<Arc<Self>, PeerError> {
        let http = Client::builder()
            .tls_backend_preconfigured(identity.client(&peer.name)?)
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(LOOK)
            .timeout(timeout)
            .build()
            .map_err(|source| PeerError::Client { name: peer.name.clone(), source })?;
        let at = |path: &str| {
            let mut url = peer.url.expose().clone();
            url.set_path(path);
            url.set_query(None);
            url
        };
        Ok(Arc::new(Self {
            name: peer.name.clone(),
            address: peer.address,
            cosign: at(wire::COSIGN),
            retract: at(wire::RETRACT),
            health: at(wire::HEALTH),
            http,
            others: Mutex::default(),
            trouble: Mutex::default(),
            memory: Mutex::default(),
            own,
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// For the status page.
    pub(crate) fn status(&self) -> PeerStatus {
        let status = PeerStatus::new(&self.name, self.address.to_string(), lock(&self.trouble).clone());
        status.with_alarm(lock(&self.memory).conflict().map(str::to_owned))
    }

    /// Looks for the peer for ever.
    pub async fn watch(self: Arc<Self>) {
        loop {
            let result = tokio::time::timeout(LOOK, self.look()).await;
            self.note(result.unwrap_or_else(|_| Err("it did not answer in time".to_owned())));
            tokio::time::sleep(LOOK).await;
        }
    }

    fn note(&self, found: Result<(), String>) {
        let healthy = if found.is_ok() { 1.0 } else { 0.0 };
        metrics::gauge!("dvn_peer_healthy", "peer" => self.name.clone()).set(healthy);
        let before = std::mem::replace(&mut *lock(&self.trouble), found.clone().err());
        match found {
            Ok(()) if before.is_some() => info!(peer = self.name, "peer is back"),
            Err(error) if before.is_none() => warn!(peer = self.name, error, "peer is gone"),
            Ok(()) | Err(_) => {}
        }
    }

    async fn propose(&self, proposal: &Proposal) -> Result<Signature, CosignError> {
        self.refuse_conflict()?;
        let (state, head) = tokio::try_join!(self.own.state(), self.own.head()).map_err(|error| {
            CosignError::new(CosignErrorKind::Unavailable).because("the journal could not be read").caused_by(error)
        })?;
        let signature = self.ask(&self.cosign, &Asked::new(proposal, ShownJournal::new(state.id, head))).await?;
        // The peer may have shown another journal meanwhile.
        self.refuse_conflict()?;
        Ok(signature)
    }

    async fn ask(&self, url: &Url, asked: &impl Serialize) -> Result<Signature, CosignError> {
        let unavailable = |detail: String| CosignError::new(CosignErrorKind::Unavailable).because(detail);
        let sent = self.http.post(url.clone()).json(asked).send().await;
        let response = sent.map_err(|error| {
            let detail = innermost(error);
            self.note(Err(detail.clone()));
            unavailable(detail)
        })?;
        if response.status() == StatusCode::OK {
            let given: Given = read(response).await.map_err(unavailable)?;
            let refused = || CosignError::new(CosignErrorKind::Refused).because("its answer is no signature");
            return given.signature().ok_or_else(refused);
        }
        let status = response.status();
        let refused: Refused = read(response).await.map_err(|error| unavailable(format!("{status}: {error}")))?;
        if refused.is_alarm() {
            tracing::error!(peer = self.name, kind = refused.kind(), "a peer raises an alarm about a packet");
        }
        Err(refused.into_error())
    }
}

#[async_trait]
impl Cosigner for Peer {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self, dst_eid: Eid) -> Option<Address> {
        Some(lock(&self.others).get(&dst_eid.0).copied().unwrap_or(self.address))
    }

    fn is_healthy(&self) -> bool {
        lock(&self.trouble).is_none() && lock(&self.memory).conflict().is_none()
    }

    async fn cosign(&self, proposal: &Proposal) -> Result<Signature, CosignError> {
        let started = Instant::now();
        let result = self.propose(proposal).await;
        let outcome = result.as_ref().map_or_else(|error| error.kind().name(), |_| "Signed");
        let labels = [("peer", self.name.clone()), ("outcome", outcome.to_owned())];
        metrics::histogram!("dvn_cosign_seconds", &labels).record(started.elapsed().as_secs_f64());
        result
    }

    /// Also of a peer whose journal is in doubt: what is taken back can only make our word worth less.
    async fn take_back(&self, retraction: &Retraction) -> Result<Signature, CosignError> {
        self.ask(&self.retract, &AskedBack::from(retraction)).await
    }
}

/// What a panicked holder left is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that is not longer than answers are.
async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(innermost)? {
        body.extend_from_slice(&chunk);
        if body.len() > wire::MOST_BYTES {
            return Err("its answer is too long".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|error| format!("its answer is something else: {error}"))
}

/// What the connection itself said.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
