use alloy::primitives::{Address, B256, U256, address, keccak256};

/// Where EIP-2935 keeps the hashes of earlier blocks, from Prague on.
pub const HISTORY_CONTRACT: Address = address!("0x0000F90827F1C53a10cb7A02335B175320002935");

/// The slot of [`HISTORY_CONTRACT`] that holds the hash of the block with this number. The ring has 8,191 slots by
/// EIP-2935, and 393,168 on Arbitrum.
///
/// The contract overwrites: what the slot holds is that block's hash only while the block is at most one ring below the
/// state that is read, and below it at all. Otherwise it is the hash of another block, or zero. A ring of no slots has
/// no place for any block; 0 is returned for it.
#[must_use]
pub fn history_slot(number: u64, ring: u64) -> B256 {
    U256::from(number.checked_rem(ring).unwrap_or_default()).into()
}

/// The slot of the endpoint that holds the number of packets ever sent from this sender to this receiver.
///
/// `outboundNonce` is a mapping by sender, by destination eid, by receiver, and `base` is its own slot: 3 for
/// LayerZero's `EndpointV2`. This was found by writing to the slots of the deployed bytecode and asking its getter; the
/// order in `MessagingChannel` alone suggests 2, but `Ownable` comes first in the linearisation and takes slot 0.
/// Another endpoint contract may have another base.
#[must_use]
pub fn outbound_nonce_slot(sender: Address, dst_eid: u32, receiver: B256, base: u64) -> B256 {
    let of_sender = entry(sender.into_word(), U256::from(base).into());
    let of_path = entry(U256::from(dst_eid).into(), of_sender);
    entry(receiver, of_path)
}

/// Where Solidity keeps a mapping's value: the hash of the key and the mapping's own slot.
fn entry(key: B256, mapping: B256) -> B256 {
    keccak256([key, mapping].concat())
}
