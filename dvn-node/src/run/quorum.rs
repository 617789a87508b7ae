//! The peers of this node while it runs: asked by the engine, looked for all the time, answered by the server.

use std::sync::Arc;

use dvn_core::ports::Journal;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::AbortOnDrop;
use crate::{
    config::Config,
    peers::{Identity, IdentityError, ListenError, Member, Peer, PeerError, Server},
};

/// Why this node cannot take part in its quorum.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeersError {
    /// Its certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A peer.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Its own address.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Peers and server before they run; none of either for a node of its own.
pub(super) struct Quorum {
    peers: Vec<Arc<Peer>>,
    server: Option<Server>,
}

impl Quorum {
    /// Takes the address and reads the certificates.
    pub(super) async fn set_up(config: &Config, journal: &Arc<dyn Journal>) -> Result<Self, PeersError> {
        let Some(cosigning) = &config.signing.cosigning else {
            return Ok(Self { peers: Vec::new(), server: None });
        };
        let identity = Identity::load(&cosigning.tls, &config.service.name)?;
        let timeout = config.signing.timeout;
        let peers = cosigning.peers.iter().map(|peer| Peer::new(peer, &identity, timeout, Arc::clone(journal)));
        let peers = peers.collect::<Result<_, _>>()?;
        let server = Server::bind(cosigning, &identity).await?;
        info!(listen = %cosigning.listen, peers = cosigning.peers.len(), quorum = config.signing.quorum, "peers may ask");
        Ok(Self { peers, server: Some(server) })
    }

    pub(super) fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    /// Answers and looks for peers until `stop`, or until what is returned is dropped.
    pub(super) fn start(self, member: Member, stop: &CancellationToken) -> Vec<AbortOnDrop> {
        let watched = self.peers.into_iter().map(|peer| AbortOnDrop(tokio::spawn(peer.watch())));
        let served = self.server.map(|server| {
            let running = server.run(member, stop.clone());
            AbortOnDrop(tokio::spawn(async move {
                if let Err(error) = running.await {
                    error!(%error, "peers are not answered any more");
                }
            }))
        });
        watched.chain(served).collect()
    }
}
