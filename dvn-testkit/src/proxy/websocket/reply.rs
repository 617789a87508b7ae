//! What goes back to the client of a WebSocket.

use std::fmt;

use futures::{Sink, SinkExt, StreamExt, stream::BoxStream};
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{
    self, Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

/// One thing to send.
pub(super) enum Reply {
    Text(String),
    /// One message in many frames, as long as it may be.
    Stream {
        chunks: BoxStream<'static, Bytes>,
        is_text: bool,
    },
    /// The end: after a farewell that names an HTTP status, or all of a sudden.
    Close(Option<u16>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Stream { is_text, .. } => f.debug_struct("Stream").field("is_text", is_text).finish_non_exhaustive(),
            Self::Close(status) => f.debug_tuple("Close").field(status).finish(),
        }
    }
}

/// Sends replies until one of them is the end, or the client is gone.
pub(super) async fn write(
    mut client: impl Sink<Message, Error = tungstenite::Error> + Unpin,
    mut replies: mpsc::Receiver<Reply>,
) {
    while let Some(reply) = replies.recv().await {
        let sent = match reply {
            Reply::Text(text) => client.send(Message::text(text)).await,
            Reply::Stream { chunks, is_text } => stream(&mut client, chunks, is_text).await,
            Reply::Close(None) => return,
            Reply::Close(Some(status)) => {
                let frame = CloseFrame { code: CloseCode::Error, reason: format!("status {status}").into() };
                let _gone = client.send(Message::Close(Some(frame))).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn stream(
    client: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    mut chunks: BoxStream<'static, Bytes>,
    is_text: bool,
) -> Result<(), tungstenite::Error> {
    let mut kind = if is_text { Data::Text } else { Data::Binary };
    while let Some(chunk) = chunks.next().await {
        client.send(Message::Frame(Frame::message(chunk, OpCode::Data(kind), false))).await?;
        kind = Data::Continue;
    }
    client.send(Message::Frame(Frame::message(Bytes::new(), OpCode::Data(kind), true))).await
}
