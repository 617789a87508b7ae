//! The streams: their names, their commands, and what counts as an entry.
//!
//! Replies are taken apart here and not by the client's own conversions, which refuse a whole batch for one odd entry.

use std::time::Duration;

use alloy_primitives::{B256, hex};
use dvn_core::{
    ids::JobId,
    job::Stage,
    ports::{Due, Entry, Receipt},
};
use redis::{Cmd, Pipeline, Value, cmd, pipe};

use super::RedisOptions;

/// The one group that all processes read in.
const GROUP: &str = "dvn";
/// The one field of an entry.
const FIELD: &str = "job";

/// An entry as Redis holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// One of ours, as far as its form goes.
    Job(Entry),
    /// Something else. It is removed by its receipt.
    Strange(Entry),
}

/// Names and sizes.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    keys: [String; Stage::ALL.len()],
    consumer: String,
    max_len: usize,
}

impl Streams {
    /// The braces make a cluster keep all streams together, so that one command reads them all.
    pub(super) fn new(options: &RedisOptions) -> Self {
        let keys = Stage::ALL.map(|stage| format!("{{{}}}:{}", options.prefix, stage.name()));
        Self { keys, consumer: options.instance.clone(), max_len: options.max_len }
    }

    pub(super) fn make_group(&self, stage: Stage) -> Cmd {
        let mut command = cmd("XGROUP");
        command.arg("CREATE").arg(self.key(stage)).arg(GROUP).arg("0").arg("MKSTREAM");
        command
    }

    /// Adds these and removes those, in one round trip.
    pub(super) fn send(&self, pushes: &[Due], acks: &[Entry]) -> Pipeline {
        let mut commands = pipe();
        for due in pushes {
            let command = commands.cmd("XADD").arg(self.key(due.stage()));
            command.arg("MAXLEN").arg("~").arg(self.max_len).arg("*").arg(FIELD).arg(hex::encode(due.id.0)).ignore();
        }
        for entry in acks {
            let (key, id) = (self.key(entry.stage), entry.receipt.as_str());
            commands.cmd("XACK").arg(key).arg(GROUP).arg(id).ignore();
            commands.cmd("XDEL").arg(key).arg(id).ignore();
        }
        commands
    }

    /// Takes up to `count` new entries of each of these stages, and waits so long where there are none.
    pub(super) fn read(&self, stages: &[Stage], count: usize, block: Option<Duration>) -> Cmd {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(count);
        if let Some(block) = block {
            command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX));
        }
        command.arg("STREAMS");
        for stage in stages {
            command.arg(self.key(*stage));
        }
        for _stage in stages {
            command.arg(">");
        }
        command
    }

    /// Takes over up to `count` entries that nobody has acknowledged for so long.
    pub(super) fn claim(&self, stage: Stage, idle: Duration, count: usize) -> Cmd {
        let mut command = cmd("XAUTOCLAIM");
        command.arg(self.key(stage)).arg(GROUP).arg(&self.consumer);
        command.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg("0").arg("COUNT").arg(count);
        command
    }

    pub(super) fn consumers(&self, stage: Stage) -> Cmd {
        let mut command = cmd("XINFO");
        command.arg("CONSUMERS").arg(self.key(stage)).arg(GROUP);
        command
    }

    pub(super) fn remove_consumer(&self, stage: Stage, name: &str) -> Cmd {
        let mut command = cmd("XGROUP");
        command.arg("DELCONSUMER").arg(self.key(stage)).arg(GROUP).arg(name);
        command
    }

    /// The consumers in a reply to [`Streams::consumers`] that hold nothing and have not asked for anything for so long.
    pub(super) fn gone<'a>(&self, reply: &'a Value, idle: Duration) -> Vec<&'a str> {
        let gone = |consumer: &'a Value| {
            let name = field(consumer, "name").and_then(text)?;
            let (Some(Value::Int(0)), Some(Value::Int(millis))) = (field(consumer, "pending"), field(consumer, "idle"))
            else {
                return None;
            };
            let is_gone = u64::try_from(*millis).is_ok_and(|millis| Duration::from_millis(millis) >= idle);
            (is_gone && name != self.consumer).then_some(name)
        };
        list(reply).iter().filter_map(gone).collect()
    }

    /// The entries in a reply to [`Streams::read`].
    pub(super) fn read_entries(&self, reply: &Value) -> Vec<Found> {
        let mut found = Vec::new();
        for stream in list(reply) {
            let [key, entries] = list(stream) else {
                continue;
            };
            let stage = Stage::ALL.into_iter().find(|stage| text(key) == Some(self.key(*stage)));
            found.extend(stage.into_iter().flat_map(|stage| all(stage, entries)));
        }
        found
    }

    /// The entries in a reply to [`Streams::claim`].
    pub(super) fn claimed_entries(stage: Stage, reply: &Value) -> Vec<Found> {
        list(reply).get(1).map(|entries| all(stage, entries)).unwrap_or_default()
    }

    fn key(&self, stage: Stage) -> &str {
        self.keys.get(stage.index()).map_or("", String::as_str)
    }
}

fn all(stage: Stage, entries: &Value) -> Vec<Found> {
    list(entries).iter().filter_map(|entry| found(stage, entry)).collect()
}

/// An entry, or nothing where even its name is missing, which no Redis answers.
fn found(stage: Stage, entry: &Value) -> Option<Found> {
    let name = text(list(entry).first()?)?;
    let receipt = Receipt::new(name);
    let id = list(entry).get(1).and_then(job_id);
    Some(match id {
        Some(id) => Found::Job(Entry { stage, id, receipt }),
        None => Found::Strange(Entry { stage, id: JobId(B256::ZERO), receipt }),
    })
}

/// Exactly what is written by [`Streams::send`], and nothing besides.
fn job_id(fields: &Value) -> Option<JobId> {
    let [Value::BulkString(name), Value::BulkString(value)] = list(fields) else {
        return None;
    };
    if name != FIELD.as_bytes() || value.len() != 64 {
        return None;
    }
    let mut id = B256::ZERO;
    hex::decode_to_slice(value, id.as_mut_slice()).ok()?;
    Some(JobId(id))
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// A value of a map, which is a list of names and values in turn.
fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let (pairs, _) = list(map).as_chunks::<2>();
    pairs.iter().find_map(|[key, value]| (text(key) == Some(name)).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(bytes: impl AsRef<[u8]>) -> Value {
        Value::BulkString(bytes.as_ref().to_vec())
    }

    fn entry(fields: Vec<Value>) -> Value {
        Value::Array(vec![bulk("1-0"), Value::Array(fields)])
    }

    #[test]
    fn only_the_exact_form_is_a_job() {
        let id = JobId(B256::repeat_byte(0xab));
        let good = hex::encode(id.0);
        let receipt = Receipt::new("1-0");
        let job = Found::Job(Entry { stage: Stage::Sign, id, receipt: receipt.clone() });
        assert_eq!(found(Stage::Sign, &entry(vec![bulk("job"), bulk(&good)])), Some(job));
        let strange = Found::Strange(Entry { stage: Stage::Sign, id: JobId(B256::ZERO), receipt });
        for fields in [
            vec![],
            vec![bulk("job")],
            vec![bulk("job"), bulk("")],
            vec![bulk("job"), bulk(format!("0x{good}"))],
            vec![bulk("job"), bulk(&good[2..])],
            vec![bulk("job"), bulk(good.replace('a', "g"))],
            vec![bulk("Job"), bulk(&good)],
            vec![bulk("job"), bulk(&good), bulk("payload"), bulk("drain")],
            vec![bulk("job"), Value::Int(7)],
            vec![bulk([0xff, 0xfe]), bulk([0xff; 64])],
        ] {
            assert_eq!(found(Stage::Sign, &entry(fields.clone())), Some(strange.clone()), "{fields:?}");
        }
        let without_fields = Value::Array(vec![bulk("1-0"), Value::Nil]);
        assert_eq!(found(Stage::Sign, &without_fields), Some(strange));
        assert_eq!(found(Stage::Sign, &Value::Nil), None);
    }
}
