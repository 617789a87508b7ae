//! One running chain of a network.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_sol_types::{SolCall, SolConstructor};
use serde::Deserialize;
use url::Url;

use super::{Addresses, ChainSpec, DevnetError, Forgery, deployment};
use crate::{
    anvil::Anvil,
    bindings::{Hostile, OApp},
    contracts::Contracts,
    keys::{self, Key},
    rpc::{Receipt, Rpc},
    transaction::{Call, Sender},
};

/// A local node with LayerZero V2, our DVN and our test contracts on it.
#[derive(Debug)]
pub struct Chain {
    spec: ChainSpec,
    anvil: Anvil,
    addresses: Addresses,
    contracts: Arc<Contracts>,
    sender: Sender,
}

impl Chain {
    pub(super) fn new(spec: ChainSpec, anvil: Anvil, addresses: Addresses, contracts: Arc<Contracts>) -> Self {
        let sender = Sender::new(anvil.rpc_client().clone(), spec.anvil.chain_id);
        Self { spec, anvil, addresses, contracts, sender }
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The EIP-155 chain id.
    pub const fn chain_id(&self) -> u64 {
        self.spec.anvil.chain_id
    }

    /// The LayerZero endpoint id.
    pub const fn eid(&self) -> u32 {
        self.spec.eid
    }

    /// The verifier id of our DVN contract: eid modulo 30000.
    pub const fn vid(&self) -> u32 {
        deployment::vid(self.spec.eid)
    }

    /// The verifier id of the other DVN contract.
    pub const fn other_vid(&self) -> u32 {
        deployment::other_vid(self.spec.eid)
    }

    /// How many confirmations packets from this chain need by default.
    pub const fn confirmations(&self) -> u64 {
        self.spec.confirmations
    }

    /// Where the node listens.
    pub const fn url(&self) -> &Url {
        self.anvil.url()
    }

    /// The node.
    pub const fn anvil(&self) -> &Anvil {
        &self.anvil
    }

    /// A client of the node.
    pub const fn rpc(&self) -> &Rpc {
        self.anvil.rpc_client()
    }

    /// Where the contracts are.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The timestamp of the latest block, in seconds.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn timestamp(&self) -> Result<u64, DevnetError> {
        #[derive(Debug, Deserialize)]
        struct Block {
            timestamp: U64,
        }
        let block: Block = self.rpc().request("eth_getBlockByNumber", ("latest", false)).await?;
        Ok(block.timestamp.to())
    }

    /// Sends a transaction and waits until it is mined.
    ///
    /// # Errors
    /// When the transaction would revert or reverts, and when the node refuses it or cannot be reached.
    pub async fn transact(&self, key: &Key, to: Address, value: U256, input: Bytes) -> Result<Receipt, DevnetError> {
        let receipt = self.sender.transact(key, Call { to: TxKind::Call(to), value, input }).await?;
        self.succeeded(receipt)
    }

    /// Sends a transaction and does not wait. It may never be mined.
    ///
    /// # Errors
    /// When the transaction would revert, and when the node refuses it or cannot be reached.
    pub async fn submit(&self, key: &Key, to: Address, value: U256, input: Bytes) -> Result<B256, DevnetError> {
        Ok(self.sender.submit(key, Call { to: TxKind::Call(to), value, input }).await?)
    }

    /// Deploys one more application like the first, with its own address and so its own configuration.
    ///
    /// # Errors
    /// As for [`Chain::transact`].
    pub async fn deploy_oapp(&self) -> Result<Address, DevnetError> {
        let deployer = keys::deployer();
        let arguments = OApp::constructorCall { endpoint: self.addresses.endpoint, delegate: deployer.address() };
        let input = [self.contracts.creation_code("TestOApp")?, arguments.abi_encode().as_slice()].concat().into();
        let call = Call { to: TxKind::Create, value: U256::ZERO, input };
        let receipt = self.succeeded(self.sender.transact(&deployer, call).await?)?;
        receipt
            .contract_address
            .ok_or(DevnetError::Reverted { chain: self.name().to_owned(), transaction: receipt.transaction_hash })
    }

    /// Lets the hostile DVN emit this forgery in every send that lists it, or nothing.
    ///
    /// # Errors
    /// As for [`Chain::transact`].
    pub async fn arm_hostile_dvn(&self, forgery: Option<Forgery>) -> Result<(), DevnetError> {
        let hostile = self.addresses.hostile_dvn;
        match forgery {
            Some(forgery) => self.run(hostile, &Hostile::armCall { next: forgery.into() }).await?,
            None => self.run(hostile, &Hostile::disarmCall {}).await?,
        };
        Ok(())
    }

    /// A call by the deployer.
    pub(super) async fn run<C: SolCall>(&self, to: Address, call: &C) -> Result<Receipt, DevnetError> {
        self.transact(&keys::deployer(), to, U256::ZERO, call.abi_encode().into()).await
    }

    fn succeeded(&self, receipt: Receipt) -> Result<Receipt, DevnetError> {
        if receipt.status.is_zero() {
            let transaction = receipt.transaction_hash;
            return Err(DevnetError::Reverted { chain: self.name().to_owned(), transaction });
        }
        Ok(receipt)
    }
}
