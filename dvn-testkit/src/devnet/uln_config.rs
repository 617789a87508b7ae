//! What an application asks of its DVNs, other than the defaults.

use alloy_primitives::Address;
use alloy_sol_types::SolValue;

use super::{Chain, DevnetError};
use crate::bindings::{ConfigParam, Endpoint, UlnConfig};

/// The endpoint's number for a configuration of ULN kind.
const ULN_CONFIG_TYPE: u32 = 2;

/// A count that means "none at all", where 0 means "as by default".
const NIL_COUNT: u8 = u8::MAX;

/// Which of an application's two libraries is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// The send library: who is paid and told. Lists DVN contracts of the source.
    Send,
    /// The receive library: whose word counts. Lists DVN contracts of the destination.
    Receive,
}

/// An application's own settings for one remote chain. Lists are sorted for you; `None` keeps the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the contract's structure is fixed, and tests write it down")]
pub struct UlnSettings {
    /// Confirmations; `None` keeps the default and `Some(u64::MAX)` means zero.
    pub confirmations: Option<u64>,
    /// DVNs that must all verify. An empty list means none, and then optional ones are needed.
    pub required: Option<Vec<Address>>,
    /// DVNs of which `threshold` must verify. An empty list means none.
    pub optional: Option<Vec<Address>>,
    /// How many of the optional ones must verify; not used without a list of them.
    pub threshold: u8,
}

impl UlnSettings {
    /// These DVNs must all verify, and there are no optional ones.
    pub fn requiring(dvns: impl IntoIterator<Item = Address>) -> Self {
        let required = Some(dvns.into_iter().collect());
        Self { required, optional: Some(Vec::new()), ..Self::default() }
    }

    fn config(&self) -> UlnConfig {
        let (required_count, required) = list(self.required.as_deref());
        let (optional_count, optional) = list(self.optional.as_deref());
        UlnConfig {
            confirmations: self.confirmations.unwrap_or(0),
            requiredDVNCount: required_count,
            optionalDVNCount: optional_count,
            optionalDVNThreshold: if optional.is_empty() { 0 } else { self.threshold },
            requiredDVNs: required,
            optionalDVNs: optional,
        }
    }
}

impl Chain {
    /// Sets what the application `oapp` of this chain asks for packets to or from the chain `remote`.
    ///
    /// # Errors
    /// When the library refuses, as it does for a threshold above the number of optional DVNs, and when the node
    /// cannot be reached.
    pub async fn set_oapp_uln_config(
        &self,
        side: Side,
        oapp: Address,
        remote: u32,
        settings: &UlnSettings,
    ) -> Result<(), DevnetError> {
        let lib = match side {
            Side::Send => self.addresses().send_lib,
            Side::Receive => self.addresses().receive_lib,
        };
        let config = settings.config().abi_encode().into();
        let params = vec![ConfigParam { eid: remote, configType: ULN_CONFIG_TYPE, config }];
        self.run(self.addresses().endpoint, &Endpoint::setConfigCall { oapp, lib, params }).await.map(drop)
    }
}

/// The contract wants ascending addresses and a count that tells "default" from "none".
fn list(dvns: Option<&[Address]>) -> (u8, Vec<Address>) {
    let Some(dvns) = dvns else { return (0, Vec::new()) };
    let mut sorted = dvns.to_vec();
    sorted.sort();
    let count = if sorted.is_empty() { NIL_COUNT } else { u8::try_from(sorted.len()).unwrap_or(NIL_COUNT) };
    (count, sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_and_none_are_told_apart() {
        assert_eq!(list(None), (0, vec![]));
        assert_eq!(list(Some(&[])), (NIL_COUNT, vec![]));
    }

    #[test]
    fn lists_are_sorted() {
        let [low, high] = [Address::repeat_byte(1), Address::repeat_byte(2)];
        let config = UlnSettings::requiring([high, low]).config();
        assert_eq!(config.requiredDVNs, [low, high]);
        assert_eq!((config.requiredDVNCount, config.optionalDVNCount), (2, NIL_COUNT));
    }
}
