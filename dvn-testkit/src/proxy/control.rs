//! The proxy's own interface, for those who script it from outside.

use hyper::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Rule, RuleId, Shared, body::Body, server};

/// Answers a request below `/_proxy/`.
pub(super) fn answer(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Response<Body> {
    let (status, answer) = match (method, path.trim_end_matches('/')) {
        (&Method::GET, "rules") => (StatusCode::OK, shared.rules.to_json()),
        (&Method::POST, "rules") => match read::<Rule>(body) {
            Ok(rule) => (StatusCode::CREATED, json!({ "id": shared.rules.add(rule, &shared.upstream) })),
            Err(problem) => (StatusCode::BAD_REQUEST, error(problem)),
        },
        (&Method::DELETE, "rules") => {
            shared.rules.clear();
            (StatusCode::OK, json!({}))
        }
        (&Method::GET, "traffic") => (StatusCode::OK, shared.traffic.to_json()),
        (&Method::DELETE, "traffic") => {
            shared.traffic.forget();
            (StatusCode::OK, json!({}))
        }
        (method, path) => one_rule(method, path, shared),
    };
    server::json(status, format!("{answer}\n"))
}

fn one_rule(method: &Method, path: &str, shared: &Shared) -> (StatusCode, Value) {
    match path.strip_prefix("rules/").map(str::parse) {
        Some(Ok(id)) if method == Method::DELETE => {
            if shared.rules.remove(RuleId(id)) {
                (StatusCode::OK, json!({}))
            } else {
                (StatusCode::NOT_FOUND, error(format!("there is no rule {id}")))
            }
        }
        _ if matches!(path, "rules" | "traffic") || path.starts_with("rules/") => (
            StatusCode::METHOD_NOT_ALLOWED,
            error("use GET, POST or DELETE of rules, DELETE of rules/{id}, GET or DELETE of traffic"),
        ),
        _ => (StatusCode::NOT_FOUND, error("there are /_proxy/rules and /_proxy/traffic")),
    }
}

/// Reads a document, or says which member is wrong.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let document = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(document)
}

fn error(message: impl Into<String>) -> Value {
    json!({ "error": message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_rule_is_told_by_its_member() {
        let cases = [
            ("{}", "missing field `fault`"),
            (r#"{"fault":"hang","metods":[]}"#, "unknown field `metods`"),
            (r#"{"fault":"hang","times":"x"}"#, "times: invalid type"),
            (r#"{"fault":{"stale_head":{"blocks":-1}}}"#, "fault.stale_head.blocks: invalid value"),
            (r#"{"fault":{"delay":{}}}"#, "missing field `ms`"),
            (r#"{"fault":"hung"}"#, "unknown variant `hung`"),
            (r#"{"fault":"hang"} x"#, "trailing characters"),
        ];
        for (body, expected) in cases {
            let problem = read::<Rule>(body.as_bytes()).unwrap_err();
            assert!(problem.contains(expected), "{body}: {problem}");
        }
    }

    #[test]
    fn a_rule_survives_json() {
        let text = r#"{"fault":{"hostile":{"kind":{"gzip_bomb":{"bytes":9}}}},"methods":["eth_call"],
            "params":"0x12","from":{"header":{"name":"user-agent","contains":"dvn"}},"after":3,"times":5}"#;
        let rule: Rule = read(text.as_bytes()).unwrap();
        let written = serde_json::to_vec(&rule).unwrap();
        assert_eq!(read::<Rule>(&written).unwrap(), rule);
    }
}
