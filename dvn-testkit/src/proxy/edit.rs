//! Small changes of a true result.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

/// Sets the value at a JSON pointer, also as a new member of an object. Where its parent is missing nothing happens.
pub(super) fn set(result: &mut Value, pointer: &str, value: &Value) {
    if let Some(place) = result.pointer_mut(pointer) {
        *place = value.clone();
    } else if let Some((parent, member)) = parent(result, pointer)
        && let Value::Object(object) = parent
    {
        object.insert(member, value.clone());
    }
}

/// Removes the value at a JSON pointer.
pub(super) fn remove(result: &mut Value, pointer: &str) {
    match parent(result, pointer) {
        Some((Value::Object(object), member)) => _ = object.remove(&member),
        Some((Value::Array(array), index)) => {
            if let Ok(index) = index.parse::<usize>()
                && index < array.len()
            {
                array.remove(index);
            }
        }
        _ => {}
    }
}

fn parent<'a>(result: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let (parent, member) = pointer.rsplit_once('/')?;
    // RFC 6901, section 4: in this order.
    let member = member.replace("~1", "/").replace("~0", "~");
    Some((result.pointer_mut(parent)?, member))
}

/// Leaves the logs that match out of logs, of a receipt, and of receipts.
pub(super) fn drop_logs(result: &mut Value, address: Option<Address>, topic: Option<B256>) {
    match result {
        Value::Array(elements) => {
            elements.retain(|element| !matches(element, address, topic));
            elements.iter_mut().filter(|element| !is_log(element)).for_each(|it| drop_logs(it, address, topic));
        }
        Value::Object(receipt) => {
            if let Some(logs @ Value::Array(_)) = receipt.get_mut("logs") {
                drop_logs(logs, address, topic);
            }
        }
        _ => {}
    }
}

/// Whether this is a log that matches both conditions, of which each may be missing.
pub(super) fn matches(log: &Value, address: Option<Address>, topic: Option<B256>) -> bool {
    let is = |value: &Value, wanted: &Value| match (value.as_str(), wanted.as_str()) {
        (Some(value), Some(wanted)) => value.eq_ignore_ascii_case(wanted),
        _ => false,
    };
    let topics = log.get("topics").and_then(Value::as_array);
    is_log(log)
        && address.is_none_or(|address| log.get("address").is_some_and(|it| is(it, &json!(address))))
        && topic.is_none_or(|topic| topics.is_some_and(|them| them.iter().any(|it| is(it, &json!(topic)))))
}

fn is_log(element: &Value) -> bool {
    element.get("topics").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_added_and_removed() {
        let mut result = json!({ "logs": [{ "data": "0x" }], "a/b": 1 });
        set(&mut result, "/logs/0/data", &json!("0x01"));
        set(&mut result, "/new", &json!(null));
        set(&mut result, "/missing/new", &json!(1));
        remove(&mut result, "/a~1b");
        assert_eq!(result, json!({ "logs": [{ "data": "0x01" }], "new": null }));
        remove(&mut result, "/logs/1");
        remove(&mut result, "/logs/0");
        set(&mut result, "", &json!([1]));
        assert_eq!(result, json!([1]));
    }

    #[test]
    fn logs_are_dropped_wherever_they_are() {
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let log = |address: Address| json!({ "address": address, "topics": [B256::repeat_byte(9)] });
        let receipt = json!({ "logs": [log(one), log(other)] });
        let mut receipts = json!([receipt]);
        drop_logs(&mut receipts, Some(one), None);
        assert_eq!(receipts, json!([{ "logs": [log(other)] }]));
        let mut logs = json!([log(one), log(other)]);
        drop_logs(&mut logs, None, Some(B256::repeat_byte(8)));
        assert_eq!(logs.as_array().unwrap().len(), 2);
        drop_logs(&mut logs, Some(one), Some(B256::repeat_byte(9)));
        assert_eq!(logs, json!([log(other)]));
        drop_logs(&mut logs, None, None);
        assert_eq!(logs, json!([]));
    }
}
