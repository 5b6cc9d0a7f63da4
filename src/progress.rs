//! How far a long job has come: a bar on stderr, where somebody watches.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Less than this is read before a bar could be seen, in bytes.
const LONG: u64 = 16 << 20;
/// How often the bar is drawn in a second.
const RATE: u8 = 5;

/// A bar, or none. A clone is the same bar.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that shows nothing.
    pub(crate) fn none() -> Self {
        Progress(ProgressBar::hidden())
    }

    /// A bar for so many bytes; none where nobody watches stderr, or where it would be over at
    /// once.
    pub(crate) fn of(total: u64) -> Self {
        if total < LONG || !io::stderr().is_terminal() {
            return Progress::none();
        }
        let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        let bar =
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(RATE));
        // A template that cannot be read would be seen at once; the built-in style does as well.
        Progress(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// A bar for so many requests, which take their time; none where nobody watches stderr.
    pub(crate) fn of_requests(total: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Progress::none();
        }
        let bar =
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(RATE));
        Progress(match ProgressStyle::with_template("{wide_bar} {pos}/{len} requests {eta} left") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Moves the bar to this place.
    pub(crate) fn set(&self, place: u64) {
        self.0.set_position(place);
    }

    /// A bar for a job of about that length; none where nobody watches stderr.
    pub(crate) fn lasting(time: Duration) -> Self {
        if !io::stderr().is_terminal() {
            return Progress::none();
        }
        let total = Some(millis(time));
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(RATE));
        Progress(match ProgressStyle::with_template("{bar:30} {msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// So much of the time has passed, and this is being done.
    pub(crate) fn at(&self, passed: Duration, doing: &str) {
        self.0.set_position(millis(passed));
        if self.0.message() != doing {
            self.0.set_message(doing.to_owned());
        }
    }

    /// The input, with what is read of it counted.
    pub(crate) fn count<R: Read>(&self, input: R) -> Counted<R> {
        Counted { input, progress: self.clone() }
    }

    /// Does something that writes on the terminal, with the bar out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An input whose bytes move the bar.
pub(crate) struct Counted<R> {
    input: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.progress.0.inc(n as u64);
        Ok(n)
    }
}
