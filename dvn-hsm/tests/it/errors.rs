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
