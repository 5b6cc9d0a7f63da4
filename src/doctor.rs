//! `k485 doctor`: what is wrong with a live bus. It listens: what it opens cannot write.

mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use k485_link::{BAUD, Clock, Event, Hear, LineErrors, Listener};
use k485_sniffer::doctor::Doctor;
use k485_sniffer::doctor::hunt::DWELL;

use crate::baud;
use crate::dialect::DialectArg;
use crate::length::nanos;
use crate::output;
use crate::progress::Progress;

/// How long a read waits: the longest that Ctrl-C takes to end it.
const WAIT: Duration = Duration::from_millis(50);
/// After this silence an open frame gets no more bytes.
const SILENCE: Duration = Duration::from_millis(150);
/// Bytes of one read.
const CHUNK: usize = 32 * 1024;

/// What `k485 doctor` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It listens only; the port is opened for reading. It tries one speed after the other, and says \
whether the line is silent, swapped, floating, not biased, echoing, perhaps CAN, or well; who asks, \
who answers, who never does. A speed that is found late is listened to for a third of the time more. \
Ctrl-C ends it with what is known by then. docs/doctor.md says what each finding means.

Exit codes: 0 the line is well; 1 it could not listen; 2 wrong command line; 4 something is wrong.

Examples:
  k485 doctor /dev/ttyUSB0
  k485 doctor /dev/ttyUSB0 --for 1m
  k485 doctor /dev/ttyUSB0 --to json | jq '.findings[].title'")]
pub(crate) struct Args {
    /// A serial port or pseudo-terminal
    port: PathBuf,
    /// How long to listen in all
    #[arg(long = "for", value_name = "TIME", default_value = "15s", value_parser = time)]
    time: Duration,
    /// The speed that you expect; it is tried first
    #[arg(short, long, default_value_t = BAUD, value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    #[command(flatten)]
    dialect: DialectArg,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// For people
    Text,
    /// JSON (docs/doctor.md)
    Json,
}

/// A length of time of the command line.
fn time(text: &str) -> Result<Duration, String> {
    let nanos = nanos(text).and_then(|nanos| u64::try_from(nanos).ok());
    match nanos.map(Duration::from_nanos) {
        Some(time) if time >= Duration::from_secs(1) => Ok(time),
        Some(_) => Err("a second is the least".to_owned()),
        None => Err("write a time with its unit: 15s, 1m30s".to_owned()),
    }
}

/// Listens, and says what is wrong.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = args.dialect.load()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
        .context("cannot watch for Ctrl-C")?;
    let clock = Clock::new();
    let mut port = Listener::open(&args.port, args.baud, clock)?;
    let name = Hear::name(&port).to_owned();
    eprintln!(
        "listening on {name} for {:.0} s, read-only; Ctrl-C ends it sooner",
        args.time.as_secs_f64()
    );
    // All speeds once in nine tenths of the time.
    let dwell = (args.time.mul_f64(0.075)).min(DWELL);
    let mut doctor = Doctor::new(Arc::from(name.as_str()), args.baud, dwell, dialect);
    let began = Instant::now();
    let progress = Progress::lasting(args.time);
    let result = listen(&mut port, &mut doctor, args.time, &clock, &stop, &progress);
    progress.end();
    result?;
    let report = doctor.finish(began.elapsed());
    let mut out = output::open(None)?.out;
    match args.to {
        To::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        To::Text => text::write(&report, &mut out)?,
    }
    out.flush()?;
    Ok(if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::from(4) })
}

/// Listens where the doctor says.
fn listen(
    port: &mut dyn Hear,
    doctor: &mut Doctor,
    time: Duration,
    clock: &Clock,
    stop: &AtomicBool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut buf = vec![0; CHUNK];
    let began = Instant::now();
    let mut end = began + time;
    let (mut until, mut at) = (began, 0);
    let mut heard = began;
    let mut sure = false;
    // What the driver counts at wrong speeds is no fault of the line.
    let mut counted = None;
    while !stop.load(Ordering::SeqCst) && Instant::now() < end {
        if doctor.is_sure() && !sure {
            sure = true;
            // Enough for a few periods of the polls.
            end = end.max(Instant::now() + time / 3);
            counted = port.line_errors();
        } else if !sure && Instant::now() >= until {
            let Some(next) = doctor.next_try() else { continue };
            if !baud::set(port, next.baud)? {
                doctor.cannot(next.baud);
                continue;
            }
            (at, until) = (next.baud, Instant::now() + next.time);
        }
        let now = Instant::now();
        let doing = if sure {
            format!("listening at {at} baud")
        } else {
            format!("looking for the speed: {at} baud")
        };
        progress.at(now.duration_since(began), &doing);
        let left = if sure { end } else { until.min(end) }.saturating_duration_since(now);
        match port.read(&mut buf, left.min(WAIT))? {
            Event::Bytes { n, time } => {
                heard = Instant::now();
                doctor.heard(at, time, &buf[..n]);
            }
            Event::Idle if heard.elapsed() >= SILENCE => doctor.silence(clock.now()),
            Event::Idle => {}
            Event::Closed => {
                bail!("{} is gone: unplugged, or its other end was closed", port.name())
            }
        }
    }
    if let Some(errors) = port.line_errors() {
        doctor.line_errors(since(errors, counted.filter(|_| sure)));
    }
    Ok(())
}

/// What was counted after `before`.
fn since(errors: LineErrors, before: Option<LineErrors>) -> LineErrors {
    let before = before.unwrap_or_default();
    LineErrors {
        framing: errors.framing.saturating_sub(before.framing),
        parity: errors.parity.saturating_sub(before.parity),
        overrun: errors.overrun.saturating_sub(before.overrun),
        buffer_overrun: errors.buffer_overrun.saturating_sub(before.buffer_overrun),
        breaks: errors.breaks.saturating_sub(before.breaks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert!(time("15").unwrap_err().contains("unit"));
        assert!(time("1ms").unwrap_err().contains("least"));
    }
}
