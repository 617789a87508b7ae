//! A chain as a node would tell of it, small enough to write down.

use std::collections::{BTreeMap, HashMap};

use alloy::{
    primitives::{Address, B256, Bytes, U64, U256, address, keccak256},
    sol,
    sol_types::{SolCall, SolEvent},
};
use dvn_chain::SourceContracts;
use dvn_core::{
    ids::{BlockNumber, BlockRef, Eid, Nonce},
    job::Location,
    packet::{Header, Packet},
};
use serde_json::{Value, json};

use crate::node::Answer;

sol! {
    event PacketSent(bytes encodedPayload, bytes options, address sendLibrary);
    event DVNFeePaid(address[] requiredDVNs, address[] optionalDVNs, uint256[] fees);
    event PayloadVerified(address dvn, bytes header, uint256 confirmations, bytes32 proofHash);
    event UpdateQuorum(uint64 quorum);

    struct UlnConfig {
        uint64 confirmations;
        uint8 requiredDVNCount;
        uint8 optionalDVNCount;
        uint8 optionalDVNThreshold;
        address[] requiredDVNs;
        address[] optionalDVNs;
    }
    function getUlnConfig(address oapp, uint32 remoteEid) external view returns (UlnConfig);
    function outboundNonce(address sender, uint32 dstEid, bytes32 receiver) external view returns (uint64);
    function eid() external view returns (uint32);
    function getReceiveLibrary(address receiver, uint32 srcEid) external view returns (address lib, bool isDefault);
    function inboundPayloadHash(address receiver, uint32 srcEid, bytes32 sender, uint64 nonce) external view returns (bytes32);
    function lazyInboundNonce(address receiver, uint32 srcEid, bytes32 sender) external view returns (uint64);
    function hashLookup(bytes32 headerHash, bytes32 payloadHash, address dvn) external view returns (bool submitted, uint64 confirmations);
    function vid() external view returns (uint32);
    function quorum() external view returns (uint64);
    function signers(address signer) external view returns (bool);
    function hasRole(bytes32 role, address account) external view returns (bool);
    function verifySignatures(bytes32 hash, bytes signatures) external view returns (bool valid, uint8 error);
    function verify(bytes packetHeader, bytes32 payloadHash, uint64 confirmations) external;
    function execute((uint32, address, bytes, uint256, bytes)[] params) external;
}

pub(crate) const ENDPOINT: Address = address!("1a44076050125825900e736c501f859c50fE728c");
pub(crate) const SEND_LIB: Address = address!("bB2Ea70C9E858123480642Cf96acbcCE1372dCe1");
pub(crate) const RECEIVE_LIB: Address = address!("16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347");
pub(crate) const DVN: Address = address!("589dEDbD617e0CBcB916A9223F4d1300c294236b");
pub(crate) const SRC: Eid = Eid(30101);
pub(crate) const DST: Eid = Eid(30212);

/// A transaction in a block, with its logs' emitters and contents.
#[derive(Clone)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) status: u64,
    pub(crate) logs: Vec<(Address, Vec<B256>, Bytes)>,
}

/// All that a node knows.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) head: u64,
    pub(crate) finalized: u64,
    /// Goes into every hash from this height on, so that worlds can fork.
    pub(crate) fork: (u64, u8),
    pub(crate) blocks: BTreeMap<u64, Vec<Tx>>,
    /// Return values by contract and selector; what is not here reverts.
    pub(crate) calls: HashMap<(Address, [u8; 4]), Bytes>,
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) base_fee: u64,
    pub(crate) block_gas: u64,
    pub(crate) sent: Vec<Bytes>,
    /// Transactions that are known by what they call alone.
    pub(crate) inputs: BTreeMap<B256, (Option<Address>, Bytes)>,
}

impl Default for World {
    fn default() -> Self {
        let (head, finalized, fork) = (100, 80, (u64::MAX, 0));
        let balance = U256::from(10).pow(U256::from(18));
        let (blocks, calls, sent, inputs) = (BTreeMap::new(), HashMap::new(), Vec::new(), BTreeMap::new());
        Self {
            head,
            finalized,
            fork,
            blocks,
            calls,
            nonce: 5,
            balance,
            base_fee: 1_000,
            block_gas: 30_000_000,
            sent,
            inputs,
        }
    }
}

impl World {
    pub(crate) fn hash(&self, number: u64) -> B256 {
        let salt = if number >= self.fork.0 { self.fork.1 } else { 0 };
        keccak256(format!("block {number} {salt}"))
    }

    pub(crate) fn block(&self, number: u64) -> BlockRef {
        BlockRef { number: BlockNumber(number), hash: self.hash(number) }
    }

    pub(crate) fn returns<C: SolCall>(&mut self, contract: Address, value: &C::Return) {
        self.calls.insert((contract, C::SELECTOR), C::abi_encode_returns(value).into());
    }

    /// Sends a packet to our DVN in a transaction of its own.
    pub(crate) fn send(&mut self, block: u64, nonce: u64) -> Packet {
        let packet = packet(nonce);
        let paid = DVNFeePaid { requiredDVNs: vec![DVN], optionalDVNs: vec![], fees: vec![U256::from(5)] };
        let sent = PacketSent { encodedPayload: packet.encode(), options: Bytes::new(), sendLibrary: SEND_LIB };
        let logs = vec![log(SEND_LIB, &paid), log(ENDPOINT, &sent)];
        self.blocks.entry(block).or_default().push(Tx { hash: tx_hash(nonce), status: 1, logs });
        packet
    }

    /// Where [`World::send`] put the packet, if its block holds no other.
    pub(crate) fn location(&self, block: u64, nonce: u64) -> Location {
        Location { src_eid: SRC, block: self.block(block), tx_hash: tx_hash(nonce), log_index: 1 }
    }

    pub(crate) fn answer(&mut self, method: &str, params: &Value) -> Answer {
        Ok(match method {
            "eth_chainId" => json!("0x1"),
            "eth_blockNumber" => json!(U64::from(self.head)),
            "eth_getBlockByNumber" => self.block_json(self.height(&params[0])),
            "eth_getBlockReceipts" => match self.by_hash(&params[0]) {
                Some(number) => json!(self.receipts(number)),
                None => Value::Null,
            },
            "eth_getTransactionReceipt" => {
                let all =
                    self.blocks.keys().filter(|number| **number <= self.head).flat_map(|number| self.receipts(*number));
                all.into_iter().find(|receipt| receipt["transactionHash"] == params[0]).unwrap_or_default()
            }
            "eth_getLogs" => self.logs(&params[0]),
            "eth_call" => return self.call(&params[0]),
            "eth_getCode" => json!("0x6001"),
            "eth_getTransactionCount" => json!(U64::from(self.nonce)),
            "eth_getBalance" => json!(self.balance),
            "eth_estimateGas" => json!(U64::from(100_000)),
            "eth_gasPrice" => json!(U64::from(self.base_fee + 100)),
            "eth_maxPriorityFeePerGas" => json!("0x64"),
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                let hash = keccak256(&raw);
                self.sent.push(raw);
                json!(hash)
            }
            "eth_getRawTransactionByHash" => json!(self.sent.iter().find(|raw| json!(keccak256(raw)) == params[0])),
            "eth_getTransactionByHash" => {
                let known = self.inputs.iter().find(|(hash, _)| json!(hash) == params[0]);
                known.map(|(hash, (to, input))| json!({ "hash": hash, "to": to, "input": input })).unwrap_or_default()
            }
            _ => return Err((-32601, "method not found".to_owned())),
        })
    }

    fn height(&self, tag: &Value) -> u64 {
        match tag.as_str().unwrap() {
            "latest" => self.head,
            "finalized" | "safe" => self.finalized,
            number => number.parse::<U64>().unwrap().to(),
        }
    }

    fn block_json(&self, number: u64) -> Value {
        if number > self.head.max(self.finalized) {
            return Value::Null;
        }
        let (hash, time) = (self.hash(number), U64::from(1_000 + number));
        let parent = self.hash(number.saturating_sub(1));
        json!({ "number": U64::from(number), "hash": hash, "parentHash": parent, "timestamp": time, "baseFeePerGas": U64::from(self.base_fee), "gasLimit": U64::from(self.block_gas), "extra": 1 })
    }

    fn by_hash(&self, hash: &Value) -> Option<u64> {
        (0..=self.head).find(|number| json!(self.hash(*number)) == *hash)
    }

    fn receipts(&self, number: u64) -> Vec<Value> {
        let mut index = 0_u64;
        let (hash, block) = (self.hash(number), U64::from(number));
        let txs = self.blocks.get(&number).into_iter().flatten();
        txs.map(|tx| {
            let mut logs = Vec::new();
            for (address, topics, data) in &tx.logs {
                logs.push(json!({
                    "address": address, "topics": topics, "data": data, "logIndex": U64::from(index),
                    "transactionHash": tx.hash, "blockHash": hash, "blockNumber": block,
                }));
                index += 1;
            }
            json!({
                "transactionHash": tx.hash, "blockHash": hash, "blockNumber": block, "status": U64::from(tx.status), "logs": logs,
                "gasUsed": U64::from(77_433), "effectiveGasPrice": U64::from(self.base_fee + 100),
            })
        })
        .collect()
    }

    fn logs(&self, filter: &Value) -> Value {
        if let Some(number) = self.by_hash(&filter["blockHash"]) {
            let logs = self.receipts(number).into_iter().flat_map(|it| it["logs"].as_array().unwrap().clone());
            return logs.collect();
        }
        let (from, to) = (self.height(&filter["fromBlock"]), self.height(&filter["toBlock"]));
        let has = |list: &Value, item: &Value| {
            let lower = |value: &Value| value.as_str().unwrap().to_ascii_lowercase();
            list.as_array().unwrap().iter().any(|it| lower(it) == lower(item))
        };
        let blocks = self.blocks.range(from..=to.min(self.head)).flat_map(|(number, _)| self.receipts(*number));
        let logs = blocks.flat_map(|receipt| receipt["logs"].as_array().unwrap().clone());
        logs.filter(|log| has(&filter["address"], &log["address"]) && has(&filter["topics"][0], &log["topics"][0]))
            .collect()
    }

    fn call(&self, call: &Value) -> Answer {
        if call["to"].is_null() {
            return Err((-32602, "this node runs no code that is nowhere".to_owned()));
        }
        let to: Address = serde_json::from_value(call["to"].clone()).unwrap();
        let data: Bytes = serde_json::from_value(call["data"].clone()).unwrap();
        let selector: [u8; 4] = data[..4].try_into().unwrap();
        self.calls.get(&(to, selector)).map(|value| json!(value)).ok_or((3, "execution reverted".to_owned()))
    }
}

/// A world at the source, in which the sender asks for 15 confirmations and has sent 9 packets.
pub(crate) fn source_world() -> World {
    let mut world = World::default();
    world.returns::<getUlnConfigCall>(SEND_LIB, &uln(15, &[DVN]));
    world.returns::<outboundNonceCall>(ENDPOINT, &9);
    world
}

pub(crate) fn uln(confirmations: u64, required: &[Address]) -> UlnConfig {
    UlnConfig {
        confirmations,
        requiredDVNCount: u8::try_from(required.len()).unwrap(),
        optionalDVNCount: 0,
        optionalDVNThreshold: 0,
        requiredDVNs: required.to_vec(),
        optionalDVNs: vec![],
    }
}

pub(crate) fn contracts() -> SourceContracts {
    SourceContracts { endpoint: ENDPOINT, send_libs: vec![SEND_LIB], legacy_send_libs: vec![], dvn: DVN }
}

pub(crate) fn packet(nonce: u64) -> Packet {
    let app = Address::repeat_byte(7).into_word();
    let header = Header { nonce: Nonce(nonce), src_eid: SRC, sender: app, dst_eid: DST, receiver: app };
    Packet { header, message: Bytes::from_static(b"hello") }
}

pub(crate) fn tx_hash(nonce: u64) -> B256 {
    keccak256(format!("transaction {nonce}"))
}

pub(crate) fn log(address: Address, event: &impl SolEvent) -> (Address, Vec<B256>, Bytes) {
    let data = event.encode_log_data();
    (address, data.topics().to_vec(), data.data)
}
