//! RPC calls of the nodes, from their own `/metrics`.

use std::collections::BTreeMap;

use super::{
    LoadError,
    figures::{Calls, MethodCalls},
    process::Running,
    stage::Stage,
};

const FAMILY: &str = "dvn_rpc_requests_total{";

/// Calls by chain and method, of all nodes and seats together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<(String, String), u64>);

impl Tally {
    pub(super) async fn read(nodes: &[Running]) -> Result<Self, LoadError> {
        let mut tally = Self::default();
        for node in nodes {
            let answer = node.fetch("metrics").await;
            let silent = || LoadError::Incomplete(format!("{} does not tell its metrics", node.name));
            tally.add(&answer.ok_or_else(silent)?.1);
        }
        Ok(tally)
    }

    fn add(&mut self, metrics: &str) {
        for line in metrics.lines().filter_map(|line| line.strip_prefix(FAMILY)) {
            let Some((labels, count)) = line.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                let value = labels.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix("=\""));
                value.unwrap_or_default().trim_end_matches('"').to_owned()
            };
            let total = self.0.entry((label("chain"), label("method"))).or_default();
            *total = total.saturating_add(count.parse().unwrap_or_default());
        }
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |key| before.0.get(key).copied().unwrap_or_default();
        let since = self.0.iter().map(|(key, count)| (key.clone(), count.saturating_sub(earlier(key))));
        Self(since.filter(|(_, count)| *count > 0).collect())
    }

    /// For each chain and method, how many of one seat in one block of that chain.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn per_block(
        &self,
        stage: &Stage,
        from: &BTreeMap<String, u64>,
        to: &BTreeMap<String, u64>,
    ) -> Vec<Calls> {
        let askers = stage.options.seats.saturating_mul(stage.options.node_count()).max(1) as f64;
        let chains = stage.devnet.chains().iter().map(|chain| {
            let height = |heights: &BTreeMap<String, u64>| heights.get(chain.name()).copied().unwrap_or_default();
            let blocks = height(to).saturating_sub(height(from));
            let per = |calls: u64| calls as f64 / blocks.max(1) as f64 / askers;
            let ours = self.0.iter().filter(|((name, _), _)| name == chain.name());
            let methods: Vec<_> = ours
                .map(|((_, method), calls)| MethodCalls {
                    method: method.clone(),
                    calls: *calls,
                    per_seat_and_block: per(*calls),
                })
                .collect();
            let calls = methods.iter().map(|it| it.calls).fold(0, u64::saturating_add);
            Calls { chain: chain.name().to_owned(), blocks, calls, per_seat_and_block: per(calls), methods }
        });
        chains.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_chain_and_method_whatever_their_outcome() {
        let mut tally = Tally::default();
        tally.add(
            "# HELP x\ndvn_rpc_requests_total{chain=\"a\",seat=\"s:1\",method=\"eth_call\",status=\"ok\"} 3\n\
             dvn_rpc_requests_total{chain=\"a\",seat=\"s:1\",method=\"eth_call\",status=\"Timeout\"} 1\n\
             dvn_rpc_requests_total{chain=\"b\",seat=\"s:1\",method=\"eth_call\",status=\"ok\"} 5\nother{} 2\n",
        );
        let key = |chain: &str| (chain.to_owned(), "eth_call".to_owned());
        assert_eq!(tally.0, BTreeMap::from([(key("a"), 4), (key("b"), 5)]));
        let mut later = tally.clone();
        later.add("dvn_rpc_requests_total{chain=\"a\",seat=\"s:1\",method=\"eth_call\",status=\"ok\"} 2");
        assert_eq!(later.since(&tally).0, BTreeMap::from([(key("a"), 2)]));
    }
}
