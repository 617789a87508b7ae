//! EVM chains for a DVN: reads them by the agreement of a fixed number of seats, and writes to them.
//!
//! [`EvmSource`] hints at packets and [`EvmVerifier`] convinces itself of one, both over one [`EvmReader`] of the source
//! chain; [`EvmSubmitter`] puts attestations on chain. All of them ask a [`Panel`]: several [`Seat`]s and a threshold that never shrinks. A seat that is late, silent or
//! malformed loses its vote and nothing more; two seats that differ about a final fact stop the chain.
//!
//! Whatever a seat says is untrusted text: it is bounded in size, parsed by this crate's own tolerant types, and never
//! printed together with the seat's URL.

mod anchor;
mod auditor;
mod bundle;
mod call;
mod contracts;
mod head;
mod headers;
mod heads;
mod link;
mod outage;
mod pairing;
mod panel;
pub mod preflight;
mod profile;
pub mod proof;
mod range;
mod reader;
mod receipts;
mod rpc;
mod seat;
mod shared;
mod source;
mod state;
mod submit;
mod verifier;

pub use anchor::{Anchor, Authentic};
pub use auditor::EvmAuditor;
pub use panel::{Absence, Panel, PanelError, PanelSetupError};
pub use profile::{ChainClass, Finality, GasRules, Profile};
pub use reader::{EvmReader, SourceConfig, SourceContracts};
pub use seat::{RedactedUrl, Seat, SeatConfig, SeatError, SeatLimits, SeatSetupError, UrlError};
pub use source::EvmSource;
pub use submit::{EvmSubmitter, FeeCaps, Purse, SharedSubmitter, SubmitterConfig};
pub use verifier::EvmVerifier;
