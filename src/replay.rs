//! `k485 replay`: a capture played again, its requests to devices or its devices to a host.

mod device;
mod host;
mod view;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueEnum;
use k485_link::{BAUD, Clock};
use k485_proto::dialect::Dialect;
use k485_proto::effect::Effect;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::diff::LATENCY;
use k485_sniffer::replay::Speed;
use k485_sniffer::speak::{Guard, Speaker};

use crate::bus::{self, PortWord, Reality, SerialArgs};
use crate::filter::FilterArgs;
use crate::input::{InputArgs, Sink};
use crate::length::Length;
use crate::output;
use crate::progress::Progress;
use crate::send::{class, positive};
use crate::speak::EchoArg;
use crate::stats::To;

/// Trouble: it failed, or it did not come to its end.
const TROUBLE: u8 = 2;

/// What `k485 replay` takes.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "k485 replay [OPTIONS] --as <WHO> <FILE> <PORT>",
    mut_arg("files", |arg| arg.help(
        "The capture, then the port: a serial port, a pseudo-terminal, tcp:HOST:PORT, or pty:PATH, \
         a pseudo-terminal of its own that others open as PATH")),
    mut_arg("strict", |arg| arg.help(
        "Fail at the first place that cannot be read; as a device, end at the first request that \
         is not in the capture")),
    mut_arg("hex", |arg| arg.hide(true)),
    mut_arg("filter", |arg| arg.help(
        "Play only exchanges that this holds for, as in 'addr==box1' (docs/filter.md)")),
    after_help = "\
As the host each request is sent, its reply is waited for and compared with the recorded one. In \
text, `!` is a reply that differs, `-` one that is missing, `+` one that is too many. As a device \
each request is answered as it was in the capture, in sequence; what is not in it is told and not \
answered. Nothing is sent to a port that may be real without --transmit; as the host what is more \
than a pure read needs --allow with its class too. More: docs/replay.md.

Exit codes: 0 all as recorded; 1 something differs (as a device: was asked that is not in the \
capture); 2 trouble: it failed, was ended early, or parts of the capture were skipped; 6 refused, \
nothing was sent.

Examples:
  k485 replay yesterday.pcapng /dev/ttyUSB0 --as host --transmit -F 'func==5'
  k485 replay yesterday.pcapng pty:/tmp/bus --as device
  k485 replay yesterday.pcapng /tmp/bus --as host --speed max --transmit --allow clear,motion
  k485 replay load.hex /dev/ttyUSB0 --as host --step --transmit --allow motion,setting"
)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Which side to play
    #[arg(long = "as", value_name = "WHO")]
    side: Side,
    /// How fast: recorded times are divided by it; max is without any pause
    #[arg(long, value_name = "N|max", default_value = "1", value_parser = speed)]
    speed: Speed,
    /// Start over: after the last request; as a device, after the last answer to a request
    #[arg(long = "loop")]
    repeat: bool,
    /// As the host: ask before each request (Enter sends it, s skips it, q ends)
    #[arg(long)]
    step: bool,
    /// As the host: how long a reply is waited for, instead of by the recording
    #[arg(long, value_name = "TIME", value_parser = positive)]
    timeout: Option<Length>,
    /// As the host: send again as often as the vendor's host would, not as often as recorded
    #[arg(long)]
    retries: bool,
    /// As the host: does not count: a field of replies, or address, function, status, data, latency,
    /// outcome, extra, noise
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// As the host: latencies that are farther apart differ, in milliseconds (50 if none is given)
    #[arg(long, value_name = "MS", num_args = 0..=1, require_equals = true,
          default_missing_value = DEFAULT_LATENCY,
          value_parser = clap::value_parser!(i64).range(0..=86_400_000))]
    latency: Option<i64>,
    #[command(flatten)]
    filter: FilterArgs,
    /// The bus's speed
    #[arg(short, long, default_value_t = BAUD)]
    baud: u32,
    /// Really send: without it nothing goes to a port that may be real
    #[arg(long)]
    transmit: bool,
    /// As the host: what may be done beside pure reads: clear, motion, setting, firmware
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = class)]
    allow: Vec<Effect>,
    /// Whether the adapter hears what it sends
    #[arg(long, value_name = "HOW", default_value = "auto")]
    echo: EchoArg,
    #[command(flatten)]
    serial: SerialArgs,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const DEFAULT_LATENCY: &str = "50";
const _: () = assert!(LATENCY == 50 * Time::MILLISECOND);

/// Which side is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The host: its requests are sent
    Host,
    /// The devices that answered: their replies are sent
    Device,
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.parse::<f64>() {
        Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
        _ => Err("a speed is a number above 0 such as 2 or 0.5, or max".to_owned()),
    }
}

/// Plays the capture. Trouble is 2 here, since 1 means that something differs.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match play(args) {
        Err(error) if !output::is_broken_pipe(&error) => {
            eprintln!("k485: {error:#}");
            Ok(ExitCode::from(TROUBLE))
        }
        result => result,
    }
}

fn play(args: &Args) -> anyhow::Result<ExitCode> {
    let [file, port] = &args.input.files[..] else {
        bail!("a capture and a port are needed: k485 replay [OPTIONS] --as <WHO> <FILE> <PORT>");
    };
    let Some(port) = port.to_str() else {
        bail!("{}: a port's name is UTF-8", port.display());
    };
    let port = &port.parse::<PortWord>().map_err(anyhow::Error::msg)?;
    let input = args.input.alone(file);
    if args.step && file.as_os_str() == "-" {
        bail!("--step asks on stdin, so the capture cannot come from there: give it as a file");
    }
    if let Some(output) = &args.output {
        input.refuse_output(output)?;
    }
    if args.side == Side::Device {
        args.refuse_host_options()?;
    }
    let filter = args.filter.read(false, args.input.tables()?)?;
    match args.side {
        Side::Host => host::play(args, &input, filter, port),
        Side::Device => device::play(args, &input, filter, port),
    }
}

impl Args {
    /// Refuses what means nothing as a device.
    fn refuse_host_options(&self) -> anyhow::Result<()> {
        let given = [
            ("--step", self.step),
            ("--timeout", self.timeout.is_some()),
            ("--retries", self.retries),
            ("--ignore", !self.ignore.is_empty()),
            ("--latency", self.latency.is_some()),
            ("--allow", !self.allow.is_empty()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((name, _)) => bail!("{name} is for --as host"),
            None => Ok(()),
        }
    }

    /// The guard of a port: what this program makes itself is not real.
    fn guard(&self, port: &PortWord, allow: BTreeSet<Effect>) -> Guard {
        match port.reality() {
            Reality::Own => Guard::own(),
            Reality::Real => Guard { transmit: self.transmit, allow, real: true },
        }
    }

    /// Opens the port.
    fn open(
        &self,
        port: &PortWord,
        dialect: &'static Dialect,
        guard: Guard,
        clock: Clock,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Speaker> {
        let link = bus::speak(port, &self.serial.options(self.baud), clock)?;
        let speaker = Speaker::new(link, clock, dialect, guard).with_bus_name(port.bus());
        Ok(speaker.with_echo(self.echo.echo()).with_stop(stop.clone()).with_heard())
    }
}

/// Gives what a capture holds, as far as the filter lets it through.
struct Kept<F> {
    filter: Option<Filter>,
    take: F,
}

impl<F: FnMut(&Seen)> Sink for Kept<F> {
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if self.filter.as_ref().is_none_or(|filter| filter.matches(seen)) {
            (self.take)(seen);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn watch(&mut self, total: u64) -> Progress {
        Progress::of(total)
    }
}

/// The exit code: trouble hides that something differs no more than the other way round.
fn code(differs: bool, trouble: bool) -> ExitCode {
    ExitCode::from(match (differs, trouble) {
        (true, _) => 1,
        (false, true) => TROUBLE,
        (false, false) => 0,
    })
}
