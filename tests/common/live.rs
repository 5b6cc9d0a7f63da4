//! The lines of a running binary, as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Far longer than anything takes; a test that waits so long fails.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The lines of a pipe as they come; the channel ends with the pipe.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The next line; `None` when there are no more.
#[track_caller]
pub(crate) fn next(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(LONG) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("no line within {LONG:?}"),
    }
}
