//! A relay in front of a server, whose network can be cut.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::server::free_port;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// Passes everything on.
    Whole,
    /// Connections are gone and refused.
    Cut,
    /// Connections stand and open, and nothing flows.
    Silent,
}

/// A relay on a port of its own. It ends with its value.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    wanted: watch::Sender<Network>,
    reached: watch::Receiver<Network>,
    relay: AbortHandle,
}

impl Cut {
    /// Starts a relay to this server, which need not run yet.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port()?)).await?;
        let address = listener.local_addr()?;
        let (wanted, state) = watch::channel(Network::Whole);
        let (reaching, reached) = watch::channel(Network::Whole);
        let relay = Relay { address, server, state, reaching };
        let relay = tokio::spawn(relay.serve(listener)).abort_handle();
        Ok(Self { address, wanted, reached, relay })
    }

    /// Where clients connect to instead of the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops all connections and refuses new ones; returns when that is so.
    pub async fn cut(&self) {
        self.set(Network::Cut).await;
    }

    /// Lets nothing through any more, without a word to either side. What was on its way arrives after
    /// [`Cut::heal`].
    pub async fn silence(&self) {
        self.set(Network::Silent).await;
    }

    /// Passes everything on again.
    pub async fn heal(&self) {
        self.set(Network::Whole).await;
    }

    async fn set(&self, network: Network) {
        self.wanted.send_replace(network);
        // An error would mean that the relay is gone, and everything is cut then.
        let _ = self.reached.clone().wait_for(|reached| *reached == network).await;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    state: watch::Receiver<Network>,
    reaching: watch::Sender<Network>,
}

impl Relay {
    /// Relays until it is aborted; all connections end with it.
    async fn serve(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            let network = *self.state.borrow_and_update();
            if network == Network::Cut {
                listener = None;
                connections.shutdown().await;
            } else if listener.is_none() {
                listener = TcpListener::bind(self.address).await.ok();
            }
            if network == Network::Cut || listener.is_some() {
                self.reaching.send_replace(network);
            }
            tokio::select! {
                changed = self.state.changed() => if changed.is_err() { return },
                stream = accept(listener.as_ref(), network) => {
                    if let Some(stream) = stream {
                        connections.spawn(connection(stream, self.server, self.state.clone()));
                    }
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

/// The next client. Without a listener, nobody comes; where the port could not be had again, it is tried soon.
async fn accept(listener: Option<&TcpListener>, network: Network) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None if network == Network::Cut => std::future::pending().await,
        None => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

/// Both directions, until one of them breaks or both have ended.
async fn connection(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<Network>) {
    if state.wait_for(|network| *network == Network::Whole).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = pass(from_client, to_server, state.clone());
    let _broken = tokio::try_join!(up, pass(from_server, to_client, state));
}

/// Passes bytes on while the network is whole. Nothing that was read is ever dropped: a stream with a hole in it is
/// what no network makes.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Network>) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        state.wait_for(|network| *network == Network::Whole).await.map_err(io::Error::other)?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(bytes.get(..read).unwrap_or_default()).await?;
    }
}
