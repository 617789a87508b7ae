//! This project's parts over one chain of a local network. A real deployment differs in one point only: a panel has
//! several seats, run by different operators, and a threshold of them.

use std::{sync::Arc, time::Duration};

use dvn_chain::{
    ChainClass, EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Panel, Profile, Seat, SeatConfig,
    SourceConfig, SourceContracts, SubmitterConfig,
};
use dvn_core::{
    ids::{Confirmations, Eid},
    ports::{Chain, FinalizedHashes, Outbox, Signer, SystemClock},
    quorum::Threshold,
};
use dvn_hsm::LocalSigner;
use dvn_testkit::{devnet, keys::Key};
use secrecy::SecretString;

use crate::Failure;

/// The operator's least depth. It lengthens the wait where the applications ask for less.
const FLOOR: Confirmations = Confirmations(1);

/// Everything that is asked about a chain goes through its panel: here of the one node that there is.
///
/// # Errors
/// When the node's address is unfit, which it never is.
pub fn panel(chain: &devnet::Chain) -> Result<Arc<Panel>, Failure> {
    let named = Chain { name: chain.name().to_owned(), eid: Eid(chain.eid()) };
    let config = SeatConfig::new(chain.url().as_str().parse()?, "self".to_owned(), "anvil".to_owned());
    let seat = Seat::try_new(&named.name, config)?;
    Ok(Arc::new(Panel::try_new(named, vec![Arc::new(seat)], Threshold::try_new(1, 1)?)?))
}

/// What a source and its verifier share, so that neither asks what the other knows; it remembers the hashes of final blocks
/// in `finalized`.
#[must_use]
pub fn reader(panel: &Arc<Panel>, chain: &devnet::Chain, finalized: Arc<dyn FinalizedHashes>) -> Arc<EvmReader> {
    let config = SourceConfig::new(contracts(chain), &profile(), FLOOR);
    Arc::new(EvmReader::new(Arc::clone(panel), config, finalized))
}

/// Hints at packets that are assigned to our DVN.
#[must_use]
pub fn source(reader: &Arc<EvmReader>) -> EvmSource {
    EvmSource::new(Arc::clone(reader))
}

/// Convinces itself of packets.
#[must_use]
pub fn verifier(reader: &Arc<EvmReader>) -> EvmVerifier {
    EvmVerifier::new(Arc::clone(reader))
}

/// Reads a destination, and writes to it from the account of `sender`.
#[must_use]
pub fn submitter(
    panel: &Arc<Panel>,
    chain: &devnet::Chain,
    sender: Arc<dyn Signer>,
    outbox: Arc<dyn Outbox>,
) -> EvmSubmitter {
    let config = SubmitterConfig {
        chain_id: chain.chain_id(),
        endpoint: chain.addresses().endpoint,
        receive_libs: vec![chain.addresses().receive_lib],
        dvn: chain.addresses().dvn,
        finality: profile().finality,
        floor: FLOOR,
        log_range: profile().log_range,
        gas: profile().gas,
        fees: FeeCaps { max_fee: 200_000_000_000, max_priority_fee: 5_000_000_000 },
        replace_after: Duration::from_secs(30),
        resend_after: Duration::from_secs(5),
        expiry_margin: Duration::from_secs(60),
    };
    EvmSubmitter::new(Arc::clone(panel), config, sender, outbox, Arc::new(SystemClock::new()))
}

/// A key in memory: for development, as the local network's keys are known to everybody. In production this is a
/// `Pkcs11Signer`, whose key stays in its device.
///
/// # Errors
/// When the key is none, which it never is.
pub fn signer(key: &Key) -> Result<Arc<dyn Signer>, Failure> {
    Ok(Arc::new(LocalSigner::from_hex_secret(SecretString::from(key.secret().to_string()))?))
}

/// The class's defaults but for the pace: these chains have a block a second.
const fn profile() -> Profile {
    let mut profile = ChainClass::Generic.profile();
    profile.block_time = Duration::from_secs(1);
    profile
}

fn contracts(chain: &devnet::Chain) -> SourceContracts {
    let addresses = chain.addresses();
    SourceContracts {
        endpoint: addresses.endpoint,
        send_libs: vec![addresses.send_lib],
        legacy_send_libs: Vec::new(),
        dvn: addresses.dvn,
    }
}
