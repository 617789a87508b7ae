//! What the destination shows in our name.

use dvn_core::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef},
    ports::{Cause, History, Shown, SignedAttestation},
};

use super::Chains;

impl Chains {
    /// Notes what an executed item shows, once however often it is reported.
    pub(super) fn show(&mut self, item: &SignedAttestation, block: BlockRef) {
        let SignedAttestation { job, attestation, signatures } = item;
        let causes = vec![Cause { attestation: *attestation, signers: signatures.iter().collect() }];
        if self.shown.iter().any(|it| it.causes == causes) {
            return;
        }
        let Attestation { claim, confirmations, target, .. } = *attestation;
        self.shown.push(Shown { block, tx_hash: job.0, claim, confirmations, target, causes });
    }

    pub(super) fn history(&self, from: BlockNumber, to: BlockNumber) -> History {
        let blocks = from..=to;
        let shown = self.shown.iter().filter(|it| blocks.contains(&it.block.number)).cloned().collect();
        let changes = self.changes.iter().filter(|it| blocks.contains(&it.block.number)).cloned().collect();
        History { through: to, shown, changes }
    }
}

#[tokio::test]
async fn what_was_executed_shows_once_with_who_signed_it() {
    use dvn_core::{
        job::State,
        ports::{Signer, Submitter},
    };

    use super::{Running, until_state};
    use crate::engine::Setup;

    let (setup, claim) = Setup::with_packet(80, |chains| chains.commits = false).await;
    let running = Running::start(setup.world.builder(&setup.store, setup.signer.clone()).build().unwrap());
    until_state(&setup.store, claim, State::Attested).await;
    running.stop().await;
    setup.world.settle().await.unwrap();
    let head = setup.world.head().await.unwrap();
    let history = setup.world.history(BlockNumber(0), head.latest).await.unwrap();
    let executed = setup.world.lock().executed[0].attestation;
    let [shown] = &history.shown[..] else { panic!("expected one event, got {history:?}") };
    assert_eq!((shown.claim, shown.causes[0].attestation), (claim, executed));
    assert_eq!(shown.causes[0].signers[0].0, setup.signer.address());
    assert_eq!(setup.world.history(head.latest.above(1), head.latest.above(2)).await.unwrap().shown, []);
}
