//! New heads as a seat pushes them over a WebSocket. They are hints to ask now, and nothing of them is believed: a seat that
//! pushes lies, rubbish or nothing loses its subscription for a while, and is polled like any other.

mod dial;

use std::{convert::Infallible, time::Duration};

use alloy::primitives::U64;
use dvn_core::ids::BlockNumber;
use futures::{SinkExt, StreamExt};
use rand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use self::dial::{Socket, dial, failed};
use super::{Seat, SeatError};

/// Messages in one second that no chain's heads explain.
const MOST_A_SECOND: u32 = 200;
/// What may come before the answer to the subscription.
const MOST_BEFORE: usize = 16;
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a subscription may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// Longest wait for the connection, for an answer, and for a ping to be written.
    answer: Duration,
    /// How often it is pinged; twice as long without any message, and it is lost.
    ping: Duration,
    /// Longest time without a new head.
    head: Duration,
}

impl Silence {
    /// What is usual with this time between blocks.
    pub(crate) fn new(block_time: Duration) -> Self {
        let head = block_time.saturating_mul(10).max(Duration::from_secs(60));
        Self { answer: Duration::from_secs(10), ping: Duration::from_secs(15), head }
    }
}

/// Tells the height of every head that the seat pushes, and nothing when it does not push any more. Subscribes again, for
/// ever, with longer and longer pauses while that does not last.
pub(crate) async fn follow(seat: &Seat, silence: Silence, tell: impl Fn(Option<BlockNumber>)) {
    let mut failures: u32 = 0;
    loop {
        let begun = Instant::now();
        let Err(error) = subscription(seat, silence, &tell).await;
        let error = seat.ws().map_or_else(|| error.clone(), |url| error.clone().scrubbed(url));
        tell(None);
        note(seat, &error, failures);
        failures = if begun.elapsed() > LONGEST_PAUSE { 0 } else { failures.saturating_add(1) };
        sleep(pause(failures)).await;
    }
}

/// Doubles from attempt to attempt; half of it is left to chance, so that seats do not come back at once.
fn pause(failures: u32) -> Duration {
    let doubled = SHORTEST_PAUSE.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::rng().random_range(0.5..1.0))
}

fn note(seat: &Seat, error: &SeatError, failures: u32) {
    let (chain, label, reason) = (seat.chain().to_owned(), seat.label().to_owned(), error.name());
    if failures == 0 {
        tracing::warn!(chain, seat = label, %error, "seat pushes no heads, it is polled meanwhile");
    } else {
        tracing::debug!(chain, seat = label, %error, failures, "seat pushes no heads");
    }
    let labels = [("chain", chain), ("seat", label), ("reason", reason.to_owned())];
    metrics::counter!("dvn_head_subscriptions_lost_total", &labels).increment(1);
}

/// Whether the seat pushes heads now.
fn gauge(seat: &Seat, is: bool) {
    let (chain, label) = (seat.chain().to_owned(), seat.label().to_owned());
    metrics::gauge!("dvn_head_subscriptions", "chain" => chain, "seat" => label).set(if is { 1.0 } else { 0.0 });
}

/// One subscription, until it fails.
async fn subscription(
    seat: &Seat,
    silence: Silence,
    tell: impl Fn(Option<BlockNumber>),
) -> Result<Infallible, SeatError> {
    gauge(seat, false);
    let Some(url) = seat.ws() else {
        std::future::pending::<()>().await;
        return Err(SeatError::Timeout);
    };
    let within = seat.config.connect_timeout.max(silence.answer);
    let mut socket = timeout(within, dial(url, &seat.headers)).await.map_err(|_| SeatError::Timeout)??;
    let id = timeout(silence.answer, subscribe(&mut socket)).await.map_err(|_| SeatError::Timeout)??;
    gauge(seat, true);
    tracing::info!(chain = seat.chain(), seat = seat.label(), "seat pushes new heads");
    let result = listen(seat, socket, &id, silence, tell).await;
    gauge(seat, false);
    result
}

async fn subscribe(socket: &mut Socket) -> Result<Value, SeatError> {
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] });
    socket.send(Message::text(question.to_string())).await.map_err(failed)?;
    for _ in 0..MOST_BEFORE {
        match Told::read(socket.next().await)? {
            Told::Subscribed(id) => return Ok(id),
            Told::Head { .. } | Told::Other => {}
        }
    }
    Err(SeatError::malformed("no answer to the subscription among many messages"))
}

async fn listen(
    seat: &Seat,
    mut socket: Socket,
    subscription: &Value,
    silence: Silence,
    tell: impl Fn(Option<BlockNumber>),
) -> Result<Infallible, SeatError> {
    let heads = metrics::counter!("dvn_pushed_heads_total",
        "chain" => seat.chain().to_owned(), "seat" => seat.label().to_owned());
    let (mut heard, mut last_head, mut flow) = (Instant::now(), Instant::now(), Flow::default());
    let mut next_ping = later(silence.ping);
    loop {
        tokio::select! {
            message = socket.next() => {
                let told = Told::read(message)?;
                heard = Instant::now();
                flow.note(heard)?;
                if let Told::Head { id, number } = told && id == *subscription {
                    last_head = heard;
                    heads.increment(1);
                    tell(Some(number));
                }
            }
            () = sleep_until(next_ping) => {
                if heard.elapsed() > silence.ping.saturating_mul(2) || last_head.elapsed() > silence.head {
                    return Err(SeatError::Timeout);
                }
                let ping = socket.send(Message::Ping(Vec::new().into()));
                timeout(silence.answer, ping).await.map_err(|_| SeatError::Timeout)?.map_err(failed)?;
                next_ping = later(silence.ping);
            }
        }
    }
}

fn later(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

/// Counts messages, so that a flood ends the subscription rather than keeping this process busy.
#[derive(Debug, Default)]
struct Flow {
    second: Option<Instant>,
    messages: u32,
}

impl Flow {
    fn note(&mut self, now: Instant) -> Result<(), SeatError> {
        match self.second {
            Some(second) if now.saturating_duration_since(second) < Duration::from_secs(1) => {
                self.messages = self.messages.saturating_add(1);
            }
            _ => (self.second, self.messages) = (Some(now), 1),
        }
        if self.messages > MOST_A_SECOND {
            return Err(SeatError::malformed(format!("more than {MOST_A_SECOND} messages in a second")));
        }
        Ok(())
    }
}

/// What one message tells.
#[derive(Debug, PartialEq)]
enum Told {
    Subscribed(Value),
    Head {
        id: Value,
        number: BlockNumber,
    },
    /// A ping, or news of another kind.
    Other,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Refusal>,
    #[serde(default)]
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Params {
    subscription: Value,
    result: Head,
}

#[derive(Deserialize)]
struct Head {
    number: U64,
}

impl Told {
    fn read(message: Option<Result<Message, Error>>) -> Result<Self, SeatError> {
        match message {
            Some(Ok(Message::Text(text))) => Self::parse(text.as_str()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Self::Other),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => Err(SeatError::malformed("binary message")),
            Some(Ok(Message::Close(_))) | None => Err(SeatError::Connection("closed by the seat".to_owned())),
            Some(Err(error)) => Err(failed(error)),
        }
    }

    fn parse(text: &str) -> Result<Self, SeatError> {
        let frame: Frame = serde_json::from_str(text).map_err(|error| SeatError::malformed(error.to_string()))?;
        match frame {
            Frame { error: Some(Refusal { code, message }), .. } => Err(SeatError::Node { code, message, data: None }),
            Frame { params: Some(Params { subscription, result }), .. } => {
                Ok(Self::Head { id: subscription, number: BlockNumber(result.number.to()) })
            }
            Frame { id, result, .. } if id == 1 && result.is_string() => Ok(Self::Subscribed(result)),
            _ => Ok(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests;
