use std::time::Duration;

use dvn_chain::{ChainClass, Finality};
use dvn_core::ids::{Confirmations, Eid};

use super::{
    known::{self, Known},
    reader::{Given, Place, Reader, Section},
    rpc::{self, Rpc},
    scalar,
};

/// The words of the configuration for families of chains that behave alike.
const CLASSES: &[(&str, ChainClass)] = &[
    ("ethereum", ChainClass::Ethereum),
    ("op-stack", ChainClass::OpStack),
    ("arbitrum", ChainClass::Arbitrum),
    ("polygon", ChainClass::Polygon),
    ("bsc", ChainClass::Bsc),
    ("conflux", ChainClass::Conflux),
    ("generic", ChainClass::Generic),
];

const FINALITIES: &[(&str, Finality)] =
    &[("finalized", Finality::Finalized), ("safe", Finality::Safe), ("latest", Finality::Latest)];

fn class_name(class: ChainClass) -> &'static str {
    CLASSES.iter().find(|(_, it)| *it == class).map_or("generic", |(word, _)| word)
}

/// The word of the configuration.
pub(crate) const fn finality_name(finality: Finality) -> &'static str {
    match finality {
        Finality::Finalized => "finalized",
        Finality::Safe => "safe",
        Finality::Latest => "latest",
    }
}

/// What is true of a chain whether it is a source or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// The operator's name for it: label of logs and metrics, word of the command line.
    pub name: String,
    /// The EVM chain id.
    pub chain_id: u64,
    /// The LayerZero endpoint id.
    pub eid: Eid,
    /// Its family; by default the one of a well-known chain id, else generic.
    pub class: ChainClass,
    /// Who is asked about it.
    pub rpc: Rpc,
    /// Which block counts as final.
    pub finality: Finality,
    /// The usual distance of two blocks; by default the class's.
    pub block_time: Duration,
    /// A floor of the depth to wait for, from 1 (the default, which adds nothing to what both ULN configurations ask); with
    /// [`Finality::Latest`] also the depth from which on a block counts as final.
    pub confirmations: Confirmations,
}

/// A network as far as its own section tells.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) chain_id: Option<u64>,
    pub(super) eid: Option<Eid>,
    pub(super) chain_id_place: Place,
    pub(super) eid_place: Place,
    pub(super) rpc: Given<Rpc>,
    class: Option<ChainClass>,
    finality: Finality,
    block_time: Option<Duration>,
    confirmations: Confirmations,
}

impl Draft {
    pub(super) fn read(name: String, section: &mut Section<'_>) -> Self {
        if let Err(message) = scalar::name(&name) {
            section.reader.problem(&section.place, message);
        }
        let chain_id = section.needed("chain_id", "the EVM chain id", scalar::number(1..=u64::MAX));
        let known = chain_id.and_then(known::by_chain_id);
        let eid = section.needed("eid", &put_eid(known), scalar::number(1..=u32::MAX));
        check_eid(section, chain_id, eid);
        let class = read_class(section, known);
        let block_time = scalar::duration(Duration::from_millis(10)..=Duration::from_secs(600));
        Self {
            chain_id,
            eid: eid.map(Eid),
            chain_id_place: section.place_at("chain_id"),
            eid_place: section.place_at("eid"),
            class,
            rpc: rpc::read(section),
            finality: read_finality(section),
            block_time: section.parsed("block_time", block_time),
            confirmations: Confirmations(section.parsed("confirmations", scalar::number(1..=100_000)).unwrap_or(1)),
            place: section.place.clone(),
            name,
        }
    }

    /// What the addresses of this chain's contracts should be, if they are published.
    pub(super) fn known(&self) -> Option<&'static Known> {
        self.chain_id.and_then(known::by_chain_id)
    }

    /// The network, once an RPC that stands in the other map is put here as well.
    pub(super) fn complete(self, reader: &Reader<'_>) -> Option<Network> {
        if matches!(self.rpc, Given::Absent) {
            let place = Place { path: format!("{}.rpc", self.place.path), line: self.place.line };
            reader.problem(&place, "missing: list the `seats` that are asked about this chain");
        }
        let class = self.class?;
        Some(Network {
            name: self.name,
            chain_id: self.chain_id?,
            eid: self.eid?,
            class,
            rpc: self.rpc.ok()?,
            finality: self.finality,
            block_time: self.block_time.unwrap_or_else(|| class.profile().block_time),
            confirmations: self.confirmations,
        })
    }
}

fn put_eid(known: Option<&Known>) -> String {
    match known {
        Some(known) => format!("the LayerZero endpoint id, which is {} for {}", known.eid, known.name),
        None => "the LayerZero endpoint id".to_owned(),
    }
}

/// Compares both numbers with the published ones.
fn check_eid(section: &Section<'_>, chain_id: Option<u64>, eid: Option<u32>) {
    let (Some(chain_id), Some(eid)) = (chain_id, eid) else { return };
    let place = section.place_at("eid");
    let message = if let Some(meant) = known::mistaken(eid) {
        format!("no chain has eid {eid}; {} is {}", meant.name, meant.eid)
    } else if let Some(known) = known::by_chain_id(chain_id).filter(|known| known.eid != eid) {
        format!("chain id {chain_id} is {}, whose eid is {} and not {eid}", known.name, known.eid)
    } else if let Some(known) = known::by_eid(eid).filter(|known| known.chain_id != chain_id) {
        format!("eid {eid} is {}, whose chain id is {} and not {chain_id}", known.name, known.chain_id)
    } else if eid < known::FIRST_V2_EID {
        format!("{eid} is not the id of a LayerZero V2 endpoint: those begin at {}", known::FIRST_V2_EID)
    } else {
        return;
    };
    section.reader.problem_unless_dev(&place, message);
}

/// Nothing where what stands there is no class.
fn read_class(section: &mut Section<'_>, known: Option<&'static Known>) -> Option<ChainClass> {
    let published = known.map(|known| known.class);
    let Some(field) = section.optional("class") else {
        return Some(published.unwrap_or(ChainClass::Generic));
    };
    let class = field.parsed(scalar::choice(CLASSES))?;
    if let Some(known) = known.filter(|known| known.class != class) {
        let message =
            format!("{} is of class {}: its finality and gas rules differ", known.name, class_name(known.class));
        section.reader.problem_unless_dev(&field.place, message);
    }
    Some(class)
}

fn read_finality(section: &mut Section<'_>) -> Finality {
    let finality = section.parsed("finality", scalar::choice(FINALITIES)).unwrap_or(Finality::Finalized);
    if finality == Finality::Latest && !section.has("confirmations") {
        let message = "missing: with `finality: latest` the number of confirmations alone protects, so say it";
        section.reader.problem_unless_dev(&section.place_at("confirmations"), message);
    }
    finality
}
