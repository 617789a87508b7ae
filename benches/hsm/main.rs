//! Signatures per second of each device, and how long one takes, against what the device gives without us in the same run.
//! Every row is measured in turns with its raw rate, so that whatever else the machine does falls on both.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a benchmark prints and stops when something is off"
)]

mod clouds;
mod devices;
mod measure;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use dvn_testkit::{keys, softhsm::SoftHsm};

use self::{
    devices::Device,
    measure::{Row, compare},
};

/// Set for the process that measures: SoftHSM takes its configuration from the environment it was started with.
const FOLDER: &str = "DVN_BENCH_FOLDER";

const IN_FLIGHT: [usize; 4] = [1, 2, 4, 8];

fn main() {
    if let Some(folder) = env::var_os(FOLDER) {
        return measure_all(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child.env(FOLDER, folder.path());
    match SoftHsm::create(folder.path(), devices::PIN, &[(devices::KEY, &keys::signer(0))]) {
        Ok(token) => drop(child.envs(token.environment())),
        Err(error) => println!("without pkcs11: {error}"),
    }
    assert!(child.status().unwrap().success());
}

/// A new device is one line here.
fn measure_all(folder: &Path) {
    measure(&devices::local());
    if folder.join("softhsm2.conf").is_file() {
        measure(&devices::pkcs11());
        measure(&devices::pkcs11_over_a_network(folder));
    }
    for cloud in [clouds::aws_kms, clouds::gcp_kms, clouds::aliyun_kms] {
        measure(&cloud());
    }
}

fn measure(device: &Device) {
    let aim = device.aim.map(|percent| format!(", the aim is {percent} %")).unwrap_or_default();
    println!("\n{}, raw is {}{aim}", device.name, device.raw_is);
    println!("  in flight  signatures/s       p50       p99   raw: per second       p50       p99   of raw");
    for in_flight in IN_FLIGHT {
        let Row { ours, raw, percent } = compare(in_flight, || (device.open)(in_flight));
        let [ours, raw] =
            [ours, raw].map(|side| format!("{:>12.0}  {:>8.0?}  {:>8.0?}", side.rate, side.p50, side.p99));
        println!("  {in_flight:>9}  {ours}      {raw}  {percent:>5.0} %");
    }
}
