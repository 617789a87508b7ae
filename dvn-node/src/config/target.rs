use std::time::Duration;

use alloy_primitives::Address;
use dvn_core::ids::BlockNumber;

use super::{
    key::{self, Key},
    network::{Draft, Network},
    reader::{Field, Place, Reader, Section},
    scalar,
    source::{read_dvn, read_endpoint, read_libraries},
};

/// A chain to which attestations are written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The chain.
    pub network: Network,
    /// What is written to.
    pub contracts: TargetContracts,
    /// The accounts with `ADMIN_ROLE` that pay for gas, at least one; each has its own nonces, and they share the work.
    pub senders: Vec<Key>,
    /// This contract's own attesting key, where it is not the one of `hsm`.
    pub signer: Option<Key>,
    /// How many attestations share a transaction.
    pub batch: Batch,
    /// What a transaction may cost.
    pub fees: Fees,
    /// From where on the contract's history is read when the journal's past is uncertain; 0 by default.
    pub start_block: BlockNumber,
}

/// The contracts of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetContracts {
    /// `EndpointV2`.
    pub endpoint: Address,
    /// `ReceiveUln302`s that may be called, at least one.
    pub receive_libs: Vec<Address>,
    /// Our DVN contract.
    pub dvn: Address,
}

/// How many attestations share a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// From 1; 25 by default, which has nearly all of an endless batch's saving and stays far below a block's gas.
    pub max_items: usize,
    /// How long one waits for company; 2 s by default, short beside any finality.
    pub max_wait: Duration,
}

/// What a transaction may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fees {
    /// Cap of `maxFeePerGas` in wei; 200 gwei by default, above which work stays queued.
    pub max_fee: u128,
    /// Cap of `maxPriorityFeePerGas` in wei; 5 gwei by default.
    pub max_priority: u128,
    /// The most that attestations may take in any 24 hours, in wei; no bound by default.
    pub daily_budget: Option<u128>,
    /// The sender's balance below which an alarm is raised, in wei; by default 50 times what the newest transaction may take.
    pub low_balance: Option<u128>,
}

pub(super) struct TargetDraft {
    pub(super) network: Draft,
    pub(super) senders: Option<Vec<(Place, Key)>>,
    /// Nothing where it is given and broken, `Some(None)` where it is not given.
    pub(super) signer: Option<Option<Key>>,
    contracts: Option<TargetContracts>,
    batch: Batch,
    fees: Fees,
    start_block: BlockNumber,
}

impl TargetDraft {
    pub(super) fn read(name: String, mut section: Section<'_>) -> Self {
        let network = Draft::read(name, &mut section);
        let contracts = read_contracts(section.section("contracts"), &network);
        let put =
            "the account with ADMIN_ROLE on the DVN contract that pays for gas; say which `provider` holds its key";
        let senders = section.required("sender", put).and_then(|field| read_senders(field, put));
        let signer = match section.given_section("signer") {
            Some(signer) if !signer.is_empty() => key::read(signer).map(Some),
            _ => Some(None),
        };
        let (batch, fees) = (read_batch(section.section("batch")), read_fees(section.section("fees")));
        if section.parsed("commit", scalar::flag) == Some(true) {
            section
                .problem_at("commit", "calling commitVerification is not in this build: remove it; executors commit");
        }
        let start_block =
            section.parsed("start_block", scalar::number(0..=u64::MAX)).map_or(BlockNumber(0), BlockNumber);
        section.finish();
        Self { network, senders, signer, contracts, batch, fees, start_block }
    }
}

/// Nothing where any target is incomplete.
pub(super) fn complete(reader: &Reader<'_>, drafts: Vec<TargetDraft>) -> Option<Vec<Target>> {
    let complete = |draft: TargetDraft| {
        let network = draft.network.complete(reader);
        Some(Target {
            network: network?,
            contracts: draft.contracts?,
            senders: draft.senders?.into_iter().map(|(_, key)| key).collect(),
            signer: draft.signer?,
            batch: draft.batch,
            fees: draft.fees,
            start_block: draft.start_block,
        })
    };
    // Every draft is completed before any is missed, so that each reports its problems.
    drafts.into_iter().map(complete).collect::<Vec<_>>().into_iter().collect()
}

impl Target {
    /// Every sender with its place in the file.
    pub(crate) fn senders(&self) -> Vec<(String, &Key)> {
        let path = format!("target_chains.{}.sender", self.network.name);
        match &self.senders[..] {
            [only] => vec![(path, only)],
            several => several.iter().enumerate().map(|(at, key)| (format!("{path}[{at}]"), key)).collect(),
        }
    }
}

/// One key, or a list of them.
fn read_senders(field: Field<'_>, put: &str) -> Option<Vec<(Place, Key)>> {
    let (reader, place) = (field.reader, field.place.clone());
    let fields = field.one_or_more();
    if fields.is_empty() {
        reader.problem(&place, format!("missing: {put}"));
        return None;
    }
    let read = |field: &Field<'_>| Some((field.place.clone(), key::read(field.section())?));
    // Each is read before any is missed, so that all report their problems.
    let read: Vec<_> = fields.iter().map(read).collect();
    let senders: Vec<(Place, Key)> = read.into_iter().collect::<Option<_>>()?;
    for (at, (place, key)) in senders.iter().enumerate() {
        if senders.iter().take(at).any(|(_, before)| before.is_same(key)) {
            reader.problem(place, "is listed twice: give each sender a key of its own");
        }
    }
    Some(senders)
}

fn read_contracts(mut section: Section<'_>, network: &Draft) -> Option<TargetContracts> {
    let endpoint = read_endpoint(&mut section, network);
    let put = match network.known() {
        Some(known) => format!("the ReceiveUln302 to call, {} on {}", known.receive_lib, known.name),
        None => "the ReceiveUln302 to call".to_owned(),
    };
    let receive_libs = read_libraries(&mut section, "receive_lib", &put);
    let dvn = read_dvn(&mut section);
    section.finish();
    Some(TargetContracts { endpoint: endpoint?, receive_libs: receive_libs?, dvn: dvn? })
}

fn read_batch(mut section: Section<'_>) -> Batch {
    let max_items = section.parsed("max_items", scalar::number(1..=200)).unwrap_or(25);
    let wait = scalar::duration(Duration::ZERO..=Duration::from_secs(300));
    let max_wait = section.parsed("max_wait", wait).unwrap_or(Duration::from_secs(2));
    section.finish();
    Batch { max_items, max_wait }
}

fn read_fees(mut section: Section<'_>) -> Fees {
    const GWEI: u128 = 1_000_000_000;
    let gwei = scalar::amount(9);
    let max_fee = section.parsed("max_fee_gwei", &gwei).unwrap_or(200_u128.saturating_mul(GWEI));
    let max_priority = section.parsed("max_priority_gwei", &gwei).unwrap_or(5_u128.saturating_mul(GWEI).min(max_fee));
    if max_fee == 0 {
        section.problem_at("max_fee_gwei", "must be above 0: nothing could ever be sent");
    }
    if max_priority > max_fee {
        section.problem_at("max_priority_gwei", "must not be above `max_fee_gwei`, of which it is a part");
    }
    let daily_budget = section.parsed("daily_budget", scalar::amount(18));
    if daily_budget == Some(0) {
        section.problem_at("daily_budget", "must be above 0: nothing could ever be sent; leave it out for no bound");
    }
    let low_balance = section.parsed("low_balance", scalar::amount(18));
    section.finish();
    Fees { max_fee, max_priority, daily_budget, low_balance }
}
