//! Start checks: does the chain agree with the configuration?
//!
//! Only a fact that the threshold of seats states, and that contradicts the configuration, is fatal. A silent seat
//! delays its chain and never the start.

use std::{fmt::Display, sync::Arc};

use alloy::primitives::{Address, Bytes, U64, U256};
use dvn_core::ids::{BlockNumber, Eid, Vid};

use crate::{
    call::{Answers, Call},
    contracts::{ADMIN_ROLE, Dvn, Endpoint},
    head,
    panel::{Panel, PanelError},
    seat::{Seat, SeatError},
};

/// What the configuration says about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct Expectations {
    /// The EVM chain id.
    pub chain_id: u64,
    /// The LayerZero endpoint id.
    pub eid: Eid,
    /// `EndpointV2`.
    pub endpoint: Address,
    /// Send libraries; none for a chain that is only a destination.
    pub send_libs: Vec<Address>,
    /// Receive libraries; none for a chain that is only a source.
    pub receive_libs: Vec<Address>,
    /// Our DVN contract.
    pub dvn: Address,
    /// Its `vid()`, where the configuration fixes it.
    pub vid: Option<Vid>,
    /// Its `quorum()`, where it has to equal ours.
    pub quorum: Option<u64>,
    /// An address that has to be among its signers.
    pub signer: Option<Address>,
    /// The account that pays gas; needs `ADMIN_ROLE` and a balance.
    pub senders: Vec<Address>,
}

/// Something that is not as configured, or could not be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Finding {
    /// The key under the chain in the configuration, such as `contracts.endpoint`.
    pub key: String,
    /// What is wrong and what to do about it.
    pub message: String,
    /// What the configuration says.
    pub expected: String,
    /// What the chain says, where the threshold of seats said anything.
    pub found: Option<String>,
    /// Whether the node must not start like this.
    pub fatal: bool,
}

/// Compares a chain with its configuration. An empty list means that all is as expected.
pub async fn check(panel: &Panel, expected: &Expectations) -> Vec<Finding> {
    // Whether the seats are on the configured chain is one of the questions here.
    let panel = &panel.unidentified();
    let at = match head::latest(panel).await {
        Ok(at) => at,
        Err(error) => return vec![silent("rpc", &error, "a head")],
    };
    let check = Check { panel, at, findings: Vec::new() };
    check.run(expected).await
}

/// The DVN contract's `vid()`, as the threshold of seats states it.
///
/// # Errors
/// [`PanelError::Missing`] where too few seats answer, [`PanelError::Contradiction`] where they differ.
pub async fn vid(panel: &Panel, dvn: Address) -> Result<Vid, PanelError> {
    let panel = &panel.unidentified();
    let at = head::latest(panel).await?;
    let question = |seat: Arc<Seat>| async move {
        let call = Call::view(dvn, &Dvn::vidCall {}, at);
        Answers::new(seat.batch(vec![call]).await?).returned::<Dvn::vidCall>().map(|vid| Some(Vid(vid)))
    };
    Ok(panel.agree("vid of the DVN contract", question).await?.value)
}

struct Check<'a> {
    panel: &'a Panel,
    at: BlockNumber,
    findings: Vec<Finding>,
}

impl Check<'_> {
    async fn run(mut self, expected: &Expectations) -> Vec<Finding> {
        let Expectations { endpoint, dvn, .. } = *expected;
        let at = self.at;
        self.equal("chain_id", "the seats serve another chain", expected.chain_id, Call::chain_id(), |answers| {
            answers.next::<U64>().map(|id| id.to::<u64>())
        })
        .await;
        self.contracts(expected).await;
        let call = Call::view(endpoint, &Endpoint::eidCall {}, at);
        self.equal("eid", "the endpoint has another eid", expected.eid, call, |answers| {
            answers.returned::<Endpoint::eidCall>().map(Eid)
        })
        .await;
        if let Some(vid) = expected.vid {
            let call = Call::view(dvn, &Dvn::vidCall {}, at);
            let read = |answers: &mut Answers| answers.returned::<Dvn::vidCall>().map(Vid);
            self.equal("contracts.dvn", "the DVN contract has another vid", vid, call, read).await;
        }
        if let Some(quorum) = expected.quorum {
            let call = Call::view(dvn, &Dvn::quorumCall {}, at);
            let message = "the DVN contract asks for another number of signatures than signing.quorum";
            self.equal("contracts.dvn", message, quorum, call, Answers::returned::<Dvn::quorumCall>).await;
        }
        if let Some(signer) = expected.signer {
            let call = Call::view(dvn, &Dvn::signersCall { signer }, at);
            let message = format!("{signer} is not a signer of the DVN contract");
            self.equal("signer", &message, true, call, Answers::returned::<Dvn::signersCall>).await;
        }
        for sender in expected.senders.iter().copied() {
            self.sender(dvn, sender).await;
        }
        self.findings
    }

    async fn contracts(&mut self, expected: &Expectations) {
        let libs = |key: &'static str, libs: &[Address]| libs.iter().map(move |lib| (key, *lib)).collect::<Vec<_>>();
        let mut contracts = vec![("contracts.endpoint", expected.endpoint), ("contracts.dvn", expected.dvn)];
        contracts.extend(libs("contracts.send_lib", &expected.send_libs));
        contracts.extend(libs("contracts.receive_lib", &expected.receive_libs));
        for (key, address) in contracts {
            let message = format!("there is no contract at {address}");
            let call = Call::code(address, self.at);
            self.equal(key, &message, true, call, |answers| answers.next::<Bytes>().map(|code| !code.is_empty())).await;
        }
    }

    async fn sender(&mut self, dvn: Address, sender: Address) {
        let call = Call::view(dvn, &Dvn::hasRoleCall { role: ADMIN_ROLE, account: sender }, self.at);
        let message =
            format!("{sender} lacks ADMIN_ROLE on the DVN contract, so that DVN.execute refuses it; grant it");
        self.equal("sender", &message, true, call, Answers::returned::<Dvn::hasRoleCall>).await;
        // Money is no matter of configuration: an empty account is filled while the node runs.
        let balance = self.read("sender", Call::balance(sender), Answers::next::<U256>).await;
        if balance.is_some_and(|balance| balance.is_zero()) {
            let message = format!("{sender} has no balance to pay gas with; send it some");
            self.findings.push(Finding {
                key: "sender".to_owned(),
                message,
                expected: "more than 0 wei".to_owned(),
                found: Some("0 wei".to_owned()),
                fatal: false,
            });
        }
    }

    /// Compares one fact with what is expected.
    async fn equal<T: PartialEq + Display + std::fmt::Debug>(
        &mut self,
        key: &str,
        message: &str,
        expected: T,
        call: Call,
        read: impl Fn(&mut Answers) -> Result<T, SeatError> + Copy,
    ) {
        let Some(found) = self.read(key, call, read).await else {
            return;
        };
        if found != expected {
            let (expected, found) = (expected.to_string(), Some(found.to_string()));
            self.findings.push(Finding {
                key: key.to_owned(),
                message: message.to_owned(),
                expected,
                found,
                fatal: true,
            });
        }
    }

    /// The fact that the threshold states, or nothing and a note that it is not known.
    async fn read<T: PartialEq + std::fmt::Debug>(
        &mut self,
        key: &str,
        call: Call,
        read: impl Fn(&mut Answers) -> Result<T, SeatError> + Copy,
    ) -> Option<T> {
        let question = |seat: Arc<Seat>| {
            let call = call.clone();
            async move { read(&mut Answers::new(seat.batch(vec![call]).await?)).map(Some) }
        };
        match self.panel.agree("start check", question).await {
            Ok(agreed) => Some(agreed.value),
            Err(error) => {
                self.findings.push(silent(key, &error, "an answer of the threshold of seats"));
                None
            }
        }
    }
}

fn silent(key: &str, error: &PanelError, expected: &str) -> Finding {
    let message = format!("could not be checked: {error}");
    Finding { key: key.to_owned(), message, expected: expected.to_owned(), found: None, fatal: false }
}
