//! LayerZero's executor commits and delivers what enough DVNs attested. Here the stories play it themselves.

use std::time::Duration;

use dvn_core::{
    ids::Guid,
    job::State,
    ports::{JobStore, Store},
};
use dvn_testkit::devnet::{Delivery, Devnet, SentPacket};

use crate::Failure;

const AGAIN: Duration = Duration::from_millis(500);
/// Nothing here takes half as long, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Delivers every packet, as soon as it is attested.
///
/// # Errors
/// When a chain refuses or cannot be reached, or nothing comes of a packet for minutes.
pub async fn deliver(devnet: &Devnet, packets: &[SentPacket]) -> Result<(), Failure> {
    let delivering = async {
        for packet in packets {
            while devnet.deliver(packet).await? != Delivery::Delivered {
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, delivering).await?
}

/// Waits until the jobs of these packets are all in one state.
///
/// # Errors
/// When the store fails, or nothing comes of a packet for minutes.
pub async fn until(jobs: &dyn JobStore, packets: &[SentPacket], wanted: State) -> Result<(), Failure> {
    let waiting = async {
        for packet in packets {
            while !jobs.by_guid(Guid(packet.guid)).await?.iter().any(|job| job.state == wanted) {
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, waiting).await?
}

/// A packet's way through the node, as the audit log has it: `observed → waiting → …`.
///
/// # Errors
/// When the store fails.
pub async fn way(store: &Store, packet: &SentPacket) -> Result<String, Failure> {
    let rows = store.audit.of_packet(Guid(packet.guid)).await?;
    let steps: Vec<String> = rows.into_iter().map(|row| row.entry.action).collect();
    Ok(steps.join(" → "))
}
