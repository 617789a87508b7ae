//! Ports that stay free while a server is down.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the ports that systems give to outgoing connections, which could take that of a server that is being
/// restarted. With 10 000 more, where a Redis of a cluster talks to the others, still below.
const FIRST: u32 = 12_000;
const COUNT: u32 = 10_000;

/// A port of the loopback interface that was free a moment ago. Two calls give two ports.
pub(crate) fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    // Processes of the same test run start at different places.
    let offset = process::id().wrapping_mul(97);
    for _attempt in 0..COUNT {
        let index = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset).checked_rem(COUNT).unwrap_or_default();
        let Ok(port) = u16::try_from(FIRST.saturating_add(index)) else {
            continue;
        };
        if is_free(port) && is_free(port.saturating_add(10_000)) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
