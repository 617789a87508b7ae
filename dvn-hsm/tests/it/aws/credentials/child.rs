//! A process of its own that opens and signs as it is told on its standard input.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{AwsCredentials, AwsKmsConfig, AwsKmsSigner};
use dvn_testkit::aws_kms::REGION;
use tokio::time;

use super::super::World;
use crate::{clock::Later, errors::story, service_suite::DIGEST};

/// Says where the service is, and so that this process is the child.
const ENDPOINT: &str = "DVN_HSM_TEST_AWS_ENDPOINT";
const KEY: &str = "DVN_HSM_TEST_AWS_KEY";
/// Answers are told from what the test harness prints.
const MARK: &str = "child: ";

/// A child process, which ends with this.
pub(super) struct Child {
    process: std::process::Child,
    told: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// With this environment and nothing of AWS's besides.
    pub(super) fn start(world: &World, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        // Nor of the files of whoever runs the test.
        for file in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            command.env(file, "/dev/null");
        }
        command.args(["--exact", "aws::credentials::child::obeys", "--nocapture", "--test-threads=1"]);
        command.env(ENDPOINT, world.kms.url().as_str()).env(KEY, &world.key.id).envs(variables.iter().copied());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (told, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, told, answers }
    }

    /// What it answers to an order: `ok`, or the error's kind and story.
    pub(super) fn tell(&mut self, order: &str) -> String {
        writeln!(self.told, "{order}").unwrap();
        let mut lines = self.answers.by_ref().lines().map_while(Result::ok);
        lines.find_map(|line| Some(line.split_once(MARK)?.1.to_owned())).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Does nothing where it is run as a test.
#[tokio::test]
async fn obeys() {
    let Ok(endpoint) = env::var(ENDPOINT) else { return };
    let clock = Arc::new(Later::default());
    let config = AwsKmsConfig::in_region(REGION, env::var(KEY).unwrap(), AwsCredentials::default_chain());
    let config = config.and_then(|config| config.with_endpoint(endpoint.parse().unwrap())).unwrap();
    let config = config.with_clock(clock.clone());
    let mut signer = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (order, seconds) = line.split_once(' ').unwrap_or((&line, "0"));
        let seconds = seconds.parse().unwrap();
        let outcome = match (order, &signer) {
            ("open", _) => AwsKmsSigner::open(config.clone()).await.map(|opened| signer = Some(opened)),
            ("sign", Some(signer)) => signer.sign_digest(DIGEST).await.map(drop),
            ("later", _) => {
                clock.0.store(seconds, Ordering::SeqCst);
                Ok(())
            }
            ("pass", _) => {
                pass(Duration::from_secs(seconds)).await;
                Ok(())
            }
            _ => unreachable!("{line}"),
        };
        println!("{MARK}{}", told(outcome));
    }
}

/// Moves the clock that pauses are measured by, and no other.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

fn told(outcome: Result<(), SignError>) -> String {
    match outcome {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}: {}", error.kind(), story(&error)),
    }
}
