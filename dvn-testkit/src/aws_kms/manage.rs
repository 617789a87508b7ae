//! The actions by which keys are made and changed, as far as tests need them.

use k256::elliptic_curve::rand_core::{OsRng, RngCore};
use serde_json::{Value, json};

use super::{
    actions::{Answer, describe},
    keys::KeyState,
    state::State,
};

/// Makes a key of the one kind that there is.
pub(super) fn create(state: &mut State, request: &Value) -> Result<Answer, Answer> {
    let kind = (request["KeySpec"].as_str(), request["KeyUsage"].as_str());
    if kind != (Some("ECC_SECG_P256K1"), Some("SIGN_VERIFY")) {
        return Err(Answer::refusal(
            "UnsupportedOperationException",
            "only ECC_SECG_P256K1 for SIGN_VERIFY is made here",
        ));
    }
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    let name = state.keys.create(secret);
    let metadata = state.keys.get(&name.id).map(|key| describe(&name.id, key));
    Ok(Answer::good(json!({ "KeyMetadata": metadata })))
}

/// Changes a key, if that is what the action does.
pub(super) fn change(state: &mut State, action: &str, id: &str, request: &Value) -> Option<Answer> {
    let new = match action {
        "EnableKey" => KeyState::Enabled,
        "DisableKey" => KeyState::Disabled,
        "ScheduleKeyDeletion" => KeyState::PendingDeletion,
        "CreateAlias" => {
            let alias = request["AliasName"].as_str()?.to_owned();
            state.keys.aliases.insert(alias, id.to_owned());
            return Some(Answer::good(json!({})));
        }
        _ => return None,
    };
    state.keys.edit(id, |key| key.state = new);
    Some(Answer::good(json!({ "KeyId": id, "KeyState": new.word() })))
}
