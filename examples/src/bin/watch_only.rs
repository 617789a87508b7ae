//! Watches without keys: scans a source chain, verifies what it finds, and prints what a DVN would attest. No engine runs,
//! nothing is signed, and nothing is written to any chain. This is how one checks on a DVN from outside.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use dvn_core::{
    ids::BlockNumber,
    ports::{ChainSource, Observation, Verification, Verifier},
};
use dvn_examples::{
    Failure,
    network::{self, DESTINATION, SOURCE},
    parts,
};
use dvn_store::Sqlite;
use dvn_testkit::devnet::{Decoys, Devnet, PacketFields, SentPackets};

/// Final blocks come within seconds here.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let devnet = network::start().await?;
    let ethereum = devnet.chain(SOURCE)?;
    // Whoever signs nothing may forget everything when the process ends.
    let memory = Sqlite::in_memory().await?.store();
    let reader = parts::reader(&parts::panel(ethereum)?, ethereum, Arc::clone(&memory.finalized));
    let (source, verifier) = (parts::source(&reader), parts::verifier(&reader));

    let sent = send(&devnet).await?;
    let missing = sent.packets.iter().map(|packet| packet.guid).collect();
    tokio::time::timeout(PATIENCE, watch(&source, &verifier, missing)).await??;
    println!("all genuine packets were seen, and no other");
    Ok(())
}

/// Three genuine packets in one transaction, with forged logs before, between and after them.
async fn send(devnet: &Devnet) -> Result<SentPackets, Failure> {
    let (ethereum, conflux) = (devnet.chain(SOURCE)?, devnet.chain(DESTINATION)?);
    let forged = PacketFields {
        nonce: 9,
        src_eid: ethereum.eid(),
        sender: ethereum.addresses().oapp.into_word(),
        dst_eid: conflux.eid(),
        receiver: conflux.addresses().oapp.into_word(),
        message: Bytes::from_static(b"nobody sent this"),
    };
    let messages = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    let sent = devnet.send_with_decoys(ethereum, conflux, &messages, Decoys::everywhere(ethereum, &forged)).await?;
    println!("sent 3 packets among forged ones in transaction {}", sent.transaction);
    Ok(sent)
}

/// Reads final blocks as they come, until every packet was seen that is known to be there. It ends at the first error; a
/// program that stays would do what the error's `disposition()` says.
async fn watch(source: &dyn ChainSource, verifier: &dyn Verifier, mut missing: BTreeSet<B256>) -> Result<(), Failure> {
    let (mut seen, mut next) = (None, BlockNumber(0));
    while !missing.is_empty() {
        let head = source.next_head(seen).await?;
        seen = Some(head);
        if head.settled < next {
            continue;
        }
        let scan = source.scan(next..=head.settled).await?;
        for assignment in scan.assignments {
            match verifier.verify(&assignment.location).await? {
                Verification::Found(packet) => {
                    show(&packet);
                    let guid = packet.claim.header.guid().0;
                    if !missing.remove(&guid) {
                        return Err(format!("{guid} was verified, and nobody sent it").into());
                    }
                }
                other => println!("{}: {other:?}", assignment.location.tx_hash),
            }
        }
        next = scan.through.above(1);
    }
    Ok(())
}

/// The receiver's configuration may ask for more confirmations; whoever signs has to read it too.
fn show(packet: &Observation) {
    let Observation { claim, location, assigned, send_confirmations, head, .. } = packet;
    let header = &claim.header;
    let depth = head.latest.0.saturating_sub(location.block.number.0);
    let verdict = if !assigned {
        "is not assigned to us"
    } else if head.settled < location.block.number || depth < send_confirmations.0 {
        "would wait"
    } else {
        "would be attested"
    };
    println!(
        "packet {} from {} to {}, guid {}, payload hash {}, {depth} deep, {send_confirmations} asked for: {verdict}",
        header.nonce,
        header.src_eid,
        header.dst_eid,
        header.guid(),
        claim.payload_hash
    );
}
