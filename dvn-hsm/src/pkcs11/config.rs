use std::{path::PathBuf, time::Duration};

use alloy_primitives::Address;
use secrecy::SecretString;
use thiserror::Error;

/// Which key of which token, and how it is used. `Debug` shows no PIN.
#[derive(Clone, Debug)]
pub struct Pkcs11Config {
    pub(super) library: PathBuf,
    pub(super) token_label: Option<String>,
    pub(super) key_label: String,
    pub(super) key_id: Option<Vec<u8>>,
    pub(super) pin: SecretString,
    pub(super) sessions: Sessions,
    pub(super) deadline: Duration,
    pub(super) address: Option<Address>,
}

impl Pkcs11Config {
    /// The key of this label in the token of this label, through the vendor's library at this path.
    ///
    /// A slot number is not asked for, since slots are renumbered. For AWS CloudHSM the PIN is `user:password`.
    pub fn new(
        library: impl Into<PathBuf>,
        token_label: impl Into<String>,
        key_label: impl Into<String>,
        pin: SecretString,
    ) -> Self {
        Self {
            library: library.into(),
            token_label: Some(token_label.into()),
            key_label: key_label.into(),
            key_id: None,
            pin,
            sessions: Sessions::DEFAULT,
            deadline: Duration::from_secs(2),
            address: None,
        }
    }

    /// The key of this label in the only token that the library knows, as with AWS CloudHSM, whose library has one token
    /// for its cluster. Two tokens are an error.
    pub fn only_token(library: impl Into<PathBuf>, key_label: impl Into<String>, pin: SecretString) -> Self {
        Self { token_label: None, ..Self::new(library, String::new(), key_label, pin) }
    }

    /// Tells keys of one label apart by their `CKA_ID`.
    #[must_use]
    pub fn with_key_id(mut self, id: impl Into<Vec<u8>>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    /// How many sessions sign at once; 2 by default.
    #[must_use]
    pub const fn with_sessions(mut self, sessions: Sessions) -> Self {
        self.sessions = sessions;
        self
    }

    /// How long one signature may take, waiting for a session included; 2 s by default.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Refuses to open if the key has another address.
    #[must_use]
    pub const fn with_expected_address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }
}

/// How many sessions, and so threads, a signer uses: 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions(usize);

impl Sessions {
    /// Two: one session signs while the other waits for the network.
    pub const DEFAULT: Self = Self(2);
    /// More only lengthen the slowest signatures of the tokens that were measured.
    pub const MAX: Self = Self(16);

    /// Checks the range.
    ///
    /// # Errors
    /// [`SessionsOutOfRange`] for 0 and above 16.
    pub const fn try_new(count: usize) -> Result<Self, SessionsOutOfRange> {
        if count == 0 || count > Self::MAX.0 { Err(SessionsOutOfRange { count }) } else { Ok(Self(count)) }
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0
    }
}

/// A number of sessions that is not 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("sessions must be 1 to 16, not {count}")]
#[non_exhaustive]
pub struct SessionsOutOfRange {
    /// What was asked for.
    pub count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_a_range() {
        assert_eq!(Sessions::try_new(0), Err(SessionsOutOfRange { count: 0 }));
        assert_eq!(Sessions::try_new(16), Ok(Sessions::MAX));
        assert_eq!(Sessions::try_new(17), Err(SessionsOutOfRange { count: 17 }));
    }

    #[test]
    fn debug_shows_no_pin() {
        let config = Pkcs11Config::new("lib.so", "token", "key", SecretString::from("pin-5678"));
        let shown = format!("{config:?}");
        assert!(shown.contains("token") && !shown.contains("5678"), "{shown}");
    }
}
