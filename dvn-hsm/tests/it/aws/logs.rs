//! What the SDK writes to the log is not ours, and may be switched on by whoever looks for a fault.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use dvn_hsm::{AwsCredentials, AwsKmsSigner};
use dvn_testkit::aws_kms::Fault;
use tracing_subscriber::filter::LevelFilter;

use super::{World, access_key};
use crate::{
    child::{alone, block_on},
    errors::assert_silent,
    service_suite::sign,
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In a process of its own: while a process has one subscriber, whichever thread reaches a call site first decides for all whether
/// it is logged, and the other tests' threads have no subscriber.
#[test]
fn no_level_of_the_log_shows_a_secret() {
    alone("aws::logs::no_level_of_the_log_shows_a_secret", || {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).init();
        let token = "token-314159";
        block_on(sign_and_be_refused(token));
        let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains("TRACE") && told.contains("TrentService.Sign"), "the SDK tells what it does");
        assert_silent(&[told], &[dvn_testkit::aws_kms::SECRET_ACCESS_KEY, "secret-271828", token]);
    });
}

async fn sign_and_be_refused(token: &str) {
    let world = World::new();
    let signer = AwsKmsSigner::open(world.config_of(&world.key.id, access_key())).await.unwrap();
    world.kms.fail_times(1, Fault::throttling());
    assert_eq!(sign(&signer).await, Ok(()));
    let lent = AwsCredentials::lent_key("AKIANOBODY".into(), "secret-271828".into(), token.into());
    AwsKmsSigner::open(world.config_of(&world.key.id, lent)).await.unwrap_err();
}
