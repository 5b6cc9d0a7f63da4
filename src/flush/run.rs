//! A plan as it is done.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k485_link::clock::Clock;
use k485_proto::slot::Slot;
use k485_trace::flush::plan::{self, Loaded, Pair, Step, Wanted};
use k485_trace::flush::session::{Session, Told};

use super::collect::{Args, OnError};
use crate::printer::{Printer, PrinterError};
use crate::speak::{self, REFUSED};

/// What is told at the end, and after an error.
pub(super) const COOL: &str = "TURN_OFF_HEATERS";
/// How many changes may fail one after the other.
const IN_A_ROW: u32 = 3;
/// How long an idle printer is looked for before it is looked again: at first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(2);
/// The most lines that are kept of what a command printed.
const LINES: usize = 200;
/// The exit codes that only this command and `send` have.
const SOME_FAILED: u8 = 3;
const NO_ANSWER: u8 = 5;

/// A plan being done.
pub(super) struct Run<'a> {
    args: &'a Args,
    session: &'a mut Session,
    file: File,
    printer: Printer,
    stop: Arc<AtomicBool>,
    clock: Clock,
    loaded: Loaded,
    /// Whether a command was sent, so that the printer may be hot.
    sent: bool,
    /// Whether it was looked what the printer tells of itself.
    looked: bool,
}

/// Flushes that failed.
struct Failed {
    /// And are not done.
    pairs: Vec<Pair>,
    /// And were made up for on the way to another one, with the error.
    made_up: Vec<(Pair, String)>,
}

/// Why it ends before its end.
#[derive(Debug, thiserror::Error)]
enum End {
    /// It prints, or somebody began a print.
    #[error("the printer is {state}{}", file(.name))]
    Printing { state: String, name: String },
    /// It does not become idle.
    #[error("the printer was not idle within {} s; --idle is how long to wait", .0.as_secs_f64())]
    Busy(Duration),
    /// It is shut down.
    #[error("Klipper is not ready ({state}): {message}")]
    NotReady { state: String, message: String },
    /// It does not know a command.
    #[error(
        "the printer does not know {0}. --load and --unload tell the commands that it has for it"
    )]
    Unknown(String),
    /// A command failed.
    #[error("{script}: {message}")]
    Failed { script: String, message: String },
    #[error(transparent)]
    Printer(#[from] PrinterError),
    #[error("what is done cannot be kept: {0}")]
    File(#[from] std::io::Error),
}

impl End {
    /// Why it ends, with the printer's place before it, once.
    fn at(&self, place: &str) -> String {
        match self {
            End::Printer(error) => error.at(place),
            end => format!("{place}: {end}"),
        }
    }
}

fn file(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" ({name})") }
}

impl<'a> Run<'a> {
    /// Connects.
    pub(super) fn new(
        args: &'a Args,
        session: &'a mut Session,
        file: File,
    ) -> anyhow::Result<Run<'a>> {
        let stop = speak::stop()?;
        let printer = args.printer.open(Arc::clone(&stop))?;
        let (clock, loaded) = (Clock::new(), Loaded::Unknown);
        Ok(Run { args, session, file, printer, stop, clock, loaded, sent: false, looked: false })
    }

    /// Does it all, and says what became of it.
    pub(super) fn all(
        mut self,
        slots: &[Slot],
        wanted: Wanted,
        pairs: &[Pair],
    ) -> anyhow::Result<ExitCode> {
        let result = self.begin(slots, wanted).and_then(|()| self.pairs(pairs));
        let place = self.printer.place().to_string();
        // After these the printer can be told something, and is not somebody else's.
        let told =
            matches!(result, Ok(_) | Err(End::Unknown(_) | End::Failed { .. } | End::File(_)));
        if self.sent && told && !self.args.keep_hot {
            match self.printer.gcode(COOL, Some(crate::printer::SHORT), &mut |_| ()) {
                Ok(done) if done.unknown.is_empty() => eprintln!("the heaters are off"),
                Ok(_) => eprintln!("k485: {place}: no {COOL} there. Look after the heaters!"),
                Err(error) => {
                    let what = error.at(&place);
                    eprintln!("k485: {COOL} failed: {what}. Look after the heaters!");
                }
            }
        }
        let Failed { pairs: failed, made_up } = match result {
            Ok(failed) => failed,
            Err(end) => {
                eprintln!("k485: {}", end.at(&place));
                if self.sent {
                    eprintln!("the same command goes on with what is left");
                    if !told {
                        eprintln!("the heaters were left as they are");
                    }
                }
                return Ok(ExitCode::from(match end {
                    End::Printing { .. } if !self.sent => REFUSED,
                    End::Printer(PrinterError::Timeout { .. }) | End::Busy(_) => NO_ANSWER,
                    _ => 1,
                }));
            }
        };
        for pair in &failed {
            let error = self.session.failed().get(pair).map_or("", String::as_str);
            eprintln!("failed: {pair}: {error}");
        }
        for (pair, error) in &made_up {
            eprintln!("failed at first, made up for since: {pair}: {error}");
        }
        let done = pairs.len() - failed.len();
        let plural = if done == 1 { "" } else { "es" };
        let again = match made_up.len() {
            0 => String::new(),
            count => format!(", {count} of those done at a second attempt"),
        };
        eprintln!("{done} flush{plural} done, {} failed{again}", failed.len());
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }

    /// Looks whether it may begin, and writes down what is in the slots.
    fn begin(&mut self, slots: &[Slot], wanted: Wanted) -> Result<(), End> {
        self.idle()?;
        let host = self.args.printer.host.to_string();
        let line = self.session.plan(self.clock.now(), &host, slots, wanted);
        self.keep(&line)?;
        let status = self.printer.objects(&["box"])?;
        if status["box"].is_object() {
            let line = self.session.status(self.clock.now(), &status["box"]);
            self.keep(&line)?;
        }
        Ok(())
    }

    /// Makes the flushes; gives those that failed, and those that failed and were made up for on the
    /// way to another one.
    fn pairs(&mut self, pairs: &[Pair]) -> Result<Failed, End> {
        let mut failed: Vec<(Pair, String)> = Vec::new();
        let mut in_a_row = 0;
        for (number, pair) in pairs.iter().enumerate() {
            // It was made on the way to another one.
            if self.session.done().contains(pair) {
                continue;
            }
            match self.pair(number, pairs.len(), *pair) {
                Ok(()) => in_a_row = 0,
                Err(End::Failed { script, message })
                    if self.args.on_error == OnError::Skip && in_a_row + 1 < IN_A_ROW =>
                {
                    eprintln!("k485: {script}: {message}; going on with the next one");
                    in_a_row += 1;
                    failed.push((*pair, message));
                }
                Err(end) => return Err(end),
            }
        }
        let is_done = |(pair, _): &(Pair, String)| self.session.done().contains(pair);
        let (made_up, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_done);
        Ok(Failed { pairs: failed.into_iter().map(|(pair, _)| pair).collect(), made_up })
    }

    fn pair(&mut self, number: usize, of: usize, pair: Pair) -> Result<(), End> {
        for step in plan::steps(self.loaded, pair) {
            self.idle()?;
            eprintln!("[{}/{of}] {pair}: {}", number + 1, self.args.script(step));
            self.step(step, pair)?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step, wanted: Pair) -> Result<(), End> {
        let pair = match step {
            Step::Load { pair, .. } => pair,
            Step::Unload => None,
        };
        if let (Some(pair), true) = (pair, self.args.mark) {
            let name = pair.to_string().replace(" > ", "_");
            let mark = format!("TRACE_MARK NAME=flush_{name}");
            self.printer.gcode(&mark, Some(crate::printer::SHORT), &mut |_| ())?;
        }
        let script = self.args.script(step);
        let told = Told { script: &script, pair };
        let line = self.session.call(self.clock.now(), &told);
        self.keep(&line)?;
        self.loaded = Loaded::Unknown;
        self.sent = true;
        let began = Instant::now();
        let mut output = Vec::new();
        let timeout = self.args.printer.timeout();
        let result = self.printer.gcode(&script, Some(timeout), &mut |line| {
            if output.len() < LINES {
                output.push(line.to_owned());
            }
        });
        let took = result.as_ref().map_or_else(|_| began.elapsed(), |done| done.took);
        let duration = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let result = match result {
            Ok(done) => match done.unknown.into_iter().next() {
                Some(name) => Err(End::Unknown(name)),
                None => Ok(()),
            },
            Err(PrinterError::Api { message, .. }) => {
                Err(End::Failed { script: script.clone(), message })
            }
            Err(error) => Err(error.into()),
        };
        let error = result.as_ref().err().map(|end| match end {
            End::Failed { message, .. } => message.clone(),
            end => end.to_string(),
        });
        let outcome = error.as_deref().map_or(Ok(()), Err);
        let line = self.session.end(self.clock.now(), &told, duration, &output, outcome);
        self.keep(&line)?;
        match result {
            Ok(()) => {
                self.loaded = step.leaves();
                eprintln!("        {:.1} s", took.as_secs_f64());
                Ok(())
            }
            Err(End::Failed { script, message }) => {
                // Of the flush that was wanted, whatever step of it failed.
                if pair != Some(wanted) {
                    let told = Told { script: &script, pair: Some(wanted) };
                    let line = self.session.call(self.clock.now(), &told);
                    self.keep(&line)?;
                    let line = self.session.end(self.clock.now(), &told, 0, &[], Err(&message));
                    self.keep(&line)?;
                }
                // A printer that is shut down will not do the next one either.
                self.ready()?;
                Err(End::Failed { script, message })
            }
            Err(end) => Err(end),
        }
    }

    /// Writes lines down, at once: the next thing may be the end.
    fn keep(&mut self, lines: &str) -> Result<(), End> {
        self.file.write_all(lines.as_bytes())?;
        Ok(())
    }

    fn ready(&mut self) -> Result<(), End> {
        let state = self.printer.state()?;
        if state.name == "ready" {
            return Ok(());
        }
        Err(End::NotReady { state: state.name, message: state.message })
    }

    /// Waits until the printer does nothing.
    fn idle(&mut self) -> Result<(), End> {
        let most = Duration::from_nanos(self.args.idle.0.unsigned_abs());
        let began = Instant::now();
        let mut look = FIRST_LOOK;
        let mut told = false;
        loop {
            self.ready()?;
            let all = self.printer.objects(&["print_stats", "idle_timeout"])?;
            self.blind(&all);
            let text = |object: &str, name: &str| all[object][name].as_str().unwrap_or_default();
            let state = text("print_stats", "state");
            if matches!(state, "printing" | "paused") {
                let name = text("print_stats", "filename").to_owned();
                return Err(End::Printing { state: state.to_owned(), name });
            }
            if text("idle_timeout", "state") != "Printing" {
                return Ok(());
            }
            if began.elapsed() >= most {
                return Err(End::Busy(most));
            }
            if !told && look == LAST_LOOK {
                eprintln!("the printer is at work; waiting until it is idle");
                told = true;
            }
            self.sleep(look.min(most.saturating_sub(began.elapsed())))?;
            look = (look * 2).min(LAST_LOOK);
        }
    }

    /// Says once what the printer does not tell, so that it is not looked at.
    fn blind(&mut self, all: &serde_json::Value) {
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        let place = self.printer.place();
        if all["print_stats"].is_null() {
            eprintln!(
                "k485: {place}: it has no print_stats (no [virtual_sdcard] in its configuration), so \
                 that nobody can tell whether it prints: see that it does not"
            );
        }
        if all["idle_timeout"].is_null() {
            eprintln!(
                "k485: {place}: it has no idle_timeout, so that it is not waited for between changes"
            );
        }
    }

    /// Sleeps, unless it should stop.
    fn sleep(&self, time: Duration) -> Result<(), End> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.stop.load(Ordering::SeqCst) {
                return Err(PrinterError::Stopped.into());
            }
            std::thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }
}
