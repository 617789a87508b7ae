//! Answers that are made to hurt their reader.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};
use hyper::body::Bytes;
use serde_json::Value;

use super::{Hostile, body::Filler};

const BYTE_EVERY: Duration = Duration::from_secs(1);

/// A body, and how it is announced.
#[derive(Debug)]
pub(super) struct HostileBody {
    pub(super) content_type: &'static str,
    pub(super) is_gzipped: bool,
    filler: Filler,
}

impl HostileBody {
    pub(super) fn chunks(&self) -> BoxStream<'static, Bytes> {
        let filler = self.filler.clone();
        if self.is_gzipped { filler.gzipped().boxed() } else { filler.chunks().boxed() }
    }
}

impl Hostile {
    /// Whether the body is made of the node's true answer.
    pub(super) const fn needs_truth(&self) -> bool {
        matches!(self, Self::Slow | Self::Truncated)
    }

    /// The body in the place of the answer to the call `id`.
    pub(super) fn body(&self, id: &Value, truth: &Bytes) -> HostileBody {
        let start = || Filler::new().text(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
        let string = |bytes: u64| start().text("\"0x").repeat(b'0', bytes).text("\"}");
        let half = truth.len() / 2;
        let filler = match self {
            Self::Oversized { bytes } | Self::GzipBomb { bytes } => string(*bytes),
            // At the speed of memory that takes a century.
            Self::Endless => string(u64::MAX),
            Self::Slow => Filler::new().text(truth.clone()).slowly(BYTE_EVERY),
            Self::Deep { levels } => start().repeat(b'[', *levels).repeat(b']', *levels).text("}"),
            Self::WrongContentType => {
                Filler::new().text("<!doctype html><title>Sign in</title><h1>Please sign in</h1>\n")
            }
            Self::Truncated => Filler::new().text(truth.slice(..half)),
            Self::NotJson => Filler::new().text("upstream connect error or disconnect/reset before headers"),
            Self::Nan => start().text("NaN}"),
            Self::WrongId => start().text("null}"),
        };
        let content_type = if matches!(self, Self::WrongContentType) { "text/html" } else { "application/json" };
        HostileBody { content_type, filler, is_gzipped: matches!(self, Self::GzipBomb { .. }) }
    }
}
