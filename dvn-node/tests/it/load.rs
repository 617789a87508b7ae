//! The load bench on a few packets, so that the command cannot rot. No figure of it is judged here.

use dvn_benches::load::{self, Options};
use dvn_testkit::toolchain::Toolchain;

/// What every table of a run says.
const ROWS: [&str; 12] = [
    "sent",
    "attested",
    "rate",
    "signable to broadcast",
    "signable to included",
    "batches",
    "gas a packet",
    "naive loop, blocks at once",
    "limit, blocks at once",
    "CPU of dvn-node-1",
    "memory of dvn-node-1",
    "calls, idle, source-1",
];

fn options(folder: &std::path::Path) -> Options {
    Options {
        packets: 20,
        rate: 0,
        per_transaction: None,
        sources: 1,
        destinations: 1,
        batch: 10,
        seats: 2,
        quorum: 1,
        nodes: None,
        class: "ethereum".to_owned(),
        polled: false,
        block_time: 1,
        idle: 1,
        naive: 1,
        limit: 20,
        hold: None,
        patience: 60,
        json: false,
        node: env!("CARGO_BIN_EXE_dvn-node").into(),
        folder: folder.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_bench_fills_every_row_and_finds_each_packet_once() {
    if Toolchain::for_test("the load bench").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = load::run(&options(folder.path()), &|_| {}).await.unwrap();
    report.verdict().unwrap();
    let table = report.table();
    for row in ROWS {
        assert!(table.lines().any(|line| line.starts_with(row)), "{row} is not in\n{table}");
    }
    let counts = report.counts.unwrap();
    assert_eq!((counts.sent, counts.attested, counts.repeated, counts.foreign), (20, 20, 0, 0));
    assert!(report.load_calls.iter().all(|chain| chain.calls > 0 && chain.blocks > 0), "{table}");
    assert!(report.json().contains("\"gas_per_packet\""));
    let lost = load::Counts { attested: 19, ..counts };
    let twice = load::Counts { repeated: 1, ..counts };
    for counts in [lost, twice] {
        let mut wrong = report.clone();
        wrong.counts = Some(counts);
        assert!(wrong.verdict().is_err());
    }
}
