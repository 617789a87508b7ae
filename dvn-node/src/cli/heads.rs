//! A chain's head is known to the running node alone; its store holds what follows from it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde_json::Value;

use crate::{config::Config, http::BackfillStatus};

/// What a running node last saw of one chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) latest: Option<u64>,
    pub(super) settled: Option<u64>,
    pub(super) backfill: Option<BackfillStatus>,
    pub(super) error: Option<String>,
}

/// Asks the node that runs with this configuration for the heads of its chains, by eid; nothing where none answers.
pub(super) async fn ask(config: &Config) -> Option<BTreeMap<u32, Head>> {
    let mut address = config.service.listen;
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().ok()?;
    let answer: Value = client.get(format!("http://{address}/status.json")).send().await.ok()?.json().await.ok()?;
    // Another node may have the port; its heads are not ours.
    (answer.get("name")?.as_str()? == config.service.name).then(|| parse(&answer)).flatten()
}

fn parse(answer: &Value) -> Option<BTreeMap<u32, Head>> {
    let head = |chain: &Value| {
        let number = |key: &str| chain.get(key).and_then(Value::as_u64);
        let error = chain.get("error").and_then(Value::as_str).map(str::to_owned);
        let backfill = chain.get("backfill").and_then(|it| {
            Some(BackfillStatus::new(it.get("left")?.as_u64()?, it.get("seconds").and_then(Value::as_u64)))
        });
        let head = Head { latest: number("latest"), settled: number("settled"), backfill, error };
        Some((u32::try_from(number("eid")?).ok()?, head))
    };
    Some(answer.get("chains")?.as_array()?.iter().filter_map(head).collect())
}
