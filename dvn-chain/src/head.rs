//! How far a chain is, by the threshold of seats.

use alloy::primitives::U64;
use dvn_core::{
    ids::{BlockNumber, Confirmations},
    ports::Head,
};

use crate::{
    call::{Answers, Call},
    panel::{Panel, PanelError},
    profile::Finality,
    rpc::RpcBlock,
};

/// The newest height that the threshold of seats has, and the newest that the threshold calls final.
pub(crate) async fn head(panel: &Panel, finality: Finality, floor: Confirmations) -> Result<Head, PanelError> {
    let tag = match finality {
        Finality::Finalized => "finalized",
        Finality::Safe => "safe",
        Finality::Latest => return latest_less(panel, floor).await,
    };
    let ballot = panel
        .gather(|seat| async move {
            let calls = vec![Call::block_number(), Call::block_by_tag(tag)];
            let mut answers = Answers::new(seat.batch(calls).await?);
            let latest: U64 = answers.next()?;
            // Whoever asks for a range next need not ask for this again.
            seat.note_head(BlockNumber(latest.to()));
            let settled: Option<RpcBlock> = answers.next()?;
            Ok(settled.map(|settled| (BlockNumber(latest.to()), settled.number())))
        })
        .await;
    let latest = panel.reached("newest block", &ballot, |(latest, _)| *latest)?;
    let settled = panel.reached("final block", &ballot, |(_, settled)| *settled)?;
    Ok(Head { latest, settled: settled.min(latest) })
}

/// The newest height that the threshold of seats has.
pub(crate) async fn latest(panel: &Panel) -> Result<BlockNumber, PanelError> {
    let ballot = panel.gather(|seat| async move { seat.block_number().await.map(Some) }).await;
    panel.reached("newest block", &ballot, |latest| *latest)
}

async fn latest_less(panel: &Panel, floor: Confirmations) -> Result<Head, PanelError> {
    let latest = latest(panel).await?;
    Ok(Head { latest, settled: latest.below(floor.0) })
}
