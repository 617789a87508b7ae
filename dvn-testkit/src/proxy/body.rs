//! Bodies of answers: a text at once, or more than anybody can hold, made while it is sent.

use std::{collections::VecDeque, convert::Infallible, io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};

/// What the proxy answers with.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

const CHUNK: usize = 64 * 1024;

pub(super) fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

pub(super) fn streamed(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync()
}

/// A text in parts, some of which are one byte again and again.
#[derive(Debug, Clone)]
pub(super) struct Filler {
    parts: VecDeque<Part>,
    chunk: usize,
    pause: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Bytes),
    Repeat(u8, u64),
}

impl Filler {
    pub(super) fn new() -> Self {
        Self { parts: VecDeque::new(), chunk: CHUNK, pause: None }
    }

    pub(super) fn text(mut self, text: impl Into<Bytes>) -> Self {
        self.parts.push_back(Part::Text(text.into()));
        self
    }

    pub(super) fn repeat(mut self, byte: u8, times: u64) -> Self {
        self.parts.push_back(Part::Repeat(byte, times));
        self
    }

    /// One byte at a time, each after a pause.
    pub(super) const fn slowly(mut self, pause: Duration) -> Self {
        self.chunk = 1;
        self.pause = Some(pause);
        self
    }

    pub(super) fn chunks(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, |mut filler| async {
            if let Some(pause) = filler.pause {
                tokio::time::sleep(pause).await;
            }
            filler.next_chunk().map(|chunk| (chunk, filler))
        })
    }

    /// The same bytes as a gzip file.
    pub(super) fn gzipped(self) -> impl Stream<Item = Bytes> + Send + 'static {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        stream::unfold(Some((self, encoder)), |state| async {
            let (mut filler, mut encoder) = state?;
            while let Some(chunk) = filler.next_chunk() {
                // Writing to memory cannot fail.
                let _ = encoder.write_all(&chunk);
                if !encoder.get_ref().is_empty() {
                    let written = std::mem::take(encoder.get_mut());
                    return Some((Bytes::from(written), Some((filler, encoder))));
                }
            }
            Some((Bytes::from(encoder.finish().unwrap_or_default()), None))
        })
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            let chunk = match self.parts.front_mut()? {
                Part::Text(text) => text.split_to(text.len().min(self.chunk)),
                Part::Repeat(byte, left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.chunk);
                    *left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                    Bytes::from(vec![*byte; length])
                }
            };
            if !chunk.is_empty() {
                return Some(chunk);
            }
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    async fn all(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Vec<u8> {
        chunks.collect::<Vec<_>>().await.concat()
    }

    fn filler() -> Filler {
        Filler::new().text("<").repeat(b'.', 200_000).text("").repeat(b'!', 0).text(">")
    }

    #[tokio::test]
    async fn parts_follow_each_other() {
        let text = all(filler().chunks()).await;
        assert_eq!((text.len(), text[0], text[1], text[200_001]), (200_002, b'<', b'.', b'>'));
    }

    #[tokio::test]
    async fn a_bomb_is_small_and_inflates_to_the_same() {
        let bomb = all(filler().gzipped()).await;
        assert!(bomb.len() < 2_000);
        let mut inflated = Vec::new();
        GzDecoder::new(bomb.as_slice()).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, all(filler().chunks()).await);
    }
}
