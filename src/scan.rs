//! `k485 scan`: which addresses of a live bus answer, and what is there. Only pure reads.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use k485_proto::address::{Address, Class};
use k485_proto::dialect::Dialect;
use k485_proto::direction::Source;
use k485_proto::exchange::{Observed, Seen};
use k485_proto::frame::Frame;
use k485_proto::host::Policy;
use k485_proto::host::ask::Ended;
use k485_proto::record::Time;
use k485_sniffer::speak::{SpeakError, Speaker};
use serde::Serialize;

use crate::dialect::DialectArg;
use crate::encode;
use crate::length::Length;
use crate::send::positive;
use crate::speak::{self, NO_REPLY, SpeakArgs};
use crate::table::Table;

/// How often an address is asked each question.
const ROUNDS: usize = 2;

/// What `k485 scan` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each address is asked ONLINE_CHECK (A2), then GET_ADDR_TABLE (A3) where that is not answered, twice at \
most; a box that answers is asked GET_VERSION_SN (14) too. All of them are pure reads, so --transmit \
is the only flag that is needed. The rules of `k485 send` hold: docs/send.md.

Exit codes: 0 somebody answered; 1 failed; 2 wrong command line; 5 nobody answered; 6 refused, \
nothing was sent.

Examples:
  k485 scan /dev/ttyUSB0 --transmit
  k485 scan /dev/ttyUSB0 --transmit --addr 1-16 --to json")]
pub(crate) struct Args {
    #[command(flatten)]
    speak: SpeakArgs,
    /// The addresses, as 1-4,7,0x10: those of boxes, and those below 80 that nobody is known to have
    #[arg(long, value_name = "LIST", default_value = "1-4")]
    addr: String,
    /// How long to wait for each answer
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = positive)]
    timeout: Length,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    #[command(flatten)]
    dialect: DialectArg,
}

/// How the answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A table
    Text,
    /// A JSON object a line and address
    Json,
}

/// What an address answered; a field that was not told is left out.
#[derive(Debug, Default, Serialize)]
struct Found {
    addr: u8,
    device: String,
    answered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

/// Asks every address, and shows who answered.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = args.dialect.load()?;
    let addresses = match addresses(&args.addr, dialect) {
        Ok(addresses) => addresses,
        Err(what) => return encode::refuse(format!("--addr: {what}")),
    };
    let guard = args.speak.guard();
    // They are all of one class, so the first speaks for all.
    let Some(first) = addresses.first() else { bail!("--addr names no address") };
    if let Err(refusal) = guard.check_bytes(&encode::request(dialect, *first, "A2", &[])?, dialect)
    {
        return speak::end(refusal.into());
    }
    let timeout_ms = u32::try_from(args.timeout.0 / Time::MILLISECOND).unwrap_or(u32::MAX);
    let speaker = args.speak.open(dialect, guard, speak::stop()?)?;
    let mut scan = Scan { speaker, dialect, policy: Policy { timeout_ms, sends: 1 } };
    let mut found = Vec::new();
    let mut stopped = None;
    for addr in addresses {
        match scan.ask_all(addr) {
            Ok(answer) => found.push(answer),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
    }
    let mut out = stdout().lock();
    match args.to {
        To::Json => {
            for answer in &found {
                writeln!(out, "{}", serde_json::to_string(answer)?)?;
            }
        }
        To::Text if !found.is_empty() => table(&found).write(&mut out, 0)?,
        To::Text => {}
    }
    out.flush()?;
    match stopped {
        // What was sent before cannot be called refused.
        Some(Failure::Speak(error)) if found.is_empty() => speak::end(error),
        Some(Failure::Speak(error)) => Err(error.into()),
        Some(Failure::Other(error)) => Err(error),
        None if found.iter().any(|answer| answer.answered) => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(NO_REPLY)),
    }
}

/// The addresses of a list such as `1-4,0x10`.
fn addresses(list: &str, dialect: &Dialect) -> Result<Vec<Address>, String> {
    let mut addresses = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (first, last) = match item.split_once('-') {
            Some((first, last)) => (byte(first)?, byte(last)?),
            None => match byte(item) {
                Ok(byte) => (byte, byte),
                Err(_) => {
                    let addr = dialect.address(item).map_err(|error| error.to_string())?;
                    (addr.0, addr.0)
                }
            },
        };
        if first > last {
            return Err(format!("{item}: the first address is the larger one"));
        }
        for addr in (first..=last).map(Address) {
            may_be_box(addr, dialect)?;
            if !addresses.contains(&addr) {
                addresses.push(addr);
            }
        }
    }
    Ok(addresses)
}

fn byte(text: &str) -> Result<u8, String> {
    let number = match text.trim().strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.trim().parse(),
    };
    number.map_err(|_| format!("{text:?}: write addresses as 1-4,7,0x10"))
}

/// Only addresses of single boxes, and those that may hold one.
fn may_be_box(addr: Address, dialect: &Dialect) -> Result<(), String> {
    let shared = [Address::UNASSIGNED, Address::FACTORY, Address::FACTORY_SILENT].contains(&addr);
    let possible = match dialect.class(addr) {
        Some(class) => class == Class::Box,
        None => (0x01..0x80).contains(&addr.0),
    };
    if shared || !possible {
        let device = dialect.device(addr);
        return Err(format!("{:02X} ({device}) is no address that one box may have", addr.0));
    }
    Ok(())
}

enum Failure {
    Speak(SpeakError),
    Other(anyhow::Error),
}

struct Scan {
    speaker: Speaker,
    dialect: &'static Dialect,
    policy: Policy,
}

impl Scan {
    fn ask_all(&mut self, addr: Address) -> Result<Found, Failure> {
        let device = self.dialect.device(addr).into_owned();
        let mut found = Found { addr: addr.0, device, ..Found::default() };
        'asked: for _ in 0..ROUNDS {
            for function in ["A2", "A3"] {
                if self.ask(addr, function, &mut found)? {
                    break 'asked;
                }
            }
        }
        if found.answered {
            self.ask(addr, "14", &mut found)?;
        }
        Ok(found)
    }

    /// Asks once, and takes what the reply tells; gives whether there was one.
    fn ask(&mut self, addr: Address, function: &str, found: &mut Found) -> Result<bool, Failure> {
        // At an address that nobody is known to have, only address management has names.
        let request = match encode::request(self.dialect, addr, function, &[]) {
            Ok(request) => request,
            Err(_) if self.dialect.class(addr).is_none() => return Ok(false),
            Err(error) => return Err(Failure::Other(error)),
        };
        let dialect = self.dialect;
        let mut observe = |seen: &Seen| {
            if let Seen::Frame(frame) = seen
                && frame.dir_source == Source::Given
                && frame.request.is_some()
            {
                found.take(frame);
            }
        };
        let ended = self.speaker.ask(&request, Some(self.policy), &mut observe);
        match ended.map_err(Failure::Speak)? {
            Ended::Answered(answer) => {
                if !found.answered {
                    let ms = answer.latency_ns as f64 / Time::MILLISECOND as f64;
                    found.latency_ms = Some((ms * 1000.0).round() / 1000.0);
                    if let Ok(reply) = Frame::from_bytes(&answer.reply) {
                        found.status = Some(dialect.status_name(reply.status()).into_owned());
                    }
                }
                found.answered = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl Found {
    /// Takes the fields that a reply tells.
    fn take(&mut self, reply: &Observed) {
        let message = reply.message();
        let text = |name: &str| message.get(name).map(ToString::to_string);
        for (name, place) in [
            ("device_type", &mut self.device_type),
            ("program", &mut self.program),
            ("uniid", &mut self.uniid),
            ("version", &mut self.version),
            ("serial", &mut self.serial),
        ] {
            if let Some(text) = text(name) {
                *place = Some(text);
            }
        }
    }
}

fn table(found: &[Found]) -> Table {
    let mut table = Table::new(&[
        "<addr", "<device", "<answer", "<type", "<mode", "<uniid", "<version", "<serial", "ms",
    ]);
    for answer in found {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let said = match answer.answered {
            true => text(&answer.status),
            false => "none".to_owned(),
        };
        table.row([
            format!("{:02X}", answer.addr),
            answer.device.clone(),
            said,
            text(&answer.device_type),
            text(&answer.program),
            text(&answer.uniid),
            text(&answer.version),
            text(&answer.serial),
            answer.latency_ms.map(|ms| format!("{ms:.1}")).unwrap_or_default(),
        ]);
    }
    table
}
