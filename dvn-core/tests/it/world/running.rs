//! A DVN that runs, and what a test waits for.

use std::time::Duration;

use dvn_core::{
    Dvn,
    job::{Job, State},
    packet::Claim,
    ports::Store,
};
use tokio_util::sync::CancellationToken;

/// A DVN that runs in the background until dropped or stopped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), dvn_core::RunError>>,
}

impl Running {
    pub(crate) fn start(dvn: Dvn) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(dvn.run(stop.clone()));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends every task where it stands, as a crash would.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Waits until a job stands in a state that `wanted` accepts.
pub(crate) async fn until(store: &Store, claim: Claim, wanted: impl Fn(&Job) -> bool) -> Job {
    for _ in 0..2_000 {
        if let Some(job) = store.jobs.load(claim.job_id()).await.unwrap()
            && wanted(&job)
        {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let job = store.jobs.load(claim.job_id()).await.unwrap();
    panic!("the job never got there: {job:?}");
}

/// Waits until a job stands in this state.
pub(crate) async fn until_state(store: &Store, claim: Claim, state: State) -> Job {
    until(store, claim, |job| job.state == state).await
}

/// Gives the engine time to do what it must not do.
pub(crate) async fn for_a_while() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}
