//! A server on a port of its own, which can be ended as an outage ends it, and started again in the same place.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use axum::Router;
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// Ends with all its connections when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    router: Router,
    address: SocketAddr,
    url: Url,
    /// Its own, so that ending it cuts connections.
    running: Option<Runtime>,
}

impl Server {
    /// Starts on a free port of the loopback interface.
    pub(crate) fn start(router: Router) -> io::Result<Self> {
        let (running, address) = serve(&router, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let url = Url::parse(&format!("http://{address}")).map_err(io::Error::other)?;
        Ok(Self { router, address, url, running: Some(running) })
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }

    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        self.stop();
        self.running = Some(serve(&self.router, self.address)?.0);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(router: &Router, address: SocketAddr) -> io::Result<(Runtime, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let router = router.clone();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router).await
    });
    Ok((runtime, address))
}
