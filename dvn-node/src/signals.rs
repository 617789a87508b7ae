//! The operating system's word to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM and SIGINT cancel. From this call on they no longer end the process by themselves; a second one
/// does, with the shell's usual code, for an operator who cannot wait.
///
/// # Errors
/// Whatever the operating system says about the handlers.
pub fn stop_on_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut wait = async || {
            tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            }
        };
        wait().await;
        tracing::info!("stopping: finishing what is in flight; once more stops at once");
        token.cancel();
        std::process::exit(wait().await);
    });
    Ok(stop)
}
