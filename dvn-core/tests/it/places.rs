//! A packet that is seen in several places at once.

use std::time::Duration;

use dvn_core::{ids::BlockNumber, job::State, ports::Assignment};

use crate::{
    engine::Setup,
    world::{SRC, until_state},
};

/// One seat's lies about an orphaned packet must not keep the others from being seen.
#[tokio::test]
async fn a_source_goes_on_when_an_orphaned_packet_is_hinted_in_two_places() {
    let (setup, gone) = Setup::with_packet(98, |_| {}).await;
    let running = setup.start();
    let location = until_state(&setup.store, gone, State::Waiting).await.location;
    {
        let mut chains = setup.world.lock();
        chains.reorg(97);
        chains.mine(30);
    }
    until_state(&setup.store, gone, State::Orphaned).await;
    let height = {
        let mut chains = setup.world.lock();
        chains.mine(30);
        for place in 1..=3 {
            let mut location = location;
            location.block.number = BlockNumber(chains.settled);
            location.block.hash.0[0] ^= place;
            chains.hinted_elsewhere.push(Assignment { location, claim: gone, agreed: false });
        }
        BlockNumber(chains.settled)
    };
    for _ in 0..2_000 {
        if setup.store.cursors.load(SRC).await.unwrap() >= Some(height) {
            return running.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the source stands still");
}
