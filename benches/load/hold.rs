//! Packets that wait for confirmations that do not come: what they take of the node's memory and time.

use std::time::{Duration, Instant};

use super::{LoadError, Report, calls::Tally, figures::Held, process::Running, send, stage::Stage, usage::Usage};

/// How long nothing but waiting is looked at.
const CALM: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    stage: &Stage,
    nodes: &[Running],
    packets: usize,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Report, LoadError> {
    let options = &stage.options;
    let before = Usage::read(nodes)?;
    let calls_before = (Tally::read(nodes).await?, stage.heights().await?);
    say(&format!("sending {packets} packets that are held"));
    let begun = Instant::now();
    let sent = send::all(stage, packets, 0).await?;
    let sending = begun.elapsed();
    say(&format!("sent in {:.1} s; waiting until all wait", sending.as_secs_f64()));
    let waiting = loop {
        let waiting = nodes.iter().map(|node| node.moved_to("waiting")).min().unwrap_or_default();
        if waiting >= sent.len() || begun.elapsed() > Duration::from_secs(options.patience) {
            break waiting;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let seconds = begun.elapsed().as_secs_f64();
    let calm = (Usage::read(nodes)?, Tally::read(nodes).await?, stage.heights().await?);
    say("all wait; looking on");
    tokio::time::sleep(CALM).await;
    let after = (Usage::read(nodes)?, Tally::read(nodes).await?, stage.heights().await?);
    let ticks = after.0.ticks().saturating_sub(calm.0.ticks());
    Ok(Report {
        command: options.command(),
        sent_per_second: super::figures::rate(sent.len(), sending),
        counts: None,
        rate: None,
        latency: None,
        latency_aim_ms: None,
        batches: None,
        idle_calls: after.1.since(&calm.1).per_block(stage, &calm.2, &after.2),
        load_calls: calm.1.since(&calls_before.0).per_block(stage, &calls_before.1, &calm.2),
        nodes: after.0.since(&before, &before, sent.len()),
        held: Some(Held { sent: sent.len(), waiting, seconds, cpu_percent: percent(ticks, CALM) }),
        naive: Vec::new(),
        limit: Vec::new(),
    })
}

/// A tick is a hundredth of a second.
#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(ticks: u64, time: Duration) -> f64 {
    ticks as f64 / time.as_secs_f64()
}
