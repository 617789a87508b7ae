//! Seats and panels, and what the start asks them.

use std::sync::Arc;

use dvn_chain::{
    Panel, PanelSetupError, RedactedUrl, Seat, SeatConfig, SeatSetupError, UrlError, preflight::Expectations,
};
use dvn_core::{ports::Chain, quorum::Threshold};
use secrecy::ExposeSecret;
use thiserror::Error;

use super::keys::Keys;
use crate::config::{self, Config, Network};

/// A panel for each chain, in the configuration's order.
#[derive(Debug)]
pub(crate) struct Panels {
    pub(crate) sources: Vec<Arc<Panel>>,
    /// Of the seats that only audit; nothing for a source without.
    pub(crate) audits: Vec<Option<Arc<Panel>>>,
    pub(crate) targets: Vec<Arc<Panel>>,
}

/// Why a chain's seats cannot be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// An endpoint's address.
    #[error("seat of {chain} has an unusable url")]
    Url {
        /// The chain.
        chain: String,
        /// Why.
        source: UrlError,
    },
    /// A seat's client.
    #[error("seat of {chain} cannot be set up")]
    Seat {
        /// The chain.
        chain: String,
        /// Why.
        source: Box<SeatSetupError>,
    },
    /// The seats together.
    #[error("seats of {chain} do not fit together")]
    Panel {
        /// The chain.
        chain: String,
        /// Why.
        source: PanelSetupError,
    },
}

/// What is expected of one chain, and under which key of the configuration it stands.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) path: String,
    pub(crate) panel: Arc<Panel>,
    pub(crate) expected: Expectations,
    /// Where the attesting key of this target is configured.
    pub(crate) signer_path: String,
}

impl Panels {
    pub(crate) fn set_up(config: &Config) -> Result<Self, ChainError> {
        let mut seats = Seats::default();
        let sources = config.sources.iter().map(|it| panel(&it.network, &mut seats)).collect::<Result<_, _>>()?;
        let audits = config.sources.iter().map(|it| audit_panel(&it.network, &mut seats)).collect::<Result<_, _>>()?;
        let targets = config.targets.iter().map(|it| panel(&it.network, &mut seats)).collect::<Result<_, _>>()?;
        Ok(Self { sources, audits, targets })
    }

    /// Everything that the chains can be asked about the configuration.
    pub(crate) fn checks(&self, config: &Config, keys: &Keys) -> Vec<Check> {
        let sources = config.sources.iter().zip(&self.sources).map(|(source, panel)| source_check(source, panel));
        let targets = config.targets.iter().zip(&self.targets).zip(&keys.targets);
        let targets = targets.map(|((target, panel), keys)| {
            let mut check = target_check(target, panel);
            check.expected.quorum = u64::try_from(config.signing.quorum).ok();
            check.expected.signer = Some(keys.signer.address());
            check.expected.senders = keys.senders.iter().map(|sender| sender.address()).collect();
            check
        });
        sources.chain(targets).collect()
    }
}

fn source_check(source: &config::Source, panel: &Arc<Panel>) -> Check {
    let config::SourceContracts { endpoint, ref send_libs, dvn, .. } = source.contracts;
    let path = format!("source_chains.{}", source.network.name);
    let expected = Expectations {
        chain_id: source.network.chain_id,
        eid: source.network.eid,
        endpoint,
        send_libs: send_libs.clone(),
        receive_libs: Vec::new(),
        dvn,
        vid: None,
        quorum: None,
        signer: None,
        senders: Vec::new(),
    };
    Check { path, panel: Arc::clone(panel), expected, signer_path: String::new() }
}

fn target_check(target: &config::Target, panel: &Arc<Panel>) -> Check {
    let config::TargetContracts { endpoint, ref receive_libs, dvn, .. } = target.contracts;
    let path = format!("target_chains.{}", target.network.name);
    let signer_path = if target.signer.is_some() { format!("{path}.signer") } else { "hsm".to_owned() };
    let expected = Expectations {
        chain_id: target.network.chain_id,
        eid: target.network.eid,
        endpoint,
        send_libs: Vec::new(),
        receive_libs: receive_libs.clone(),
        dvn,
        vid: None,
        quorum: None,
        signer: None,
        senders: Vec::new(),
    };
    Check { path, panel: Arc::clone(panel), expected, signer_path }
}

/// The seats of each chain. One that is a source and a target asks through the same ones, since what a seat allows and how it
/// fares is one matter.
#[derive(Default)]
struct Seats<'a>(Vec<(&'a str, &'a config::Seat, Arc<Seat>)>);

impl<'a> Seats<'a> {
    fn of(&mut self, chain: &'a str, wanted: &'a config::Seat) -> Result<Arc<Seat>, ChainError> {
        if let Some((_, _, seat)) = self.0.iter().find(|(of, known, _)| *of == chain && *known == wanted) {
            return Ok(Arc::clone(seat));
        }
        let seat = seat(chain, wanted)?;
        self.0.push((chain, wanted, Arc::clone(&seat)));
        Ok(seat)
    }
}

fn panel<'a>(network: &'a Network, all: &mut Seats<'a>) -> Result<Arc<Panel>, ChainError> {
    let name = &network.name;
    let seats = network.rpc.seats.iter().map(|it| all.of(name, it)).collect::<Result<Vec<_>, _>>()?;
    let panel = Panel::try_new(named(network), seats, network.rpc.threshold);
    finished(network, panel.and_then(|it| it.with_quotas(network.rpc.quotas)))
}

/// Seats that audit agree as voting ones do by default: as many as are safe while fewer than a third of them lie.
fn audit_panel<'a>(network: &'a Network, all: &mut Seats<'a>) -> Result<Option<Arc<Panel>>, ChainError> {
    let audit = &network.rpc.audit;
    let Ok(threshold) = Threshold::try_new(audit.len(), Threshold::safe(audit.len())) else {
        return Ok(None);
    };
    let seats = audit.iter().map(|it| all.of(&network.name, it)).collect::<Result<Vec<_>, _>>()?;
    finished(network, Panel::try_new(named(network), seats, threshold)).map(Some)
}

fn named(network: &Network) -> Chain {
    Chain { name: network.name.clone(), eid: network.eid }
}

fn finished(network: &Network, panel: Result<Panel, PanelSetupError>) -> Result<Arc<Panel>, ChainError> {
    panel
        .map(|it| Arc::new(it.with_chain_id(network.chain_id)))
        .map_err(|source| ChainError::Panel { chain: network.name.clone(), source })
}

fn seat(chain: &str, seat: &config::Seat) -> Result<Arc<Seat>, ChainError> {
    let unusable = |source| ChainError::Url { chain: chain.to_owned(), source };
    let url = seat.url.expose().as_str().parse::<RedactedUrl>().map_err(unusable)?;
    let ws = seat.ws.as_ref().map(|ws| RedactedUrl::web_socket(ws.expose().as_str())).transpose().map_err(unusable)?;
    let client = seat.client.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut config = SeatConfig::new(url, seat.operator.clone(), client);
    (config.ws, config.limits) = (ws, seat.limits);
    config.headers =
        seat.headers.iter().map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned())).collect();
    let seat = Seat::try_new(chain, config);
    seat.map(Arc::new).map_err(|source| ChainError::Seat { chain: chain.to_owned(), source: Box::new(source) })
}
