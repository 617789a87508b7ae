//! Forged logs among the real ones.

use serde_json::Value;

use crate::proxy::block::number;

/// Puts those logs of the forged receipt that the filter wants behind the real ones of their block.
pub(super) fn insert(found: &mut Vec<Value>, filter: &Value, height: u64, receipt: &Value) {
    let logs = receipt.get("logs").and_then(Value::as_array).into_iter().flatten();
    let wanted: Vec<_> = logs.filter(|log| wants(filter, log)).cloned().collect();
    let place = found.partition_point(|log| number(log, "blockNumber").is_some_and(|it| it <= height));
    found.splice(place..place, wanted);
}

fn wants(filter: &Value, log: &Value) -> bool {
    let topics = filter.get("topics").and_then(Value::as_array);
    let mut wanted = topics.into_iter().flatten().enumerate();
    allows(filter.get("address"), log.get("address"))
        && wanted.all(|(place, topic)| {
            let there = log.get("topics").and_then(|topics| topics.get(place));
            there.is_some() && allows(Some(topic), there)
        })
}

/// Anything, one value, or one of several.
fn allows(wanted: Option<&Value>, there: Option<&Value>) -> bool {
    match wanted {
        None | Some(Value::Null) => true,
        Some(Value::Array(any)) => any.is_empty() || any.iter().any(|one| allows(Some(one), there)),
        Some(Value::String(wanted)) => {
            there.and_then(Value::as_str).is_some_and(|there| there.eq_ignore_ascii_case(wanted))
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_those_of_the_json_rpc() {
        let log = json!({ "address": "0xAB", "topics": ["0x01", "0x02"] });
        let cases = [
            (json!({}), true),
            (json!({ "address": "0xab", "topics": [] }), true),
            (json!({ "address": ["0xcd", "0xab"] }), true),
            (json!({ "address": "0xcd" }), false),
            (json!({ "topics": [null, "0x02"] }), true),
            (json!({ "topics": [["0x03", "0x01"]] }), true),
            (json!({ "topics": ["0x02"] }), false),
            (json!({ "topics": [null, null, null] }), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(wants(&filter, &log), expected, "{filter}");
        }
    }

    #[test]
    fn forged_logs_come_behind_those_of_their_block() {
        let at = |height: u64| json!({ "blockNumber": format!("{height:#x}"), "topics": [] });
        let mut found = vec![at(4), at(5), at(5), at(6)];
        let forged = json!({ "blockNumber": "0x5", "topics": [], "forged": true });
        insert(&mut found, &json!({}), 5, &json!({ "logs": [forged] }));
        assert_eq!(found, [at(4), at(5), at(5), forged, at(6)]);
    }
}
