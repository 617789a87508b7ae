//! What the destination knows about a claim and who may sign for our DVN, each from one block and by vote.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use dvn_core::{
    destination::{DestinationView, ReceiveConfig},
    ids::{BlockNumber, Confirmations, Nonce, Vid},
    packet::Claim,
    signature::Committee,
};

use super::SubmitterConfig;
use crate::{
    anchor::{Anchored, anchored},
    call::{Answers, Call},
    contracts::{Dvn, Endpoint, ReceiveUln, Uln, UlnConfig},
    panel::{Absence, Ballot, Panel, PanelError, Vote},
    rpc::RpcBlock,
    seat::{Seat, SeatError},
};

/// What one seat says; all of it together is the vote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    at: Anchored,
    /// Nothing where the endpoint has no library for the path.
    receive_lib: Option<Address>,
    stored: B256,
    lazy_nonce: Nonce,
    /// For each configured library, in order.
    libs: Vec<Library>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Library {
    config: Option<ReceiveConfig>,
    record: Option<Confirmations>,
}

/// What the destination knows about a claim at a height.
pub(super) async fn view(
    panel: &Panel,
    config: &SubmitterConfig,
    claim: &Claim,
    at: BlockNumber,
) -> Result<DestinationView, PanelError> {
    let calls = Vec::from_iter([Call::block_by_number(at)].into_iter().chain(calls(config, claim, at)));
    let question = |seat: Arc<Seat>| {
        let calls = calls.clone();
        async move {
            let mut answers = Answers::new(seat.batch(calls).await?);
            let Some(at) = block(&mut answers, at)? else { return Ok(None) };
            told(config, &mut answers, at).map(Some)
        }
    };
    Ok(understood(config, panel.agree(WHAT, question).await?.value))
}

/// As [`view`], for several claims in one request; each is voted on by itself.
pub(super) async fn views(
    panel: &Panel,
    config: &SubmitterConfig,
    claims: &[Claim],
    at: BlockNumber,
) -> Vec<Result<DestinationView, PanelError>> {
    let mut all = vec![Call::block_by_number(at)];
    all.extend(claims.iter().flat_map(|claim| calls(config, claim, at)));
    let question = |seat: Arc<Seat>| {
        let all = all.clone();
        async move {
            let mut answers = Answers::new(seat.batch(all).await?);
            let Some(at) = block(&mut answers, at)? else { return Ok(None) };
            let mut each = Vec::with_capacity(claims.len());
            for _ in claims {
                // The next claim's answers come after all of this one's, whatever is wrong with these.
                let mut own = answers.split(calls_each(config));
                each.push(told(config, &mut own, at));
            }
            Ok(Some(each))
        }
    };
    let about = |votes: &[Vote<Vec<Result<Told, SeatError>>>], claim: usize| -> Ballot<Told> {
        let (mut about, mut absent) = (Vec::new(), Vec::new());
        for Vote { seat, label, value } in votes {
            match value.get(claim) {
                Some(Ok(told)) => about.push(Vote { seat: *seat, label: label.clone(), value: told.clone() }),
                Some(Err(error)) => absent.push((label.clone(), Absence::Failed(error.clone()))),
                None => {}
            }
        }
        Ballot { votes: about, absent }
    };
    let enough = |votes: &[Vote<_>]| (0..claims.len()).all(|claim| panel.has_agreement(&about(votes, claim).votes));
    let ballot = panel.ask(question, enough).await;
    let decided = (0..claims.len()).map(|claim| {
        let mut about = about(&ballot.votes, claim);
        about.absent.extend(ballot.absent.iter().cloned());
        Ok(understood(config, panel.decide(WHAT, about)?.value))
    });
    decided.collect()
}

const WHAT: &str = "destination's view";

fn understood(config: &SubmitterConfig, told: Told) -> DestinationView {
    let known = config.receive_libs.iter().position(|lib| Some(*lib) == told.receive_lib);
    let library = known.and_then(|at| told.libs.get(at).copied());
    DestinationView {
        at: told.at.block,
        time: told.at.time,
        receive_lib: told.receive_lib.unwrap_or_default(),
        receive_lib_known: library.is_some(),
        config: library.and_then(|library| library.config),
        stored: told.stored,
        lazy_nonce: told.lazy_nonce,
        record: library.and_then(|library| library.record),
    }
}

/// How many calls [`calls`] makes.
fn calls_each(config: &SubmitterConfig) -> usize {
    config.receive_libs.len().saturating_mul(2).saturating_add(3)
}

fn calls(config: &SubmitterConfig, claim: &Claim, at: BlockNumber) -> Vec<Call> {
    let header = &claim.header;
    // EVM destinations use the low 20 bytes and do not look at the others.
    let receiver = Address::from_word(header.receiver);
    let (src, sender, nonce) = (header.src_eid.0, header.sender, header.nonce.0);
    let mut calls = vec![
        Call::view(config.endpoint, &Endpoint::getReceiveLibraryCall { receiver, srcEid: src }, at),
        Call::view(config.endpoint, &Endpoint::inboundPayloadHashCall { receiver, srcEid: src, sender, nonce }, at),
        Call::view(config.endpoint, &Endpoint::lazyInboundNonceCall { receiver, srcEid: src, sender }, at),
    ];
    let config_call = Uln::getUlnConfigCall { oapp: receiver, remoteEid: src };
    let (header_hash, payload_hash) = (header.hash().0, claim.payload_hash.0);
    let record = ReceiveUln::hashLookupCall { headerHash: header_hash, payloadHash: payload_hash, dvn: config.dvn };
    for lib in &config.receive_libs {
        calls.push(Call::view(*lib, &config_call, at));
        calls.push(Call::view(*lib, &record, at));
    }
    calls
}

/// Nothing where the seat is not there yet.
fn block(answers: &mut Answers, at: BlockNumber) -> Result<Option<Anchored>, SeatError> {
    let block: Option<RpcBlock> = answers.next()?;
    block.map(|block| anchored(&block, at)).transpose()
}

fn told(config: &SubmitterConfig, answers: &mut Answers, at: Anchored) -> Result<Told, SeatError> {
    let receive_lib = answers.returned_or_reverted::<Endpoint::getReceiveLibraryCall>()?.map(|it| it.lib);
    let stored = answers.returned::<Endpoint::inboundPayloadHashCall>()?;
    let lazy_nonce = Nonce(answers.returned::<Endpoint::lazyInboundNonceCall>()?);
    let mut libs = Vec::new();
    for _ in &config.receive_libs {
        let uln = answers.returned_or_reverted::<Uln::getUlnConfigCall>()?;
        let record = answers.returned::<ReceiveUln::hashLookupCall>()?;
        let record = record.submitted.then_some(Confirmations(record.confirmations));
        libs.push(Library { config: uln.map(|uln| receive_config(&uln, config.dvn)), record });
    }
    Ok(Told { at, receive_lib, stored, lazy_nonce, libs })
}

fn receive_config(uln: &UlnConfig, dvn: Address) -> ReceiveConfig {
    let lists_us = uln.requiredDVNs.contains(&dvn) || uln.optionalDVNs.contains(&dvn);
    ReceiveConfig { confirmations: Confirmations(uln.confirmations), lists_us }
}

pub(super) async fn committee(
    panel: &Panel,
    dvn: Address,
    candidates: &[Address],
    at: BlockNumber,
) -> Result<Committee, PanelError> {
    let mut calls = vec![Call::view(dvn, &Dvn::vidCall {}, at), Call::view(dvn, &Dvn::quorumCall {}, at)];
    calls.extend(candidates.iter().map(|signer| Call::view(dvn, &Dvn::signersCall { signer: *signer }, at)));
    let question = |seat: Arc<Seat>| {
        let calls = calls.clone();
        async move {
            let mut answers = Answers::new(seat.batch(calls).await?);
            let vid = Vid(answers.returned::<Dvn::vidCall>()?);
            let quorum = answers.returned::<Dvn::quorumCall>()?;
            let quorum = usize::try_from(quorum).map_err(|_| SeatError::malformed("quorum is beyond all bounds"))?;
            let mut members = Vec::new();
            for candidate in candidates {
                if answers.returned::<Dvn::signersCall>()? {
                    members.push(*candidate);
                }
            }
            Ok(Some(Committee { vid, quorum, members }))
        }
    };
    Ok(panel.agree("committee of the DVN contract", question).await?.value)
}
