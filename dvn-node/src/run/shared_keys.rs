//! One key for two DVN contracts of one `vid`: what is signed holds neither chain id nor contract address, so that each
//! contract would take what was signed for the other. Two contracts may share a key only where their `vid`s differ.

use std::sync::Arc;

use alloy_primitives::Address;
use dvn_chain::{Panel, preflight};
use dvn_core::ids::Vid;
use tracing::warn;

/// A DVN contract that a key attests for.
#[derive(Debug)]
struct Contract {
    /// Its target in the configuration.
    path: String,
    dvn: Address,
    signer: Address,
    panel: Arc<Panel>,
    vid: Option<Vid>,
}

/// The contracts that share a key with another one.
#[derive(Debug)]
pub(super) struct SharedKeys(Vec<Contract>);

impl SharedKeys {
    /// From each target's place in the configuration, its seats, its DVN contract and the address of its attesting key.
    pub(super) fn new(targets: impl IntoIterator<Item = (String, Arc<Panel>, Address, Address)>) -> Self {
        let all: Vec<_> = targets.into_iter().collect();
        let is_shared = |signer: Address| all.iter().filter(|(.., other)| *other == signer).count() > 1;
        let contract = |(path, panel, dvn, signer): &(String, Arc<Panel>, Address, Address)| Contract {
            path: path.clone(),
            dvn: *dvn,
            signer: *signer,
            panel: Arc::clone(panel),
            vid: None,
        };
        Self(all.iter().filter(|(.., signer)| is_shared(*signer)).map(contract).collect())
    }

    /// Whether every contract's `vid` is known.
    pub(super) fn are_known(&self) -> bool {
        self.0.iter().all(|contract| contract.vid.is_some())
    }

    /// Asks for what is not known yet, and says which targets must not share their key.
    pub(super) async fn round(&mut self) -> Vec<String> {
        for contract in self.0.iter_mut().filter(|contract| contract.vid.is_none()) {
            match preflight::vid(&contract.panel, contract.dvn).await {
                Ok(vid) => contract.vid = Some(vid),
                Err(error) => {
                    warn!(target_chain = contract.path, %error, "vid could not be read, it is asked for again")
                }
            }
        }
        self.findings()
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (at, one) in self.0.iter().enumerate() {
            let twins = self
                .0
                .iter()
                .skip(at.saturating_add(1))
                .filter(|other| other.signer == one.signer && other.vid == one.vid && one.vid.is_some());
            findings.extend(twins.map(|other| {
                let (signer, vid) = (one.signer, one.vid.unwrap_or_default());
                format!(
                    "{}.signer: {signer} attests for the DVN contracts of {} and {} too, and both have vid {vid}, so that \
                     either would take what is signed for the other: give each a key of its own",
                    other.path, one.path, other.path
                )
            }));
        }
        findings
    }
}
