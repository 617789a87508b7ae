//! What an operator did, with who it was, as far as the system knows.

use dvn_core::{
    ids::Guid,
    ports::{AuditEntry, Clock, Store},
};
use serde_json::Value;

use super::CliError;

/// The user that this process runs as: its number, which cannot be made up, and what the environment calls it.
pub(super) fn user() -> String {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let name = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "unnamed".to_owned());
    let sudo = named("SUDO_USER").map(|from| format!(", from {from}")).unwrap_or_default();
    format!("{name}{uid}{sudo}", uid = uid())
}

#[cfg(unix)]
fn uid() -> String {
    format!(" (uid {})", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
const fn uid() -> &'static str {
    ""
}

/// Writes a row of the audit log. `detail` is an object, to which the user is added.
pub(super) async fn record(
    store: &Store,
    clock: &dyn Clock,
    action: &str,
    guid: Option<Guid>,
    mut detail: Value,
) -> Result<(), CliError> {
    if let Value::Object(fields) = &mut detail {
        fields.insert("user".to_owned(), user().into());
    }
    let entry = AuditEntry {
        at: clock.now(),
        actor: "operator".to_owned(),
        action: action.to_owned(),
        guid,
        evidence: None,
        detail: detail.to_string(),
    };
    Ok(store.audit.append(&[entry]).await?)
}
