//! The heights that the seats push, and the one that is worth a look: what enough of them announced.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use dvn_core::{ids::BlockNumber, quorum::Electorate};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    panel::Panel,
    seat::push::{self, Silence},
};

/// A seat that pushed nothing for so long does not push.
const SHORTEST_LAPSE: Duration = Duration::from_secs(1);

/// What each seat pushed last, and the tasks that listen to them. They end with this value.
#[derive(Debug)]
pub(super) struct Pushed {
    panel: Arc<Panel>,
    block_time: Duration,
    heard: Arc<watch::Sender<Vec<Option<Announced>>>>,
    streams: OnceLock<JoinSet<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Announced {
    number: BlockNumber,
    at: Instant,
}

impl Pushed {
    pub(super) fn new(panel: Arc<Panel>, block_time: Duration) -> Self {
        let heard = Arc::new(watch::Sender::new(vec![None; panel.seats().len()]));
        Self { panel, block_time, heard, streams: OnceLock::new() }
    }

    /// Subscribes at all seats that push, once.
    pub(super) fn start(&self) {
        self.streams.get_or_init(|| {
            let mut streams = JoinSet::new();
            for (position, seat) in self.panel.seats().iter().enumerate().filter(|(_, seat)| seat.ws().is_some()) {
                let (seat, heard, silence) = (Arc::clone(seat), Arc::clone(&self.heard), Silence::new(self.block_time));
                streams.spawn(async move {
                    let tell = |number: Option<BlockNumber>| {
                        let announced = number.map(|number| Announced { number, at: Instant::now() });
                        heard.send_modify(|heard| {
                            heard.iter_mut().skip(position).take(1).for_each(|it| *it = announced)
                        });
                    };
                    push::follow(&seat, silence, tell).await;
                });
            }
            streams
        });
    }

    /// The height that is worth a look; nothing where no seat pushes.
    pub(super) fn level(&self) -> Option<BlockNumber> {
        let lapse = self.block_time.saturating_mul(4).max(SHORTEST_LAPSE);
        let live = |it: &Option<Announced>| it.filter(|it| it.at.elapsed() <= lapse).map(|it| it.number);
        let heard: Vec<_> = self.heard.borrow().iter().map(live).collect();
        level(self.panel.electorate(), &heard)
    }

    /// Waits until a height is worth a look that is news.
    pub(super) async fn news(&self, is_news: impl Fn(BlockNumber) -> bool) {
        let mut changes = self.heard.subscribe();
        while !self.level().is_some_and(&is_news) {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The greatest height that voters who suffice have announced. A seat that does not push is asked all the same, so that it is
/// not waited for.
fn level(electorate: &Electorate, heard: &[Option<BlockNumber>]) -> Option<BlockNumber> {
    let highest = heard.iter().flatten().max().copied()?;
    let announced = heard.iter().map(|it| it.unwrap_or(BlockNumber(u64::MAX))).enumerate();
    electorate.reached(announced).map(|reached| reached.min(highest))
}

#[cfg(test)]
mod tests {
    use dvn_core::quorum::{Domain, Quotas, Threshold};

    use super::*;

    fn of(need: usize, heard: &[Option<u64>]) -> Option<u64> {
        let domains = vec![Domain::default(); heard.len()];
        let threshold = Threshold::try_new(heard.len(), need).unwrap();
        let electorate = Electorate::try_new(threshold, Quotas::default(), domains).unwrap();
        let heard: Vec<_> = heard.iter().map(|it| it.map(BlockNumber)).collect();
        level(&electorate, &heard).map(|it| it.0)
    }

    #[test]
    fn a_height_counts_once_enough_seats_announced_it() {
        assert_eq!(of(3, &[None, None, None, None]), None);
        assert_eq!(of(3, &[Some(7), Some(8), Some(8), Some(9)]), Some(8));
        assert_eq!(of(3, &[Some(7), Some(7), Some(8), Some(9)]), Some(7));
        assert_eq!(of(3, &[Some(7), Some(7), Some(7), Some(u64::MAX)]), Some(7), "a liar does not raise it alone");
        assert_eq!(of(3, &[Some(7), Some(8), None, None]), Some(8), "who does not push is not waited for");
        assert_eq!(of(2, &[Some(7), Some(8), None, None]), Some(8));
        assert_eq!(of(4, &[Some(7), Some(8), None, None]), Some(7));
    }
}
