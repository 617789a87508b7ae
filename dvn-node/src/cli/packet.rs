//! One packet's whole story: jobs, what was signed, transactions, evidence, and every decision in order.

use std::io::{self, Write};

use alloy_primitives::B256;
use dvn_core::{
    ids::Guid,
    job::{Job, Wake},
    ports::{AuditRow, EvidenceBundle, JournalRow, OutboxTransaction, Store},
};
use serde::Serialize;
use serde_json::Value;

use super::{CliError, chains::Chains};
use crate::time::Stamp;

/// Which packets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    /// One, by its slot.
    Guid(Guid),
    /// All of a source transaction.
    Transaction(B256),
}

/// What the store knows of one packet.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Story {
    guid: String,
    jobs: Vec<JobStory>,
    journal: Vec<Signing>,
    evidence: Vec<EvidenceStory>,
    audit: Vec<Decision>,
}

#[derive(Clone, Debug, Serialize)]
struct JobStory {
    id: String,
    src_eid: u32,
    dst_eid: u32,
    nonce: u64,
    sender: String,
    receiver: String,
    payload_hash: String,
    state: &'static str,
    reason: Option<&'static str>,
    block: u64,
    block_hash: String,
    tx_hash: String,
    log_index: u64,
    observed_at: String,
    wake: String,
    attempts: u32,
    last_error: Option<String>,
    signed: Option<Quorum>,
    attested_in: Option<Block>,
    transactions: Vec<Transaction>,
}

#[derive(Clone, Debug, Serialize)]
struct Quorum {
    confirmations: u64,
    expiration: u64,
    target: String,
    signatures: String,
}

#[derive(Clone, Debug, Serialize)]
struct Block {
    number: u64,
    hash: String,
}

#[derive(Clone, Debug, Serialize)]
struct Transaction {
    sender: String,
    nonce: u64,
    open: bool,
    attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, Serialize)]
struct Attempt {
    tx_hash: String,
    // Wei may be too large for a JSON number to be read back exactly.
    max_fee: String,
    priority_fee: String,
    at: String,
}

#[derive(Clone, Debug, Serialize)]
struct Signing {
    sequence: u64,
    at: String,
    signer: String,
    payload_hash: String,
    confirmations: u64,
    expiration: u64,
    evidence: String,
    signed: bool,
}

#[derive(Clone, Debug, Serialize)]
struct EvidenceStory {
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
}

/// A row of the audit log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Decision {
    sequence: u64,
    at: String,
    actor: String,
    action: String,
    guid: Option<String>,
    evidence: Option<String>,
    detail: Value,
    row_hash: String,
}

/// Reads the stories of a query, at least one; documents of evidence only where they are wanted.
pub(super) async fn read(store: &Store, query: Query, documents: bool) -> Result<Vec<Story>, CliError> {
    let mut guids: Vec<Guid> = match query {
        Query::Guid(guid) => vec![guid],
        Query::Transaction(hash) => {
            store.jobs.by_transaction(hash).await?.iter().map(|job| job.claim.header.guid()).collect()
        }
    };
    // Neighbours of one transaction are in the order of its logs, so that two jobs of one slot need not be.
    let mut seen = std::collections::BTreeSet::new();
    guids.retain(|guid| seen.insert(*guid));
    let mut stories = Vec::new();
    for guid in guids {
        let story = Story::read(store, guid, documents).await?;
        if !story.is_empty() {
            stories.push(story);
        }
    }
    if stories.is_empty() {
        return Err(CliError::UnknownPacket(match query {
            Query::Guid(guid) => guid.to_string(),
            Query::Transaction(hash) => format!("of transaction {hash}"),
        }));
    }
    Ok(stories)
}

impl Story {
    async fn read(store: &Store, guid: Guid, documents: bool) -> Result<Self, CliError> {
        let mut jobs = Vec::new();
        for job in store.jobs.by_guid(guid).await? {
            let transactions = store.outbox.of_job(job.id).await?;
            jobs.push(JobStory::new(&job, &transactions));
        }
        Ok(Self {
            guid: guid.to_string(),
            jobs,
            journal: store.journal.slot(guid).await?.iter().map(Signing::new).collect(),
            evidence: store
                .evidence
                .of_packet(guid)
                .await?
                .iter()
                .map(|it| EvidenceStory::new(it, documents))
                .collect(),
            audit: store.audit.of_packet(guid).await?.iter().map(Decision::new).collect(),
        })
    }

    const fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.journal.is_empty() && self.evidence.is_empty() && self.audit.is_empty()
    }
}

impl JobStory {
    fn new(job: &Job, transactions: &[OutboxTransaction]) -> Self {
        let (header, location) = (&job.claim.header, &job.location);
        Self {
            id: job.id.to_string(),
            src_eid: header.src_eid.0,
            dst_eid: header.dst_eid.0,
            nonce: header.nonce.0,
            sender: header.sender.to_string(),
            receiver: header.receiver.to_string(),
            payload_hash: job.claim.payload_hash.to_string(),
            state: job.state.name(),
            reason: job.state.reason(),
            block: location.block.number.0,
            block_hash: location.block.hash.to_string(),
            tx_hash: location.tx_hash.to_string(),
            log_index: location.log_index,
            observed_at: Stamp(job.observed_at).to_string(),
            wake: match job.wake {
                Wake::At(time) => Stamp(time).to_string(),
                Wake::AtHead(block) => format!("at block {block}"),
                Wake::Never => "never".to_owned(),
            },
            attempts: job.attempts,
            last_error: job.last_error.clone(),
            signed: job.signed.as_ref().map(|signed| Quorum {
                confirmations: signed.confirmations.0,
                expiration: signed.expiration.0,
                target: signed.target.to_string(),
                signatures: signed.signatures.to_string(),
            }),
            attested_in: job.attested_in.map(|block| Block { number: block.number.0, hash: block.hash.to_string() }),
            transactions: transactions.iter().map(Transaction::new).collect(),
        }
    }
}

impl Transaction {
    fn new(it: &OutboxTransaction) -> Self {
        let attempt = |attempt: &dvn_core::ports::Attempt| Attempt {
            tx_hash: attempt.tx_hash.to_string(),
            max_fee: attempt.max_fee.to_string(),
            priority_fee: attempt.priority_fee.to_string(),
            at: Stamp(attempt.at).to_string(),
        };
        let attempts = it.attempts.iter().map(attempt).collect();
        Self { sender: it.lane.sender.to_string(), nonce: it.nonce, open: it.open, attempts }
    }
}

impl Signing {
    fn new(row: &JournalRow) -> Self {
        let attestation = &row.intent.attestation;
        Self {
            sequence: row.sequence,
            at: Stamp(row.intent.at).to_string(),
            signer: row.intent.signer.to_string(),
            payload_hash: attestation.claim.payload_hash.to_string(),
            confirmations: attestation.confirmations.0,
            expiration: attestation.expiration.0,
            evidence: row.intent.evidence.to_string(),
            signed: row.signature.is_some(),
        }
    }
}

impl EvidenceStory {
    fn new(bundle: &EvidenceBundle, document: bool) -> Self {
        Self { digest: bundle.digest().to_string(), document: document.then(|| json_or_text(bundle.json())) }
    }
}

impl Decision {
    pub(super) fn new(row: &AuditRow) -> Self {
        let entry = &row.entry;
        Self {
            sequence: row.sequence,
            at: Stamp(entry.at).to_string(),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            guid: entry.guid.map(|guid| guid.to_string()),
            evidence: entry.evidence.map(|digest| digest.to_string()),
            detail: json_or_text(&entry.detail),
            row_hash: row.row_hash.to_string(),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { at, actor, action, detail, .. } = self;
        writeln!(out, "  {at}  {actor:10} {action:14} {detail}")
    }

    /// As it stands among rows of other packets.
    pub(super) fn write_with_packet(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { sequence, at, actor, action, guid, detail, .. } = self;
        let guid = guid.as_deref().unwrap_or("-");
        writeln!(out, "{sequence:>8}  {at}  {actor:10} {action:20} {guid:66} {detail}")
    }
}

/// What is stored as JSON should be; what is not is shown as it stands.
fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Writes stories for people.
pub(super) fn write(stories: &[Story], chains: &Chains, out: &mut dyn Write) -> io::Result<()> {
    for (index, story) in stories.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "packet {}", story.guid)?;
        story.jobs.iter().try_for_each(|job| job.write(chains, out))?;
        story.journal.iter().try_for_each(|row| row.write(out))?;
        story.evidence.iter().try_for_each(|it| it.write(out))?;
        story.audit.iter().try_for_each(|row| row.write(out))?;
    }
    Ok(())
}

impl JobStory {
    fn write(&self, chains: &Chains, out: &mut dyn Write) -> io::Result<()> {
        let name = |eid: u32| chains.name(dvn_core::ids::Eid(eid));
        let reason = self.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        writeln!(out, "  path      {} -> {}, nonce {}", name(self.src_eid), name(self.dst_eid), self.nonce)?;
        writeln!(out, "  sender    {}", self.sender)?;
        writeln!(out, "  receiver  {}", self.receiver)?;
        writeln!(out, "  payload   {}", self.payload_hash)?;
        writeln!(
            out,
            "  sent in   block {} ({}), transaction {}, log {}",
            self.block, self.block_hash, self.tx_hash, self.log_index
        )?;
        writeln!(out, "  seen at   {}", self.observed_at)?;
        writeln!(out, "  state     {}{reason}, next look {}", self.state, self.wake)?;
        if let Some(error) = &self.last_error {
            writeln!(out, "  failing   {} times: {error}", self.attempts)?;
        }
        if let Some(it) = &self.signed {
            writeln!(out, "  quorum    {} confirmations to {} until {}", it.confirmations, it.target, it.expiration)?;
        }
        self.transactions.iter().try_for_each(|it| it.write(out))?;
        match &self.attested_in {
            Some(block) => writeln!(out, "  attested  block {} ({})", block.number, block.hash),
            None => Ok(()),
        }
    }
}

impl Transaction {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let open = if self.open { "open" } else { "closed" };
        writeln!(out, "  outbox    nonce {} of {}, {open}", self.nonce, self.sender)?;
        self.attempts.iter().try_for_each(|attempt| {
            let Attempt { tx_hash, max_fee, priority_fee, at } = attempt;
            writeln!(out, "            {at} {tx_hash} at {max_fee} wei, tip {priority_fee}")
        })
    }
}

impl Signing {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let done = if self.signed { "signed" } else { "intended" };
        let Self { sequence, at, signer, payload_hash, confirmations, expiration, evidence, .. } = self;
        writeln!(out, "  journal   {sequence}: {at} {done} by {signer}: payload {payload_hash}")?;
        writeln!(out, "            {confirmations} confirmations until {expiration}, on evidence {evidence}")
    }
}

impl EvidenceStory {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  evidence  {}", self.digest)?;
        self.document.as_ref().map_or(Ok(()), |document| writeln!(out, "{document:#}"))
    }
}
