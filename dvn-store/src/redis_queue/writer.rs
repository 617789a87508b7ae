//! Sends what is pushed and acknowledged.

use std::convert::Infallible;

use tokio::time::timeout;

use super::{
    link::Link,
    session::Ended,
    shared::{Batch, Shared},
    streams::Streams,
};

/// How many pushes and acknowledgements one round trip takes.
const BATCH: usize = 256;

/// Sends until something goes wrong.
pub(super) async fn run(shared: &Shared, streams: &Streams, mut link: Link) -> Ended {
    match send(shared, streams, &mut link).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn send(shared: &Shared, streams: &Streams, link: &mut Link) -> Result<Infallible, Ended> {
    loop {
        let Batch { pushes, acks } = shared.batch(BATCH);
        if pushes.is_empty() && acks.is_empty() {
            shared.outgoing.notified().await;
            continue;
        }
        // Taken back should this be dropped or fail while it waits.
        let unsent = Unsent(shared, pushes);
        let commands = streams.send(&unsent.1, &acks);
        timeout(shared.options.timeout, link.pipeline(&commands)).await.map_err(|_| Ended::Silent)??;
        unsent.sent();
    }
}

/// Pushes on their way. Dropped without an answer, they are worked on here.
struct Unsent<'a>(&'a Shared, Vec<dvn_core::ports::Due>);

impl Unsent<'_> {
    fn sent(mut self) {
        self.1.clear();
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.0.unsent(self.1.drain(..));
    }
}
