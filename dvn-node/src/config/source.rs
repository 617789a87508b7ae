use std::time::Duration;

use alloy_primitives::Address;
use dvn_chain::SourceConfig;
use dvn_core::ids::BlockNumber;

use super::{
    network::{Draft, Network},
    reader::{Reader, Section},
    scalar,
};

/// A chain whose packets are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The chain.
    pub network: Network,
    /// Where a new node starts to read; by default the chain's final head at that moment.
    pub start_block: Option<BlockNumber>,
    /// What is watched there.
    pub contracts: SourceContracts,
    /// How long nothing is verified after too few seats answered for five seconds or more; 30 s by default.
    pub cool_down: Duration,
    /// Whether blocks without packets are asked about like those with.
    pub uniform_queries: bool,
    /// How long, as depth, a packet waits whose attestation could not be taken back; by default the class's.
    pub irrevocable_delay: Option<Duration>,
}

/// The contracts of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceContracts {
    /// `EndpointV2`.
    pub endpoint: Address,
    /// `SendUln302`s whose fee events are believed, at least one.
    pub send_libs: Vec<Address>,
    /// Our DVN contract, the one that `DVNFeePaid` names.
    pub dvn: Address,
}

pub(super) struct SourceDraft {
    pub(super) network: Draft,
    start_block: Option<BlockNumber>,
    contracts: Option<SourceContracts>,
    cool_down: Duration,
    uniform_queries: bool,
    irrevocable_delay: Option<Duration>,
}

impl SourceDraft {
    pub(super) fn read(name: String, mut section: Section<'_>) -> Self {
        let network = Draft::read(name, &mut section);
        let start_block = section.parsed("start_block", scalar::number(0..=u64::MAX)).map(BlockNumber);
        let contracts = read_contracts(section.section("contracts"), &network);
        let cool_down = section.parsed("cool_down", scalar::duration(Duration::ZERO..=Duration::from_secs(86_400)));
        let cool_down = cool_down.unwrap_or(SourceConfig::COOL_DOWN);
        let uniform_queries = section.parsed("uniform_queries", scalar::flag).unwrap_or(false);
        let day = Duration::from_secs(86_400);
        let irrevocable_delay = section.parsed("irrevocable_delay", scalar::duration(Duration::ZERO..=day));
        section.finish();
        Self { network, start_block, contracts, cool_down, uniform_queries, irrevocable_delay }
    }
}

/// Nothing where any source is incomplete.
pub(super) fn complete(reader: &Reader<'_>, drafts: Vec<SourceDraft>) -> Option<Vec<Source>> {
    let complete = |draft: SourceDraft| {
        let SourceDraft { start_block, cool_down, uniform_queries, irrevocable_delay, .. } = draft;
        let place = draft.network.place.clone();
        let network = draft.network.complete(reader);
        if network.as_ref().is_some_and(|it| it.rpc.audit.is_empty()) && !reader.is_dev() {
            let message = "no seat has `role: audit`: what is attested is looked at again by the seats that voted on it, \
                           two minutes later";
            reader.warning(&place.below("rpc"), message);
        }
        let (network, contracts) = (network?, draft.contracts?);
        Some(Source { network, start_block, contracts, cool_down, uniform_queries, irrevocable_delay })
    };
    // Every draft is completed before any is missed, so that each reports its problems.
    drafts.into_iter().map(complete).collect::<Vec<_>>().into_iter().collect()
}

fn read_contracts(mut section: Section<'_>, network: &Draft) -> Option<SourceContracts> {
    let known = network.known();
    let endpoint = read_endpoint(&mut section, network);
    let put = match known {
        Some(known) => format!("the SendUln302 whose fee events count, {} on {}", known.send_lib, known.name),
        None => "the SendUln302 whose fee events count".to_owned(),
    };
    let send_libs = read_libraries(&mut section, "send_lib", &put);
    let dvn = read_dvn(&mut section);
    section.finish();
    Some(SourceContracts { endpoint: endpoint?, send_libs: send_libs?, dvn: dvn? })
}

pub(super) fn read_endpoint(section: &mut Section<'_>, network: &Draft) -> Option<Address> {
    let put = match network.known() {
        Some(known) => format!("the address of EndpointV2, {} on {}", known.endpoint(), known.name),
        None => "the address of EndpointV2".to_owned(),
    };
    section.needed("endpoint", &put, scalar::address)
}

pub(super) fn read_dvn(section: &mut Section<'_>) -> Option<Address> {
    section.needed("dvn", "the address of your own DVN contract on this chain", scalar::address)
}

/// One address or a list, at least one and none twice.
pub(super) fn read_libraries(section: &mut Section<'_>, key: &str, put: &str) -> Option<Vec<Address>> {
    let field = section.required(key, put)?;
    let place = field.place.clone();
    let read: Vec<_> = field.one_or_more().iter().map(|field| field.needed(put, scalar::address)).collect();
    if read.is_empty() {
        section.reader.problem(&place, format!("missing: {put}"));
        return None;
    }
    let libraries: Vec<Address> = read.into_iter().collect::<Option<_>>()?;
    let repeated =
        libraries.iter().enumerate().find(|(index, it)| libraries.iter().take(*index).any(|before| before == *it));
    if let Some((_, library)) = repeated {
        section.reader.problem(&place, format!("lists {library} twice"));
    }
    Some(libraries)
}
