//! What can go wrong with a token: what the caller is told, and what may heal it.

use std::error::Error as StdError;

use cryptoki::{
    context::Function,
    error::{Error as CallError, RvError},
};
use dvn_core::error::{SignError, SignErrorKind};
use thiserror::Error;

/// One failed step. No variant can hold a PIN.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("C_{function:?} returned {rv:?}")]
    Call { function: Function, rv: RvError },
    #[error("the PKCS#11 library cannot be used")]
    Library(#[source] CallError),
    #[error("no token is labelled {label:?}, present are {present:?}")]
    TokenAbsent { label: String, present: Vec<String> },
    #[error("{count} tokens are labelled {label:?}, give each its own label")]
    TokenAmbiguous { label: String, count: usize },
    #[error("the token has no {class} EC key of this label and id")]
    KeyAbsent { class: &'static str },
    #[error("the token has {count} {class} EC keys of this label, set the key id or remove the others")]
    KeyAmbiguous { class: &'static str, count: usize },
    #[error("{0}")]
    KeyUnfit(String),
    #[error("the PIN was refused before and is not tried again, correct it and start anew")]
    PinRefusedBefore,
    #[error("the library was not initialised anew: {reason}")]
    NotRestarted {
        reason: &'static str,
        #[source]
        before: Option<Box<Self>>,
    },
}

/// What may heal a fault, from the mildest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remedy {
    /// A new session.
    Session,
    /// A new login, and to look for the key again.
    Login,
    /// To finalise and initialise the library.
    Library,
}

impl Fault {
    /// The class of the failure for callers.
    pub(crate) fn kind(&self) -> SignErrorKind {
        match self {
            Self::Call { rv, .. } => class(*rv).kind(),
            Self::TokenAbsent { .. } | Self::NotRestarted { .. } => SignErrorKind::Unavailable,
            Self::PinRefusedBefore => SignErrorKind::Auth,
            Self::Library(_)
            | Self::TokenAmbiguous { .. }
            | Self::KeyAbsent { .. }
            | Self::KeyAmbiguous { .. }
            | Self::KeyUnfit(_) => SignErrorKind::Key,
        }
    }

    /// The mildest remedy that can help; `None` where trying again is useless or harmful.
    pub(crate) fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Call { rv, .. } => class(*rv).remedy(),
            // Without a login private keys are not found, and a token that went away shows no keys either.
            Self::KeyAbsent { .. } => Some(Remedy::Login),
            Self::TokenAbsent { .. } => Some(Remedy::Library),
            Self::Library(_)
            | Self::TokenAmbiguous { .. }
            | Self::KeyAmbiguous { .. }
            | Self::KeyUnfit(_)
            | Self::PinRefusedBefore
            | Self::NotRestarted { .. } => None,
        }
    }

    /// Whether the device may just be busy, so that nothing stronger than a new session is called for at once.
    pub(crate) fn may_be_load(&self) -> bool {
        self.remedy() == Some(Remedy::Session)
    }

    /// The port's error, with this as its cause.
    pub(crate) fn into_error(self, key: &str) -> SignError {
        SignError::new(self.kind()).key(key).caused_by(Box::new(self) as Box<dyn StdError + Send + Sync>)
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Pkcs11(rv, function) => Self::Call { function, rv },
            other => Self::Library(other),
        }
    }
}

/// The return values of the PKCS#11 functions by what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The session is unusable, or the device is busy or failed for the moment.
    Passing,
    /// The login or the object handle is gone.
    LoggedOut,
    /// The token, the slot or the library is gone.
    Gone,
    /// The PIN or the user is refused.
    Refused,
    /// The key or the token cannot do what is asked.
    Unfit,
}

impl Class {
    const fn kind(self) -> SignErrorKind {
        match self {
            Self::Passing | Self::LoggedOut | Self::Gone => SignErrorKind::Unavailable,
            Self::Refused => SignErrorKind::Auth,
            Self::Unfit => SignErrorKind::Key,
        }
    }

    const fn remedy(self) -> Option<Remedy> {
        match self {
            Self::Passing => Some(Remedy::Session),
            Self::LoggedOut => Some(Remedy::Login),
            Self::Gone => Some(Remedy::Library),
            Self::Refused | Self::Unfit => None,
        }
    }
}

/// Values that are not listed are taken as passing, as vendors use them for whatever their network does.
const fn class(rv: RvError) -> Class {
    match rv {
        RvError::UserNotLoggedIn | RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid => Class::LoggedOut,
        RvError::TokenNotPresent
        | RvError::DeviceRemoved
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => Class::Gone,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::PinTooWeak
        | RvError::UserPinNotInitialized
        | RvError::UserTypeInvalid
        | RvError::UserAnotherAlreadyLoggedIn => Class::Refused,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::KeyTypeInconsistent
        | RvError::KeyFunctionNotPermitted
        | RvError::KeySizeRange
        | RvError::CurveNotSupported
        | RvError::DataLenRange
        | RvError::DataInvalid
        | RvError::ActionProhibited
        | RvError::FunctionNotSupported => Class::Unfit,
        _ => Class::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(rv: RvError) -> Fault {
        Fault::from(CallError::Pkcs11(rv, Function::Sign))
    }

    #[test]
    fn a_refused_pin_is_never_tried_again() {
        for rv in [
            RvError::PinIncorrect,
            RvError::PinInvalid,
            RvError::PinLenRange,
            RvError::PinExpired,
            RvError::PinLocked,
            RvError::UserPinNotInitialized,
            RvError::UserTypeInvalid,
            RvError::UserAnotherAlreadyLoggedIn,
        ] {
            assert_eq!((call(rv).kind(), call(rv).remedy()), (SignErrorKind::Auth, None), "{rv:?}");
        }
    }

    #[test]
    fn each_class_has_its_remedy() {
        for (rv, remedy) in [
            (RvError::SessionHandleInvalid, Remedy::Session),
            (RvError::OperationActive, Remedy::Session),
            (RvError::FunctionFailed, Remedy::Session),
            (RvError::DeviceError, Remedy::Session),
            (RvError::VendorDefined(0x8000_0001), Remedy::Session),
            (RvError::UserNotLoggedIn, Remedy::Login),
            (RvError::ObjectHandleInvalid, Remedy::Login),
            (RvError::KeyHandleInvalid, Remedy::Login),
            (RvError::TokenNotPresent, Remedy::Library),
            (RvError::CryptokiNotInitialized, Remedy::Library),
        ] {
            assert_eq!((call(rv).kind(), call(rv).remedy()), (SignErrorKind::Unavailable, Some(remedy)), "{rv:?}");
        }
        for rv in [RvError::MechanismInvalid, RvError::KeyFunctionNotPermitted, RvError::CurveNotSupported] {
            assert_eq!((call(rv).kind(), call(rv).remedy()), (SignErrorKind::Key, None), "{rv:?}");
        }
    }

    #[test]
    fn the_error_names_function_value_and_key() {
        let error = call(RvError::DeviceError).into_error("dvn");
        assert_eq!(error.to_string(), "signing device is not available (key dvn)");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("C_Sign returned DeviceError"));
    }
}
