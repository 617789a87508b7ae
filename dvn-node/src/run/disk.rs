//! How much room is left, for probes and metrics.

use std::sync::Arc;

use dvn_store::{FreeSpace, Space};

use crate::config::Service;

#[derive(Debug)]
pub(super) struct Disk {
    space: Arc<dyn Space>,
    floor: u64,
}

impl Disk {
    pub(super) fn of(service: &Service) -> Self {
        Self { space: Arc::new(FreeSpace::of(&service.data_dir)), floor: service.min_free_disk }
    }

    /// Why nothing is attested, if there is too little room.
    pub(super) fn look(&self) -> Option<String> {
        let full = match self.space.free() {
            Ok(free) => {
                gauge("dvn_disk_free_bytes", free);
                let wanted = self.floor;
                (free < wanted).then(|| format!("the disk is full: {free} bytes are free, {wanted} are asked for"))
            }
            Err(error) => Some(format!("nobody knows how much room is left on the disk: {error}")),
        };
        gauge("dvn_disk_full", u64::from(full.is_some()));
        full
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge; what is lost is less than a page of a petabyte's disk")]
fn gauge(name: &'static str, value: u64) {
    metrics::gauge!(name).set(value as f64);
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Said(Option<u64>);

    impl Space for Said {
        fn free(&self) -> io::Result<u64> {
            self.0.ok_or_else(|| io::Error::other("stale file handle"))
        }
    }

    #[test]
    fn a_disk_below_the_floor_is_told() {
        let look = |free| Disk { space: Arc::new(Said(free)), floor: 100 }.look();
        assert_eq!(look(Some(100)), None);
        assert_eq!(look(Some(99)).unwrap(), "the disk is full: 99 bytes are free, 100 are asked for");
        assert!(look(None).unwrap().contains("stale file handle"));
    }
}
