//! `k485 send`: a request on a live bus, guarded, and its reply.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use k485_proto::address::Class;
use k485_proto::dialect::Dialect;
use k485_proto::direction::Source;
use k485_proto::effect::Effect;
use k485_proto::exchange::Seen;
use k485_proto::frame::{Frame, FrameError};
use k485_proto::host::ask::{Answer, Ended};
use k485_proto::host::{self, Policy};
use k485_proto::message::kind::hex_bytes;
use k485_proto::record::Time;
use k485_proto::status::Status;
use k485_sniffer::speak::{SpeakError, Speaker};

use crate::decode::ViewArgs;
use crate::dialect::DialectArg;
use crate::encode;
use crate::length::Length;
use crate::speak::{self, ERROR_STATUS, NO_REPLY, REFUSED, SpeakArgs};
use crate::view::View;

/// What `k485 send` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is sent without --transmit. What is more than a pure read needs --allow with its class too; \
`k485 explain FUNCTION` tells it. Before the first request the port is listened to; nothing is sent \
while a box is seen feeding, and each request waits until the bus is quiet. More: docs/send.md.

Time-outs and retries are those of the vendor's host; --timeout and --sends change them.

Exit codes: 0 answered OK; 1 failed; 2 wrong command line; 4 answered with a STATUS other than OK; \
5 no reply; 6 refused, nothing was sent. Of several requests the worst counts.

Examples:
  k485 send /dev/ttyUSB0 --transmit box1 GET_BUFFER_STATE
  k485 send /dev/ttyUSB0 --transmit box1 MEASURING_WHEEL --every 1s --to json
  k485 send /dev/ttyUSB0 --transmit --allow setting box1 SET_BOX_MODE mode=idle
  k485 send /dev/ttyUSB0 --transmit --allow clear --hex F70103FF0A5C")]
pub(crate) struct Args {
    #[command(flatten)]
    speak: SpeakArgs,
    /// box1..box4, motor0..motor8, belt1, belt2, rack, unassigned, all, a byte such as 0x41, or a
    /// device of the dialect
    #[arg(required_unless_present = "hex")]
    device: Option<String>,
    /// The function's name, or its code in hex such as 10 or 0x10
    #[arg(required_unless_present = "hex")]
    function: Option<String>,
    /// The fields; those with a default may be left out
    #[arg(value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// Send this frame instead, whole or bare (without F7 and CRC)
    #[arg(long, value_name = "HEX", conflicts_with_all = ["device", "function", "fields"])]
    hex: Option<String>,
    /// With --hex: send the bytes as they are, whatever they are
    #[arg(long, requires = "hex", conflicts_with_all = ["device", "function", "fields"])]
    raw: bool,
    /// What may be done beside pure reads: clear, motion, setting, firmware
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = class)]
    allow: Vec<Effect>,
    /// Send again and again, so often
    #[arg(long, value_name = "TIME", value_parser = positive)]
    every: Option<Length>,
    /// Send so many times; with --every until Ctrl-C where left out, else once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: Option<u64>,
    /// How long to wait for the reply to each transmission
    #[arg(long, value_name = "TIME", value_parser = positive)]
    timeout: Option<Length>,
    /// How often to transmit a request that is not answered
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    sends: Option<u8>,
    #[command(flatten)]
    dialect: DialectArg,
    #[command(flatten)]
    view: ViewArgs,
}

/// The class of a word.
pub(crate) fn class(text: &str) -> Result<Effect, String> {
    text.parse::<Effect>().map_err(|error| error.to_string())
}

/// A length of time that is one.
pub(crate) fn positive(text: &str) -> Result<Length, String> {
    let length: Length = text.parse()?;
    if length.0 < Time::MILLISECOND { Err("1ms is the least".to_owned()) } else { Ok(length) }
}

/// Sends, and shows what comes.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = args.dialect.load()?;
    let request = match (&args.hex, &args.device, &args.function) {
        (Some(hex), ..) => of_hex(hex, args.raw)?,
        (None, Some(device), Some(function)) => {
            let device = match dialect.address(device) {
                Ok(device) => device,
                Err(error) => return encode::refuse(error.to_string()),
            };
            encode::request(dialect, device, function, &args.fields)?
        }
        // The command line's parser demands them.
        _ => bail!("name a device and a function, or give --hex"),
    };
    let mut guard = args.speak.guard();
    guard.allow.extend(&args.allow);
    // Before the port is opened: to open one can be heard on the wire.
    if let Err(refusal) = guard.check_bytes(&request, dialect) {
        return speak::end(refusal.into());
    }
    let view = args.view.open(None)?;
    let speaker = args.speak.open(dialect, guard, speak::stop()?)?;
    let policy = policy(args, &request, dialect);
    let mut send = Send { speaker, view, request, policy, dialect, counts: Counts::default() };
    send.all(args)
}

/// A whole frame, a bare one, or, raw, any bytes.
fn of_hex(hex: &str, raw: bool) -> anyhow::Result<Vec<u8>> {
    let digits: String = hex.split_whitespace().collect();
    let bytes = hex_bytes(&digits).map_err(|what| anyhow!("--hex: expected {what}"))?;
    if bytes.is_empty() {
        bail!("--hex: there is nothing to send");
    }
    if raw {
        return Ok(bytes);
    }
    match Frame::from_bytes(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) if Frame::is_bare(&bytes) => Ok(Frame::from_bare(&bytes)?),
        Err(FrameError::NoHead { .. }) => bail!(
            "--hex: neither a frame (F7 ADDR LEN STATUS FUNC DATA CRC) nor a bare one (without F7 \
             and CRC). To send it as it is, add --raw"
        ),
        Err(error) => bail!("--hex: {error}. To send it as it is, add --raw"),
    }
}

/// The policy of the vendor's host, with what the command line says otherwise.
fn policy(args: &Args, request: &[u8], dialect: &Dialect) -> Option<Policy> {
    if args.timeout.is_none() && args.sends.is_none() {
        return None;
    }
    let mut policy = match Frame::from_bytes(request) {
        Ok(frame) => host::policy(&frame, dialect),
        Err(_) => Policy { timeout_ms: 2_000, sends: 1 },
    };
    if let Some(Length(nanos)) = args.timeout {
        policy.timeout_ms = u32::try_from(nanos / Time::MILLISECOND).unwrap_or(u32::MAX);
    }
    policy.sends = args.sends.unwrap_or(policy.sends);
    Some(policy)
}

struct Send {
    speaker: Speaker,
    view: View,
    request: Vec<u8>,
    policy: Option<Policy>,
    dialect: &'static Dialect,
    counts: Counts,
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    answered: u64,
    errors: u64,
    silent: u64,
    /// Not sent, since the guard kept it.
    skipped: u64,
    /// Least, sum and most, in nanoseconds.
    latency: Option<(i64, i128, i64)>,
}

impl Send {
    fn all(&mut self, args: &Args) -> anyhow::Result<ExitCode> {
        let rounds = args.repeat.or(args.every.is_none().then_some(1));
        let mut due: Option<Time> = None;
        let mut told: Option<String> = None;
        let mut round = 0;
        let result = loop {
            match self.once() {
                Ok(()) => told = None,
                Err(Failure::Speak(error)) if args.every.is_some() && waits(&error) => {
                    // It is over some time; until then it is said once for each reason.
                    self.counts.skipped += 1;
                    let reason = reason(&error);
                    if told.as_ref() != Some(&reason) {
                        eprintln!("k485: {error}");
                    }
                    told = Some(reason);
                }
                Err(failure) => break Err(failure),
            }
            round += 1;
            if rounds.is_some_and(|rounds| round >= rounds) {
                break Ok(());
            }
            if let Some(Length(every)) = args.every {
                // From the end of the first on, since that has listened first; what was missed is
                // not made up for.
                let now = self.speaker.now();
                let next = Time(due.unwrap_or(now).0.saturating_add(every)).max(now);
                due = Some(next);
                if let Err(error) = self.speaker.listen_until(next, &mut |_| ()) {
                    break Err(Failure::Speak(error));
                }
            }
        };
        if rounds != Some(1) {
            eprintln!("{}", self.counts);
        }
        match result {
            Ok(()) => Ok(self.counts.code()),
            Err(Failure::Speak(SpeakError::Stopped)) if self.counts.requests > 0 => {
                Ok(self.counts.code())
            }
            Err(Failure::Speak(error)) => speak::end(error),
            Err(Failure::Output(error)) => Err(error.into()),
        }
    }

    fn once(&mut self) -> Result<(), Failure> {
        let view = &mut self.view;
        let mut output = Ok(());
        let is_frame = Frame::from_bytes(&self.request).is_ok();
        let mut observe = |seen: &Seen| {
            if output.is_ok() && (!is_frame || is_own(seen)) {
                output = view.show(seen).and_then(|()| view.flush());
            }
        };
        let ended = self.speaker.ask(&self.request, self.policy, &mut observe);
        if !is_frame {
            self.speaker.finish(&mut observe);
        }
        output.map_err(Failure::Output)?;
        let ended = ended.map_err(Failure::Speak)?;
        self.counts.requests += 1;
        match ended {
            Ended::Answered(answer) => self.answered(&answer),
            Ended::NoReply { attempts } => {
                self.counts.silent += 1;
                if !is_frame {
                    eprintln!("no reply to {attempts} transmissions");
                }
            }
            Ended::NotExpected => {}
        }
        Ok(())
    }

    fn answered(&mut self, answer: &Answer) {
        let counts = &mut self.counts;
        counts.answered += 1;
        let ns = answer.latency_ns;
        counts.latency =
            Some(counts.latency.map_or((ns, i128::from(ns), ns), |(min, sum, max)| {
                (min.min(ns), sum + i128::from(ns), max.max(ns))
            }));
        if answer.doubtful {
            eprintln!(
                "k485: the reply is the request byte for byte, as some motors' and belt modules' \
                 are, and an echo is. Say which: --echo on or --echo off"
            );
        }
        if let Ok(reply) = Frame::from_bytes(&answer.reply) {
            // A motor's STATUS means nothing.
            let told = self.dialect.class(reply.addr()) != Some(Class::Motor);
            counts.errors += u64::from(told && reply.status() != Status::OK);
        }
    }
}

/// Why a round failed.
enum Failure {
    Speak(SpeakError),
    Output(std::io::Error),
}

/// Whether it passes by itself.
fn waits(error: &SpeakError) -> bool {
    matches!(error, SpeakError::Feeding { .. } | SpeakError::Busy { .. })
}

/// What is said once.
fn reason(error: &SpeakError) -> String {
    match error {
        SpeakError::Feeding { device, .. } => format!("{device} is feeding"),
        _ => "busy".to_owned(),
    }
}

/// Whether it is of what was sent here: its direction is given, not inferred.
fn is_own(seen: &Seen) -> bool {
    match seen {
        Seen::Frame(frame) => frame.dir_source == Source::Given,
        Seen::Exchange(exchange) => {
            exchange.request.as_ref().is_some_and(|request| request.dir_source == Source::Given)
        }
        _ => false,
    }
}

impl Counts {
    /// The exit code: the worst of what happened.
    fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Counts { requests: 0, skipped: 1.., .. } => REFUSED,
            Counts { silent: 1.., .. } => NO_REPLY,
            Counts { errors: 1.., .. } => ERROR_STATUS,
            _ => 0,
        })
    }
}

/// `12 requests: 11 answered (2 with an error STATUS), 1 without a reply; latency 2.1 to 5.0 ms`.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { requests, answered, errors, silent, skipped, latency } = self;
        write!(f, "{requests} request{}", if *requests == 1 { "" } else { "s" })?;
        write!(f, ": {answered} answered")?;
        if *errors > 0 {
            write!(f, " ({errors} with an error STATUS)")?;
        }
        write!(f, ", {silent} without a reply")?;
        if *skipped > 0 {
            write!(f, ", {skipped} not sent")?;
        }
        if let Some((min, sum, max)) = latency {
            let ms = |ns: f64| ns / Time::MILLISECOND as f64;
            let mean = ms(*sum as f64 / *answered as f64);
            let (min, max) = (ms(*min as f64), ms(*max as f64));
            write!(f, "; latency {min:.1} to {max:.1} ms, mean {mean:.1} ms")?;
        }
        Ok(())
    }
}
