//! Log lines and metrics.

use std::time::Duration;

use dvn_core::error::SignErrorKind;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::config::{Config, LogFormat, Service};

/// The four families whose names and labels stay. Everything else starts with `dvn_` too.
pub mod family {
    /// Counter, by `chain` and `status`.
    pub const EVENTS_RECEIVED: &str = "dvn_events_received_total";
    /// Histogram, by `chain`: from the first sight of a packet to its evidence.
    pub const VERIFICATION_LATENCY: &str = "dvn_verification_latency_seconds";
    /// Counter, by `chain` and `error_type`.
    pub const SIGNING_ERRORS: &str = "dvn_signing_errors_total";
    /// Counter, by `target_chain`.
    pub const SUBMISSION_SUCCESS: &str = "dvn_submission_success_total";
}

/// Why logs or metrics cannot be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `service.log_level` is no filter.
    #[error("log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process writes logs already.
    #[error("logs are set up already")]
    Logs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The buckets are no buckets.
    #[error("metrics cannot be set up")]
    Metrics(#[from] BuildError),
    /// The process keeps metrics already.
    #[error("metrics are set up already")]
    Recorder,
}

/// Writes the process's log lines to standard error, so that standard output is a command's answer alone.
///
/// # Errors
/// [`TelemetryError`]: the filter is wrong, or logs are set up already.
pub fn logs(service: &Service) -> Result<(), TelemetryError> {
    let filter = filter(&service.log_level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match service.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Logs)
}

/// AWS's SDK prints whole answers at `trace`, in which the service may repeat a security token.
const DISCREET: &str = "aws_smithy_runtime=debug";

/// What `log_level` asks for, without what would tell secrets.
fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(level)?;
    let asks_more = LevelFilter::TRACE <= filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    if asks_more { Ok(filter.add_directive(DISCREET.parse()?)) } else { Ok(filter) }
}

/// Keeps the process's metrics, to be rendered by the handle.
///
/// # Errors
/// [`TelemetryError`]: metrics are set up already.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Recorder)?;
    describe();
    Ok(handle)
}

/// Lets every family appear before its first event, so that an alert on it never meets a gap.
pub fn announce(config: &Config) {
    for source in &config.sources {
        let chain = source.network.name.clone();
        metrics::counter!(family::EVENTS_RECEIVED, "chain" => chain.clone(), "status" => "observed").increment(0);
        drop(metrics::histogram!(family::VERIFICATION_LATENCY, "chain" => chain));
    }
    for target in &config.targets {
        let chain = target.network.name.clone();
        metrics::counter!(family::SUBMISSION_SUCCESS, "target_chain" => chain.clone()).increment(0);
        for kind in [SignErrorKind::Unavailable, SignErrorKind::Timeout, SignErrorKind::Auth, SignErrorKind::Integrity]
        {
            let (chain, error_type) = (chain.clone(), kind.name());
            metrics::counter!(family::SIGNING_ERRORS, "chain" => chain, "error_type" => error_type).increment(0);
        }
    }
}

/// Moves recorded samples into their buckets now and then, so that memory stays bounded where nobody scrapes.
///
/// # Cancel safety
/// May be dropped at any time.
pub async fn upkeep(metrics: PrometheusHandle, shutdown: CancellationToken) {
    let every = Duration::from_secs(5);
    while shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        metrics.run_upkeep();
    }
}

/// From one round of questions to a chain that stands still: waiting for finality is part of what is measured, up to 15
/// minutes on Ethereum.
const LATENCY_BUCKETS: [f64; 15] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0];

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let latency = Matcher::Full(family::VERIFICATION_LATENCY.to_owned());
    Ok(PrometheusBuilder::new().set_buckets_for_metric(latency, &LATENCY_BUCKETS)?.build_recorder())
}

fn describe() {
    describe_counter!(
        family::EVENTS_RECEIVED,
        "Assignments that a source chain's logs showed, by what became of them."
    );
    describe_histogram!(
        family::VERIFICATION_LATENCY,
        metrics::Unit::Seconds,
        "Time from the first sight of a packet to its verification, the wait for finality included."
    );
    describe_counter!(family::SIGNING_ERRORS, "Signatures that were asked for and not given, by the kind of error.");
    describe_counter!(family::SUBMISSION_SUCCESS, "Attestations whose PayloadVerified was read on the target chain.");
    describe_counter!("dvn_halts_total", "Stops of a chain or of everything that only an operator clears.");
    describe_counter!(
        "dvn_journal_rollbacks_total",
        "Signatures of ours on a destination that the journal does not know."
    );
    describe_counter!(
        "dvn_contract_changes_total",
        "Changes of our DVN contract, by whether the configuration expects them."
    );
    describe_counter!("dvn_audit_failures_total", "Attestations whose evidence was gone when it was looked for again.");
    describe_counter!("dvn_retractions_total", "Attestations that were taken back.");
    describe_counter!("dvn_retractions_too_late_total", "Packets that were committed before they could be taken back.");
    describe_counter!("dvn_attestations_replayed_total", "Attestations that somebody brought back after a retraction.");
    describe_counter!("dvn_equivocations_total", "Packets held because their slot was signed with another payload.");
    describe_counter!("dvn_bad_evidence_total", "Blocks whose evidence from a seat does not hash to the agreed block.");
    describe_counter!(
        "dvn_nonce_gaps_total",
        "Packets held because packets before them on their path were never seen."
    );
    describe_counter!("dvn_votes_missing_total", "Questions to a chain's seats that got too few votes, by question.");
    describe_counter!("dvn_seat_faults_total", "Votes that a seat did not cast or lost, by reason.");
    describe_gauge!("dvn_queue_up", "1 while the queue in Redis is used, 0 while the node works without it.");
    describe_counter!("dvn_queue_rejected_total", "Entries in Redis that are none of ours.");
    describe_counter!("dvn_queue_overdue_total", "Jobs that Redis kept for too long and that were done without it.");
    describe_gauge!("dvn_peer_healthy", "1 while a peer answers, else 0.");
    describe_counter!("dvn_cosigned_total", "Proposals of peers by outcome.");
    describe_counter!("dvn_peer_journal_conflicts_total", "Peers that showed two journals, or one that forgot a row.");
    describe_counter!("dvn_peer_connections_refused_total", "Connections to signing.listen that were no peer's.");
    describe_histogram!("dvn_cosign_seconds", "From a proposal to a peer's answer.");
    describe_gauge!("dvn_key_works", "1 while the attesting keys pass their test, which is repeated, else 0.");
    describe_gauge!(
        "dvn_quarantined",
        "1 while nothing is signed because the journal may have forgotten something, else 0."
    );
    describe_gauge!("dvn_audit_rows", "Rows that the audit log ever had.");
    describe_gauge!(
        "dvn_audit_head",
        "The first 6 bytes of the hash of the audit log's newest row, as a number: what a scraper keeps shows a log that was \
         written anew."
    );
    describe_gauge!("dvn_audit_intact", "0 once the audit log is not what it was: alert on 0. 1 otherwise.");
    describe_gauge!("dvn_disk_free_bytes", metrics::Unit::Bytes, "Room that is left where the store is.");
    describe_gauge!(
        "dvn_disk_full",
        "1 while less than service.min_free_disk is free, so that nothing is attested, else 0."
    );
    describe_gauge!("dvn_source_degraded", "1 while too few seats answer to follow a source chain, else 0.");
    describe_gauge!("dvn_source_cooling_down", "1 while a source is followed again and not verified yet, else 0.");
    describe_gauge!("dvn_target_degraded", "1 while a target chain cannot be read or written, else 0.");
    describe_gauge!("dvn_rpc_budget_left", "Calls that a seat's daily_budget still allows today.");
    describe_gauge!("dvn_head_subscriptions", "1 while a source's seat pushes its new heads, else 0.");
    describe_counter!("dvn_pushed_heads_total", "New heads that a source's seat pushed.");
    describe_counter!("dvn_head_subscriptions_lost_total", "Subscriptions to new heads that ended, by reason.");
    describe_counter!("dvn_rpc_requests_total", "Requests to a chain's seats, by method and outcome.");
    describe_counter!(
        "dvn_suspicious_packets_total",
        "PacketSent logs of an endpoint that no genuine send leaves, by what is wrong with them."
    );
    describe_counter!(
        "dvn_foreign_transactions_total",
        "Nonces of a sender's account that transactions of somebody else used."
    );
    describe_counter!(
        "dvn_lane_failures_total",
        "Rounds of a target's lane that failed, by kind; its work stays queued."
    );
    describe_counter!(
        "dvn_refused_items_total",
        "Attestations that were not sent since a simulation showed that they would have no effect."
    );
    describe_gauge!("dvn_sender_balance_wei", "What the account that pays for transactions has, in wei.");
    describe_gauge!("dvn_sender_balance_low", "1 while the account that pays has little left, else 0: alert on 1.");
    describe_gauge!("dvn_spent_wei", "What a target's transactions took in the last 24 hours, in wei.");
    describe_gauge!("dvn_budget_wei", "What a target's transactions may take in 24 hours, in wei.");
    describe_gauge!("dvn_budget_used_up", "1 while attestations wait for the daily budget, else 0: alert on 1.");
    describe_gauge!("dvn_nonce_gap", "1 while open transactions wait behind a nonce that nobody has, else 0.");
    describe_gauge!("dvn_source_head_block", "Newest block of a source chain that enough seats have.");
    describe_gauge!("dvn_source_settled_block", "Newest final block of a source chain.");
    describe_gauge!(
        "dvn_source_backfill_blocks",
        "Blocks of a source chain that were missed and are still to be read."
    );
    describe_gauge!("dvn_source_cursor_block", "Last block of a source chain whose assignments are all stored.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_families_are_rendered_with_help_and_buckets() {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(family::EVENTS_RECEIVED, "chain" => "a", "status" => "new").increment(1);
            metrics::histogram!(family::VERIFICATION_LATENCY, "chain" => "a").record(2.0);
            metrics::counter!(family::SIGNING_ERRORS, "chain" => "a", "error_type" => "Timeout").increment(2);
            metrics::counter!(family::SUBMISSION_SUCCESS, "target_chain" => "b").increment(3);
        });
        let text = recorder.handle().render();
        for line in [
            "# TYPE dvn_events_received_total counter",
            "dvn_events_received_total{chain=\"a\",status=\"new\"} 1",
            "# TYPE dvn_verification_latency_seconds histogram",
            "dvn_verification_latency_seconds_bucket{chain=\"a\",le=\"2.5\"} 1",
            "dvn_signing_errors_total{chain=\"a\",error_type=\"Timeout\"} 2",
            "dvn_submission_success_total{target_chain=\"b\"} 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        for name in
            [family::EVENTS_RECEIVED, family::VERIFICATION_LATENCY, family::SIGNING_ERRORS, family::SUBMISSION_SUCCESS]
        {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }

    #[test]
    fn no_level_makes_the_sdk_tell_tokens() {
        for level in ["trace", "aws_smithy_runtime=trace", "info,aws_smithy_runtime=trace"] {
            let shown = filter(level).unwrap().to_string();
            assert!(shown.contains(DISCREET) && !shown.contains("aws_smithy_runtime=trace"), "{level}: {shown}");
        }
        assert_eq!(filter("info").unwrap().to_string(), "info");
    }
}
