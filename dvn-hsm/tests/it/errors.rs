//! What an error tells people.

use std::error::Error;

use dvn_core::error::SignError;

/// An error with all of its causes.
pub(crate) fn story(error: &SignError) -> String {
    let mut told = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        told.push_str(&format!(" {deeper} {deeper:?}"));
        cause = deeper.source();
    }
    told
}

/// That none of these texts has any of these secrets in it.
pub(crate) fn assert_silent(told: &[String], secrets: &[&str]) {
    for text in told {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
