//! Waiting for a signalled process to stand still.
//!
//! A stop signal is sent in no time and obeyed when the process is next scheduled: on a busy machine its other threads
//! go on answering for a while.

use std::io;

/// Returns when all threads of the process are stopped.
#[cfg(target_os = "linux")]
pub(crate) fn wait(process: u32) -> io::Result<()> {
    use std::{thread, time::Duration};

    const POLL: Duration = Duration::from_millis(1);
    const POLLS: u32 = 30_000;

    for _poll in 0..POLLS {
        if is_stopped(process)? {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the process does not stop"))
}

/// There is no portable way to know.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait(_process: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_stopped(process: u32) -> io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
        // One that has ended does not go on either.
        if !matches!(state(&stat), Some('T' | 'Z' | 'X')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state is the first field after the name, which stands in parentheses and may hold some itself (proc(5)).
#[cfg(target_os = "linux")]
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        assert_eq!(state("12 (a) T (b) S 1 12"), Some('S'));
        assert_eq!(state("12 (anvil) T 1 12"), Some('T'));
        assert_eq!(state(""), None);
    }

    #[test]
    fn this_process_is_not_stopped() {
        assert!(!is_stopped(std::process::id()).unwrap());
    }
}
