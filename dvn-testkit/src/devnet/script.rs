//! A list of transactions of one account, whose contract addresses are known before any of them is sent.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;

use super::DevnetError;
use crate::{
    anvil::Anvil,
    contracts::{Contracts, ContractsError},
    keys::Key,
    rpc::{Receipt, RpcError},
    transaction::{Call, sign},
};

/// More than the dearest step (the endpoint, 5.5 million) and well inside a block.
const GAS: u64 = 10_000_000;

/// Steps are signed and sent in one request, which takes a fraction of the time of waiting for each.
pub(super) struct Script<'a> {
    contracts: &'a Contracts,
    key: Key,
    first_nonce: u64,
    steps: Vec<(String, Call)>,
}

impl<'a> Script<'a> {
    pub(super) const fn new(contracts: &'a Contracts, key: Key, first_nonce: u64) -> Self {
        Self { contracts, key, first_nonce, steps: Vec::new() }
    }

    /// Adds the creation of a contract and returns the address that it will have.
    pub(super) fn create(&mut self, name: &str, arguments: &[u8]) -> Result<Address, ContractsError> {
        let address = self.key.address().create(self.nonce(self.steps.len()));
        let input = [self.contracts.creation_code(name)?, arguments].concat().into();
        self.steps.push((format!("creation of {name}"), Call { to: TxKind::Create, value: U256::ZERO, input }));
        Ok(address)
    }

    pub(super) fn call<C: SolCall>(&mut self, to: Address, call: &C) {
        let call = Call { to: TxKind::Call(to), value: U256::ZERO, input: call.abi_encode().into() };
        self.steps.push((C::SIGNATURE.to_owned(), call));
    }

    /// Sends all steps, mines them, and checks that none reverted. Leaves the node without automatic mining.
    ///
    /// Blocks are asked for, because automatic mining forgets transactions that did not fit the block in which they
    /// were to go.
    pub(super) async fn run(self, anvil: &Anvil, chain: &str, chain_id: u64) -> Result<(), DevnetError> {
        anvil.set_automine(false).await?;
        let raw: Vec<_> = self.signed(chain_id).into_iter().map(|raw| (raw,)).collect();
        let hashes: Vec<B256> = anvil.rpc_client().batch("eth_sendRawTransaction", &raw).await?;
        let receipts = mine(anvil, &hashes).await?;
        let outcomes = self.steps.into_iter().zip(receipts);
        for ((step, _), receipt) in outcomes {
            if receipt.status.is_zero() {
                return Err(DevnetError::Step { chain: chain.to_owned(), step });
            }
        }
        Ok(())
    }

    fn signed(&self, chain_id: u64) -> Vec<Bytes> {
        let steps = self.steps.iter().enumerate();
        steps.map(|(index, (_, call))| sign(&self.key, chain_id, self.nonce(index), GAS, call.clone())).collect()
    }

    fn nonce(&self, index: usize) -> u64 {
        self.first_nonce.saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
    }
}

/// One account's transactions are mined in order, so when the last is mined all are. No step needs a block of its own,
/// so there are at most as many blocks as steps.
async fn mine(anvil: &Anvil, hashes: &[B256]) -> Result<Vec<Receipt>, RpcError> {
    let Some(&last) = hashes.last() else { return Ok(Vec::new()) };
    for _block in hashes {
        anvil.mine(1).await?;
        if anvil.rpc_client().receipt(last).await?.is_some() {
            let params: Vec<_> = hashes.iter().map(|hash| (*hash,)).collect();
            return anvil.rpc_client().batch("eth_getTransactionReceipt", &params).await;
        }
    }
    Err(RpcError::NotMined { transaction: last })
}
