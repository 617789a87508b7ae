//! A whole node whose store holds so many jobs.

use std::{env, fs, time::Duration};

use dvn_benches::proc::Sample;
use dvn_core::ids::{BlockNumber, Eid};
use dvn_store::Sqlite;
use dvn_testkit::{
    devnet::{ChainSpec, Devnet},
    node::{NodeConfig, NodeProcess, free_port},
    toolchain::Toolchain,
};

use super::{COUNTS, jobs};

/// How long a node is looked at.
const LOOK: Duration = Duration::from_secs(15);

pub(crate) async fn all() {
    let toolchain = Toolchain::install(|_| {}).unwrap();
    let chains = Devnet::builder().chain(ChainSpec::ethereum()).chain(ChainSpec::conflux());
    let devnet = chains.start(&toolchain).await.unwrap();
    println!("\nwhole node, {LOOK:?} each; mining a block a second");
    println!("{:>9}  {:<28}{:>10}{:>10}{:>12}", "jobs", "", "MB", "most MB", "CPU ms/s");
    for count in COUNTS {
        one(&devnet, count, "wait for a far block", jobs::NEVER).await;
    }
    for count in COUNTS {
        one(&devnet, count, "all looked at, not there", BlockNumber(1)).await;
    }
}

async fn one(devnet: &Devnet, count: u64, what: &str, until: BlockNumber) {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeConfig::new(folder.path().join("data"), free_port().unwrap());
    let config = folder.path().join("config.yaml");
    fs::write(&config, node.for_devnet(devnet, &["conflux"]).unwrap()).unwrap();
    let binary = env::current_exe().unwrap();
    let log = folder.path().join("node.log");
    let eid = |name| Eid(devnet.chain(name).unwrap().eid());
    let start = async || {
        let mut process = NodeProcess::spawn(&binary, &config, &node.environment(), node.port, &log).await.unwrap();
        if let Err(error) = process.until_ready(Duration::from_secs(60)).await {
            println!("{error}: {}", process.log().await.unwrap());
        }
        process
    };
    // The first start begins the journal.
    start().await.stop().await.unwrap();
    let sqlite = Sqlite::open(&node.data_dir).await.unwrap();
    jobs::fill(&sqlite.store(), (eid("ethereum"), eid("conflux")), count, until).await;
    sqlite.close().await;
    drop(sqlite);
    let process = start().await;
    let id = process.id().unwrap();
    let (before, started) = (Sample::read(id).unwrap(), std::time::Instant::now());
    while started.elapsed() < LOOK {
        devnet.chain("ethereum").unwrap().anvil().mine(1).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let after = Sample::read(id).unwrap();
    let used = after.time_since(&before).as_secs_f64() * 1_000.0 / started.elapsed().as_secs_f64();
    let [now, most] = [after.now_kib, after.peak_kib].map(|kib| kib / 1_024);
    println!("{count:>9}  {what:<28}{now:>10}{most:>10}{used:>12.0}");
    process.stop().await.unwrap();
}
