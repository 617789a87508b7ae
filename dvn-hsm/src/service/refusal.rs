//! How the refusals of services are told: by status, code and the request's id, and never in the service's own words,
//! which may repeat what it read in our headers.

/// What a service answered in place of doing what it was asked.
pub(crate) fn cause(action: &str, status: u16, code: &str, request: &str) -> String {
    let mut cause = format!("{action} was answered with status {status}");
    for (name, value) in [("code", code), ("request", request)] {
        if !value.is_empty() {
            cause.push_str(&format!(", {name} {value}"));
        }
    }
    cause
}

/// What is surely a word and not something that was put into an answer.
pub(crate) fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.len() <= 64 && text.chars().all(fits) { text.to_owned() } else { String::new() }
}

/// The last clause of a refusal of the date.
pub(crate) const WRONG_CLOCK: &str = "; this machine's clock is wrong";
