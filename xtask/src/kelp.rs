//! The attack of 18 April 2026 before your eyes: two of four RPC nodes show the verifier, and nobody else, a packet that
//! nobody sent, while the other two are knocked out. What would other kinds of verifiers have signed, and what does ours?

mod naive;
mod report;
mod stage;

use std::time::{Duration, Instant};

use clap::Args;
use dvn_testkit::{devnet::SentPacket, node::NodeProcess};

use self::{
    naive::{Decision, Kind},
    report::{Outcome, amount},
    stage::{Forged, LARGE, Stage},
};
use crate::{
    Failure,
    command::say,
    stage::{failure, tail},
};

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the attack goes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds that our node is left alone with the liars once it complains.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    alone: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failure(&error))?;
    runtime.block_on(play(Duration::from_secs(options.alone)))
}

async fn play(alone: Duration) -> Result<(), Failure> {
    say("18 April 2026 once more: a verifier is shown a packet that nobody sent.\n");
    let stage = Stage::set().await?;
    let mut node = stage.start_node().await?;
    let result = perform(&stage, &mut node, alone).await;
    if result.is_err() {
        say(&format!("the end of {}:\n{}", stage.log().display(), tail(&node.log().await.unwrap_or_default(), 20)));
    }
    let outcome = result?;
    node.stop().await.map_err(|error| failure(&error))?;
    outcome.print();
    say(&format!("\neverything is in {}", stage.folder().display()));
    outcome.judge()
}

async fn perform(stage: &Stage, node: &mut NodeProcess, alone: Duration) -> Result<Outcome, Failure> {
    let clock = Clock(Instant::now());
    let genuine = stage.send().await?;
    stage.until_attested(&genuine, PATIENCE).await?;
    if !stage.was_signed(&genuine.fields).await? {
        return Err(Failure::new("our node's log does not tell of signatures, so that its silence says nothing"));
    }
    let before = ask_all(stage).await?;
    let nonce = genuine.fields.nonce;
    clock.tell(&format!(
        "packet {nonce} moves {} tokens; our node attests it, as every verifier would",
        amount(&genuine)
    ));

    let forged = attack(stage, &clock, &genuine).await?;
    let during = ask_all(stage).await?;
    clock.tell("verifiers of other kinds, lied to like ours, have made up their minds: see below");
    stage.assert_monitor_sees_truth(forged.height).await?;
    clock.tell(&format!("a monitor asks all four for block {} and gets the true hash four times", forged.height));
    stage.until_degraded(node, PATIENCE).await?;
    clock.tell("our node: two of four is not three. It waits, says so in /ready and in dvn_source_degraded");
    tokio::time::sleep(alone).await;
    let signed_alone = stage.attested_beyond(&genuine).await?;

    stage.recover();
    clock.tell("provider-1 and provider-2 are back");
    let halted = node.until_event(PATIENCE, |event| event.text("message") == "halted").await;
    halted.map_err(|error| failure(&error))?;
    clock.tell("our node: final blocks that differ are no matter of majority. It halts until an operator looks\n");
    let signed = signed_alone.saturating_add(stage.attested_beyond(&genuine).await?);
    let was_signed = stage.was_signed(&forged.fields).await?;
    Ok(Outcome { genuine, forged, before, during, signed, was_signed, votes: stage.until_evidence(PATIENCE).await? })
}

/// Plays the attacker, until the forged block is final for whoever believes it.
async fn attack(stage: &Stage, clock: &Clock, genuine: &SentPacket) -> Result<Forged, Failure> {
    let forged = stage.poison(genuine).await?;
    let (nonce, height) = (forged.fields.nonce, forged.height);
    let large = report::tokens(LARGE);
    clock.tell(&format!("own-1 and own-2 are taken over: from block {height} on, packet {nonce} moves {large} tokens"));
    clock.tell("  they show it to the verifier alone, and every hash, receipt and storage proof fits");
    stage.knock_out();
    clock.tell("provider-1 and provider-2 are flooded and answer no more");
    stage.until_final(height, PATIENCE).await?;
    clock.tell(&format!("block {height} is final"));
    Ok(forged)
}

/// What each naive verifier would sign now.
async fn ask_all(stage: &Stage) -> Result<Vec<(Kind, Option<Decision>)>, Failure> {
    let (source, nodes) = (stage.source()?, stage.nodes());
    let mut answers = Vec::new();
    for kind in Kind::ALL {
        answers.push((kind, naive::decide(kind, source, &nodes).await));
    }
    Ok(answers)
}

/// Tells what happens, with the time since the first packet.
struct Clock(Instant);

impl Clock {
    fn tell(&self, line: &str) {
        say(&format!("{:6.1}s  {line}", self.0.elapsed().as_secs_f64()));
    }
}
