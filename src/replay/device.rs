//! Playing the devices.

use std::collections::BTreeSet;
use std::process::ExitCode;

use k485_link::Clock;
use k485_proto::address::Address;
use k485_proto::dialect::Dialect;
use k485_proto::effect::Effect;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_proto::host::ask::Echo;
use k485_proto::record::{Direction, Time};
use k485_sniffer::replay::{Answers, Device, DeviceEvent, DeviceTodo};
use k485_sniffer::speak::{SpeakError, Speaker};

use super::view::View;
use super::{Args, Kept, TROUBLE, code};
use crate::bus::PortWord;
use crate::input::{InputArgs, printable};
use crate::progress::Progress;
use crate::speak::{self, REFUSED};

/// How long a port that may be real is listened to first.
const LISTEN: i64 = 10 * Time::SECOND;
/// How long is listened at once.
const WAIT: i64 = 50 * Time::MILLISECOND;

pub(super) fn play(
    args: &Args,
    input: &InputArgs,
    filter: Option<Filter>,
    port: &PortWord,
) -> anyhow::Result<ExitCode> {
    let mut answers = Answers::new(args.repeat);
    let mut kept = Kept { filter, take: |seen: &_| answers.push(seen) };
    let skipped = input.read(&mut kept)?;
    let name = input.files.first().map(|file| printable(file)).unwrap_or_default();
    if answers.addresses().is_empty() {
        anyhow::bail!("{name}: no device answers in it, so there is none to play");
    }
    // What a reply does as a request is no question: its host waits for it.
    let guard = args.guard(port, Effect::ALL.into_iter().collect());
    if guard.real && !guard.transmit {
        eprintln!(
            "k485: nothing was sent: no device answers on a port that may be real without \
             --transmit. If that is meant, add it; pty:PATH makes a port of its own"
        );
        return Ok(ExitCode::from(REFUSED));
    }
    let stop = speak::stop()?;
    let clock = Clock::new();
    let dialect = answers.dialect();
    let real = guard.real;
    let mut speaker = args.open(port, dialect, guard, clock, &stop)?;
    if real {
        eprintln!("listening on {} for {} s first", speaker.name(), LISTEN / Time::SECOND);
        match listen(&mut speaker, &clock, &answers) {
            Ok(None) => {}
            Ok(Some(addr)) => {
                eprintln!(
                    "k485: nothing was sent: {} answers on {} already, and two that answer spoil \
                     each other's replies. Leave it out with -F, or take it off the bus",
                    dialect.device(addr),
                    speaker.name()
                );
                return Ok(ExitCode::from(REFUSED));
            }
            Err(SpeakError::Stopped) => return Ok(ExitCode::from(TROUBLE)),
            Err(error) => return Err(error.into()),
        }
    }
    let (requests, exchanges) = answers.size();
    eprintln!(
        "answering on {} as {}, {requests} different requests of {exchanges} exchanges; Ctrl-C ends",
        speaker.name(),
        names(answers.addresses(), dialect)
    );
    let mut view = View::open(args, Progress::none())?;
    // What this program makes itself does not echo.
    let echo = if real { args.echo.echo() } else { Echo::Off };
    let mut device = Device::new(answers, args.speed, echo);
    let result = answer(args, &mut device, &mut speaker, &clock, &mut view, dialect);
    view.device_summary(&device.counts())?;
    let counts = device.counts();
    match result? {
        End::Stopped => Ok(code(counts.unknown > 0, skipped > 0)),
        End::Strict => Ok(ExitCode::from(1)),
        End::Conflict(addr) => {
            eprintln!(
                "k485: another device answers as {} on {}: stopped, since two that answer spoil \
                 each other's replies",
                dialect.device(addr),
                speaker.name()
            );
            Ok(ExitCode::from(TROUBLE))
        }
    }
}

/// How it ended.
enum End {
    Stopped,
    /// Something was asked that is not known.
    Strict,
    /// Another device has the address.
    Conflict(Address),
}

fn answer(
    args: &Args,
    device: &mut Device,
    speaker: &mut Speaker,
    clock: &Clock,
    view: &mut View,
    dialect: &'static Dialect,
) -> anyhow::Result<End> {
    loop {
        let now = clock.now();
        let step = match device.poll(now) {
            DeviceTodo::Send(reply) => {
                speaker.transmit(&reply, &mut |_| ()).map(|time| device.sent(time))
            }
            DeviceTodo::Wait(until) => speaker.hear_once(until, &mut |_| ()).map(|_| ()),
            DeviceTodo::Listen => {
                speaker.hear_once(Time(now.0.saturating_add(WAIT)), &mut |_| ()).map(|_| ())
            }
        };
        for (time, bytes) in speaker.take_heard() {
            device.heard(&bytes, time);
        }
        while let Some(event) = device.pull() {
            match event {
                DeviceEvent::Conflict { addr, .. } => return Ok(End::Conflict(addr)),
                DeviceEvent::Unknown { time, request } => {
                    view.unknown(time, &request, dialect)?;
                    if args.input.is_strict() {
                        return Ok(End::Strict);
                    }
                }
            }
        }
        match step {
            Ok(()) => {}
            Err(SpeakError::Stopped) => return Ok(End::Stopped),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Listens for a while; the first address to be played from which somebody answers already.
fn listen(
    speaker: &mut Speaker,
    clock: &Clock,
    answers: &Answers,
) -> Result<Option<Address>, SpeakError> {
    let until = Time(clock.now().0.saturating_add(LISTEN));
    let mut taken = None;
    while clock.now() < until && taken.is_none() {
        speaker.hear_once(until, &mut |seen| {
            if let Seen::Frame(frame) = seen
                && frame.dir == Some(Direction::Response)
                && answers.addresses().contains(&frame.frame().addr())
            {
                taken = Some(frame.frame().addr());
            }
        })?;
        speaker.take_heard();
    }
    Ok(taken)
}

fn names(addresses: &BTreeSet<Address>, dialect: &Dialect) -> String {
    let names: Vec<_> = addresses.iter().map(|addr| dialect.device(*addr).into_owned()).collect();
    names.join(", ")
}
