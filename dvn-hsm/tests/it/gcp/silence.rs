//! A connection that carries nothing any more, as behind a gateway that forgot it. Nobody says so.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use dvn_hsm::GcpKmsSigner;
use url::Url;

use super::World;
use crate::service_suite::sign;

/// Connections through it work until they are older than what was silenced.
struct Gateway {
    url: Url,
    opened: Arc<AtomicUsize>,
    /// Connections below this number carry nothing.
    silenced: Arc<AtomicUsize>,
}

impl Gateway {
    fn before(service: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (opened, silenced) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let service = service.socket_addrs(|| None).unwrap();
        let (count, limit) = (Arc::clone(&opened), Arc::clone(&silenced));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(service.as_slice()).unwrap();
                let pairs = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
                for (from, to) in pairs {
                    let (from, to, limit) = (from.unwrap(), to.unwrap(), Arc::clone(&limit));
                    thread::spawn(move || carry(from, to, || number < limit.load(Ordering::SeqCst)));
                }
            }
        });
        Self { url, opened, silenced }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_silenced: impl Fn() -> bool) {
    let mut buffer = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !is_silenced() && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if !is_silenced() {
        let _ = to.shutdown(Shutdown::Write);
    }
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced_within_the_call() {
    let world = World::new();
    let gateway = Gateway::before(world.kms.url());
    let config = world.config().with_endpoint(&gateway.url).unwrap();
    let signer = GcpKmsSigner::open(config).await.unwrap();
    for _ in 0..3 {
        assert_eq!(sign(&signer).await, Ok(()));
    }
    assert_eq!(gateway.opened.load(Ordering::SeqCst), 1, "one connection for all requests");
    gateway.silenced.store(1, Ordering::SeqCst);
    assert_eq!(sign(&signer).await, Ok(()));
    assert_eq!(gateway.opened.load(Ordering::SeqCst), 2);
}
