//! A verifier of one's own around this project's: it attests only for the applications of a list. The engine asks it
//! when a packet is seen, and the attestor asks it again before the key is used, so that nothing gets around it.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    Destination, Dvn, Source,
    error::VerifyError,
    ids::BlockNumber,
    job::{Location, Refusal, State},
    ports::{Chain, Store, Verification, Verifier},
};
use dvn_examples::{
    Failure, executor,
    network::{self, DESTINATION, SOURCE},
    parts,
};
use dvn_store::Sqlite;
use dvn_testkit::{
    devnet::{Devnet, SendRequest, SentPackets},
    keys,
};
use tokio_util::sync::CancellationToken;

/// What the first verifier finds, and only from these senders.
///
/// A second opinion can take away and never add: where the first one is not convinced, nobody asks the second. Another
/// verifier with nodes of its own would be composed in the same way.
#[derive(Debug)]
struct FromCustomers {
    first: Arc<dyn Verifier>,
    customers: BTreeSet<B256>,
}

#[async_trait]
impl Verifier for FromCustomers {
    fn chain(&self) -> &Chain {
        self.first.chain()
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        let verification = self.first.verify(location).await?;
        match &verification {
            Verification::Found(seen) if !self.customers.contains(&seen.claim.header.sender) => {
                let is_settled = location.block.number <= seen.head.settled;
                Ok(Verification::Rejected { refusal: Refusal::NotAllowed, is_settled })
            }
            Verification::Found(_) | Verification::Orphaned | Verification::Rejected { .. } => Ok(verification),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let devnet = network::start().await?;
    let folder = tempfile::tempdir()?;
    let sqlite = Sqlite::open(folder.path()).await?;
    let store = sqlite.store();
    // Once, for a key that has never signed: a journal that was lost must not be replaced by an empty one.
    store.journal.begin(None).await?;

    let stop = CancellationToken::new();
    let running = tokio::spawn(compose(&devnet, &store)?.run(stop.clone()));
    tell(&devnet, &store).await?;
    stop.cancel();
    running.await??;
    sqlite.close().await;
    Ok(())
}

fn compose(devnet: &Devnet, store: &Store) -> Result<Dvn, Failure> {
    let (ethereum, conflux) = (devnet.chain(SOURCE)?, devnet.chain(DESTINATION)?);
    let reader = parts::reader(&parts::panel(ethereum)?, ethereum, Arc::clone(&store.finalized));
    let scanner = parts::source(&reader);
    let first = Arc::new(parts::verifier(&reader));
    let customers = BTreeSet::from([ethereum.addresses().oapp.into_word()]);
    let verifier = FromCustomers { first, customers };

    let (signer, sender) = (parts::signer(&keys::signer(0))?, parts::signer(&keys::submitter(0))?);
    let submitter = parts::submitter(&parts::panel(conflux)?, conflux, sender, Arc::clone(&store.outbox));
    let source = Source::new(Arc::new(scanner), Arc::new(verifier)).with_start_block(BlockNumber(0));
    let destination = Destination::new(Arc::new(submitter), signer).with_poll(Duration::from_millis(500));
    Ok(Dvn::builder().source(source).destination(destination).store(store.clone()).build()?)
}

/// A customer and a stranger send one packet each, and both pay our DVN for it.
async fn tell(devnet: &Devnet, store: &Store) -> Result<(), Failure> {
    let (ethereum, conflux) = (devnet.chain(SOURCE)?, devnet.chain(DESTINATION)?);
    let stranger = ethereum.deploy_oapp().await?;
    let message = [b"hello".to_vec()];
    let ours = devnet.send(ethereum, conflux, &message).await?;
    let theirs = SendRequest::new(ethereum, conflux, &message).from_oapp(stranger).send().await?;
    println!("a customer ({}) and a stranger ({stranger}) sent a packet each", ethereum.addresses().oapp);

    executor::deliver(devnet, &ours.packets).await?;
    executor::until(&*store.jobs, &ours.packets, State::Committed).await?;
    executor::until(&*store.jobs, &theirs.packets, State::Refused(Refusal::NotAllowed)).await?;
    show("customer", store, &ours).await?;
    show("stranger", store, &theirs).await
}

async fn show(sender: &str, store: &Store, sent: &SentPackets) -> Result<(), Failure> {
    for packet in &sent.packets {
        println!("{sender}'s packet {}: {}", packet.guid, executor::way(store, packet).await?);
    }
    Ok(())
}
