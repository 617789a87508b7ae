//! Answers peers.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Signature};
use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use dvn_core::{
    attestor::Attestor,
    error::{CosignError, CosignErrorKind, JournalError},
    ports::{Journal, Proposal, Retraction, Store},
};
use thiserror::Error;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    client::Peer,
    identity::{Identity, IdentityError},
    limit::Limit,
    listener::{PeerListener, Remote},
    told::{Question, Told},
    wire::{self, Asked, AskedBack, Given, Health, Look, Refused, ShownJournal},
};
use crate::config::Cosigning;

/// A peer that asks a moment before this node's own heads are there is kept waiting so long, which saves it another round.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why peers cannot be answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is taken.
    #[error("signing.listen: cannot listen on {address}: another process may use the port")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The server before it runs.
#[derive(Debug)]
pub struct Server {
    tcp: TcpListener,
    config: rustls::ServerConfig,
    names: Vec<Arc<str>>,
}

/// The addresses of this node's attesting keys.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Addresses {
    /// That of `hsm`, by which peers know the node.
    pub signer: Address,
    /// Those of destinations that have a key of their own, by eid.
    pub others: BTreeMap<u32, Address>,
}

/// What this node answers with.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Member {
    /// Its `service.name`.
    pub name: String,
    /// The addresses of its keys.
    pub addresses: Addresses,
    /// What verifies and signs.
    pub attestor: Arc<Attestor>,
    /// What it remembers by.
    pub store: Store,
    /// The other nodes, as this one asks them.
    pub peers: Vec<Arc<Peer>>,
}

struct Shared {
    name: String,
    signer: Address,
    others: BTreeMap<u32, Address>,
    attestor: Arc<Attestor>,
    journal: Arc<dyn Journal>,
    told: Told,
    peers: BTreeMap<Arc<str>, Arc<Peer>>,
    limits: BTreeMap<Arc<str>, Limit>,
    retractions: BTreeMap<Arc<str>, Limit>,
}

impl Server {
    /// Takes the address. Nobody is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(cosigning: &Cosigning, identity: &Identity) -> Result<Self, ListenError> {
        let address = cosigning.listen;
        let tcp = TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })?;
        let names = cosigning.peers.iter().map(|peer| Arc::from(peer.name.as_str())).collect();
        Ok(Self { tcp, config: identity.server()?, names })
    }

    /// Answers as this member until `stop`, then finishes the requests that have begun.
    ///
    /// # Errors
    /// Whatever the operating system says about the listener.
    pub async fn run(self, member: Member, stop: CancellationToken) -> io::Result<()> {
        let Member { name, addresses: Addresses { signer, others }, attestor, store, peers } = member;
        let peers = peers.into_iter().map(|peer| (Arc::from(peer.name()), peer)).collect();
        let shares = || self.names.iter().map(|name| (Arc::clone(name), Limit::new())).collect();
        let (limits, retractions) = (shares(), shares());
        let listener = PeerListener::new(self.tcp, self.config, self.names)?;
        let (journal, told) = (Arc::clone(&store.journal), Told::new(store));
        let shared = Shared { name, signer, others, attestor, journal, told, peers, limits, retractions };
        let shared = Arc::new(shared);
        let router = Router::new()
            .route(wire::COSIGN, post(cosign))
            .route(wire::RETRACT, post(retract))
            .route(wire::HEALTH, get(health))
            .layer(DefaultBodyLimit::max(wire::MOST_BYTES))
            .with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Remote>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
        let served = tokio::select! {
            served = serving.into_future() => served,
            never = shared.told.flush_for_ever() => match never {},
        };
        shared.told.finish().await;
        served
    }
}

async fn health(State(shared): State<Arc<Shared>>, Query(look): Query<Look>) -> Response {
    match shared.shown(look.rows).await {
        Ok((journal, row_hash)) => {
            let (name, signer, others) = (shared.name.clone(), shared.signer, shared.others.clone());
            Json(Health { name, signer, others, journal, row_hash }).into_response()
        }
        Err(error) => {
            warn!(%error, "the journal cannot be shown to a peer");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

impl Shared {
    /// The journal, and the hash of one of its rows.
    async fn shown(&self, row: Option<u64>) -> Result<(ShownJournal, Option<B256>), JournalError> {
        let (state, head) = tokio::try_join!(self.journal.state(), self.journal.head())?;
        let hash = match row {
            Some(row) => self.journal.row(row).await?.map(|row| row.row_hash),
            None => None,
        };
        Ok((ShownJournal::new(state.id, head), hash))
    }

    /// Whether the proposer's journal is the one that is known, is asked while the packet is looked at.
    async fn attest(&self, peer: &str, asked: Asked) -> Result<Signature, CosignError> {
        let journal = asked.journal();
        let stranger = || CosignError::new(CosignErrorKind::Refused).because("no peer of this name");
        let peer = self.peers.get(peer).ok_or_else(stranger)?;
        peer.hear(journal)?;
        let proposal = asked.proposal();
        let (confirmed, signature) =
            tokio::join!(peer.confirm(journal), patiently(&self.attestor, peer.name(), &proposal));
        confirmed?;
        signature
    }
}

async fn cosign(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    Json(asked): Json<Asked>,
) -> Response {
    let peer = remote.name.to_string();
    let Some(_place) = shared.limits.get(&remote.name).and_then(Limit::take) else {
        count(&peer, "Limited");
        let busy = CosignError::new(CosignErrorKind::Unavailable).because("too many proposals at once");
        return refusal(StatusCode::TOO_MANY_REQUESTS, &busy);
    };
    let (location, dst) = asked.place();
    let question = Question::Attest(asked.proposal());
    let answer = shared.attest(&peer, asked).await;
    shared.told.answered(&peer, &question, answer.as_ref().err()).await;
    match answer {
        Ok(signature) => {
            count(&peer, "Signed");
            info!(peer, block = %location.block, dst, "cosigned");
            Json(Given::new(&signature)).into_response()
        }
        Err(error) => {
            count(&peer, error.kind().name());
            let kind = error.kind().name();
            warn!(peer, address = %remote.address, block = %location.block, tx_hash = %location.tx_hash, kind, %error, "a peer's proposal is refused");
            refusal(StatusCode::CONFLICT, &error)
        }
    }
}

/// Taking back comes before everything: it has no share of the limits that proposals use up.
async fn retract(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    Json(asked): Json<AskedBack>,
) -> Response {
    let peer = remote.name.to_string();
    let Some(_place) = shared.retractions.get(&remote.name).and_then(Limit::take) else {
        let busy = CosignError::new(CosignErrorKind::Unavailable).because("too many retractions at once");
        return refusal(StatusCode::TOO_MANY_REQUESTS, &busy);
    };
    let retraction = Retraction::from(asked);
    let guid = retraction.claim.header.guid();
    let answer = shared.attestor.retract(&retraction).await;
    shared.told.answered(&peer, &Question::TakeBack(retraction), answer.as_ref().err()).await;
    match answer {
        Ok(signature) => {
            count(&peer, "Retracted");
            warn!(peer, %guid, "a peer's retraction is cosigned");
            Json(Given::new(&signature)).into_response()
        }
        Err(error) => {
            count(&peer, error.kind().name());
            warn!(peer, address = %remote.address, %guid, %error, "a peer's retraction is refused");
            refusal(StatusCode::CONFLICT, &error)
        }
    }
}

async fn patiently(attestor: &Attestor, peer: &str, proposal: &Proposal) -> Result<Signature, CosignError> {
    let started = Instant::now();
    loop {
        match attestor.attest_for_peer(peer, proposal).await {
            Err(error) if error.kind() == CosignErrorKind::NotYet && started.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            result => return result,
        }
    }
}

fn refusal(status: StatusCode, error: &CosignError) -> Response {
    (status, Json(Refused::new(error))).into_response()
}

fn count(peer: &str, outcome: &'static str) {
    metrics::counter!("dvn_cosigned_total", "peer" => peer.to_owned(), "outcome" => outcome).increment(1);
}
