//! What only shows when sections are seen together.

use super::{
    key::Key,
    network::Draft,
    reader::{Given, Place, Reader},
    source::SourceDraft,
    target::TargetDraft,
};

/// Gives a chain that stands in both maps its RPC in both, where it is written once.
pub(super) fn share_rpc(reader: &Reader<'_>, sources: &mut [SourceDraft], targets: &mut [TargetDraft]) {
    for source in sources.iter_mut().map(|it| &mut it.network) {
        let Some(target) = targets.iter_mut().map(|it| &mut it.network).find(|it| it.name == source.name) else {
            continue;
        };
        match (&source.rpc, &target.rpc) {
            (Given::Absent, given) => source.rpc = given.clone(),
            (given, Given::Absent) => target.rpc = given.clone(),
            (Given::Is(a), Given::Is(b)) if a != b => {
                let place = Place { path: format!("{}.rpc", target.place.path), line: target.place.line };
                let message = format!("differs from the one of {}: give it once, in either place", source.place.path);
                reader.problem(&place, message);
            }
            _ => {}
        }
    }
}

/// Numbers, names and keys that must or must not be the same.
pub(super) fn check(reader: &Reader<'_>, sources: &[SourceDraft], targets: &[TargetDraft], hsm: Option<&Key>) {
    let source_networks: Vec<_> = sources.iter().map(|it| &it.network).collect();
    let target_networks: Vec<_> = targets.iter().map(|it| &it.network).collect();
    check_unique(reader, &source_networks);
    check_unique(reader, &target_networks);
    check_agreement(reader, &source_networks, &target_networks);
    check_path(reader, &source_networks, &target_networks);
    check_pushes(reader, &source_networks, &target_networks);
    check_senders(reader, targets, hsm);
}

/// No two chains of one map share a number.
fn check_unique(reader: &Reader<'_>, networks: &[&Draft]) {
    for (index, network) in networks.iter().enumerate() {
        for before in networks.iter().take(index) {
            if let Some(eid) = network.eid.filter(|_| network.eid == before.eid) {
                reader.problem(&network.eid_place, format!("eid {eid} is that of {} as well", before.place.path));
            }
            if let Some(chain_id) = network.chain_id.filter(|_| network.chain_id == before.chain_id) {
                reader.problem(
                    &network.chain_id_place,
                    format!("chain id {chain_id} is that of {} as well", before.place.path),
                );
            }
        }
    }
}

/// A chain that stands in both maps has one name, one eid and one chain id.
fn check_agreement(reader: &Reader<'_>, sources: &[&Draft], targets: &[&Draft]) {
    for target in targets {
        for source in sources {
            let same = [
                source.name == target.name,
                source.eid.is_some() && source.eid == target.eid,
                source.chain_id.is_some() && source.chain_id == target.chain_id,
            ];
            let unread =
                [source.eid.is_none() || target.eid.is_none(), source.chain_id.is_none() || target.chain_id.is_none()];
            if same.contains(&true) && same.contains(&false) && !unread.contains(&true) {
                let message = format!(
                    "must have the same name, eid and chain id as {}, or share none of them",
                    source.place.path
                );
                reader.problem(&target.eid_place, message);
            }
        }
    }
}

/// There is something to do.
fn check_path(reader: &Reader<'_>, sources: &[&Draft], targets: &[&Draft]) {
    if let ([source], [target]) = (sources, targets)
        && source.eid.is_some()
        && source.eid == target.eid
    {
        reader.problem(&target.place, "the only source and the only target are one chain: there is no path to serve");
    }
}

/// Targets are looked at by the clock alone.
fn check_pushes(reader: &Reader<'_>, sources: &[&Draft], targets: &[&Draft]) {
    for target in targets.iter().filter(|target| !sources.iter().any(|source| source.name == target.name)) {
        if let Given::Is(rpc) = &target.rpc
            && rpc.seats.iter().any(|seat| seat.ws.is_some())
        {
            reader.warning(&target.place.below("rpc"), "`ws` has no effect: pushed heads are used for sources alone");
        }
    }
}

/// Whoever gets hold of the account that pays for gas must not hold the attesting key with it.
fn check_senders(reader: &Reader<'_>, targets: &[TargetDraft], hsm: Option<&Key>) {
    let own = targets.iter().filter_map(|target| target.signer.as_ref()?.as_ref());
    let attesting: Vec<_> = own.chain(hsm).collect();
    for (place, sender) in targets.iter().filter_map(|target| target.senders.as_ref()).flatten() {
        if attesting.iter().any(|key| key.is_same(sender)) {
            reader
                .problem_unless_dev(place, "is an attesting key: give the account that pays for gas a key of its own");
        }
    }
}
