//! Connections that are past their handshake, with the name of the peer at their other end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, warn};

use super::identity;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once. Strangers can take no more than these.
const HANDSHAKES: usize = 64;
/// Pause after the system refused a connection, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    pub(super) name: Arc<str>,
}

/// Takes connections, and hands on those of peers.
pub(super) struct PeerListener {
    local: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, Remote)>,
    accepting: JoinHandle<()>,
}

impl PeerListener {
    pub(super) fn new(tcp: TcpListener, config: ServerConfig, names: Vec<Arc<str>>) -> io::Result<Self> {
        let local = tcp.local_addr()?;
        let (send, ready) = mpsc::channel(HANDSHAKES);
        let accepting = tokio::spawn(accept(tcp, TlsAcceptor::from(Arc::new(config)), names.into(), send));
        Ok(Self { local, ready, accepting })
    }
}

impl Drop for PeerListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for PeerListener {
    type Io = TlsStream<TcpStream>;
    type Addr = Remote;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends with this listener and not before.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Remote { address: self.local, name: Arc::from("") })
    }
}

impl Connected<IncomingStream<'_, PeerListener>> for Remote {
    fn connect_info(stream: IncomingStream<'_, PeerListener>) -> Self {
        stream.remote_addr().clone()
    }
}

async fn accept(
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    names: Arc<[Arc<str>]>,
    send: mpsc::Sender<(TlsStream<TcpStream>, Remote)>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, address) = match tcp.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a peer's connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (acceptor, names, send) = (acceptor.clone(), Arc::clone(&names), send.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(handshake) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return refused("slow") };
            let stream = match handshake {
                Ok(stream) => stream,
                Err(error) => {
                    debug!(%address, %error, "handshake failed");
                    return refused("handshake");
                }
            };
            let Some(name) = peer(&stream, &names) else {
                warn!(%address, "a certificate of our authority that is no peer's");
                return refused("stranger");
            };
            // A server that is gone needs no connections.
            drop(send.send((stream, Remote { address, name })).await);
        });
    }
}

/// The peer that the certificate is for.
fn peer(stream: &TlsStream<TcpStream>, names: &[Arc<str>]) -> Option<Arc<str>> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    names.iter().find(|name| identity::is_for(certificates.first(), name)).cloned()
}

fn refused(reason: &'static str) {
    metrics::counter!("dvn_peer_connections_refused_total", "reason" => reason).increment(1);
}
