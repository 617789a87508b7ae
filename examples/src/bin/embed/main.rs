//! A relayer that runs already becomes a DVN: it keeps its own wallet and its own way of sending, and takes the rest
//! from this project. Its side is in `relayer.rs`, the few lines between both in `submitter.rs`.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod abi;
mod reading;
mod relayer;
mod submitter;

use std::{sync::Arc, time::Duration};

use dvn_core::{Destination, Dvn, Source, ids::BlockNumber, job::State, ports::Store};
use dvn_examples::{
    Failure, executor,
    network::{self, DESTINATION, SOURCE},
    parts,
};
use dvn_store::Sqlite;
use dvn_testkit::{devnet::Devnet, keys};
use tokio_util::sync::CancellationToken;

use self::submitter::RelayedSubmitter;

const PACKETS: u8 = 5;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let devnet = Arc::new(network::start().await?);
    let folder = tempfile::tempdir()?;
    let sqlite = Sqlite::open(folder.path()).await?;
    let store = sqlite.store();
    // Once, for a key that has never signed: a journal that was lost must not be replaced by an empty one.
    store.journal.begin(None).await?;

    let stop = CancellationToken::new();
    let running = tokio::spawn(compose(&devnet, &store)?.run(stop.clone()));
    println!("the DVN runs inside this program");
    tell(&devnet, &store).await?;

    stop.cancel();
    running.await??;
    sqlite.close().await;
    println!("stopped cleanly");
    Ok(())
}

/// Source, verifier, key and store are this project's, the submitter is the relayer's.
fn compose(devnet: &Arc<Devnet>, store: &Store) -> Result<Dvn, Failure> {
    let (ethereum, conflux) = (devnet.chain(SOURCE)?, devnet.chain(DESTINATION)?);
    let reader = parts::reader(&parts::panel(ethereum)?, ethereum, Arc::clone(&store.finalized));
    let scanner = parts::source(&reader);
    let verifier = parts::verifier(&reader);

    let relayer = relayer::start(Arc::clone(devnet), DESTINATION);
    let reads = reading::submitter(conflux, &store.outbox)?;
    let submitter = RelayedSubmitter::new(reads, conflux.addresses().dvn, relayer, Arc::clone(&store.outbox));
    let signer = parts::signer(&keys::signer(0))?;

    let source = Source::new(Arc::new(scanner), Arc::new(verifier)).with_start_block(BlockNumber(0));
    let destination = Destination::new(Arc::new(submitter), signer).with_poll(Duration::from_millis(500));
    Ok(Dvn::builder().source(source).destination(destination).store(store.clone()).build()?)
}

/// Sends packets in one transaction, delivers what is attested, and shows how each got there.
async fn tell(devnet: &Devnet, store: &Store) -> Result<(), Failure> {
    let (ethereum, conflux) = (devnet.chain(SOURCE)?, devnet.chain(DESTINATION)?);
    let messages: Vec<_> = (1..=PACKETS).map(|number| format!("message {number}").into_bytes()).collect();
    let sent = devnet.send(ethereum, conflux, &messages).await?;
    println!("{PACKETS} packets were sent in transaction {}", sent.transaction);

    executor::deliver(devnet, &sent.packets).await?;
    println!("the executor committed and delivered them");
    executor::until(&*store.jobs, &sent.packets, State::Committed).await?;
    for packet in &sent.packets {
        println!("packet {} {}: {}", packet.fields.nonce, packet.guid, executor::way(store, packet).await?);
    }
    Ok(())
}
