//! From a height to the hash of the block that stands there, by the threshold of seats.

use dvn_core::ids::{BlockNumber, BlockRef, ChainTime};

use crate::{
    call::Call,
    panel::{Agreed, Panel, PanelError},
    rpc::RpcBlock,
    seat::SeatError,
};

/// A block that the threshold of seats agrees on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) block: BlockRef,
    pub(crate) time: ChainTime,
}

/// The block at a height. A seat that is not there yet abstains.
pub(crate) async fn anchor(panel: &Panel, number: BlockNumber) -> Result<Agreed<Anchored>, PanelError> {
    panel
        .agree("block hash", |seat| async move {
            let block: Option<RpcBlock> = seat.call(Call::block_by_number(number)).await?;
            block.map(|block| anchored(&block, number)).transpose()
        })
        .await
}

/// Takes a block only for the height that was asked for.
pub(crate) fn anchored(block: &RpcBlock, number: BlockNumber) -> Result<Anchored, SeatError> {
    if block.number() != number {
        return Err(SeatError::malformed("block of another height"));
    }
    let reference = BlockRef { number, hash: block.hash };
    Ok(Anchored { block: reference, time: ChainTime(block.timestamp.to()) })
}
