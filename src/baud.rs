//! `--baud auto`: the speed of a live bus, found by listening.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use k485_link::{Event, Hear, OpenError};
use k485_proto::dialect::Dialect;
use k485_sniffer::doctor::hunt::{BaudHunt, DWELL, Found};

/// How long a read waits: the longest that Ctrl-C takes to end it.
const WAIT: Duration = Duration::from_millis(50);
/// Bytes of one read.
const CHUNK: usize = 32 * 1024;

/// A speed as the command line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baud {
    /// It is to be found.
    Auto,
    /// This one, in baud.
    Fixed(u32),
}

impl Baud {
    /// The speed to open the port with.
    pub(crate) fn first(self) -> u32 {
        match self {
            Baud::Auto => k485_link::BAUD,
            Baud::Fixed(baud) => baud,
        }
    }
}

impl FromStr for Baud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(baud) => Ok(Baud::Fixed(baud)),
            Err(_) if text == "auto" => Ok(Baud::Auto),
            Err(_) => Err("write a speed in baud (230400), or auto".to_owned()),
        }
    }
}

/// Sets a link to a speed; whether it has that speed.
pub(crate) fn set(link: &mut dyn Hear, baud: u32) -> anyhow::Result<bool> {
    if link.baud() == Some(baud) {
        return Ok(true);
    }
    match link.set_baud(baud) {
        Ok(()) => Ok(true),
        Err(OpenError::UnsupportedBaud { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Listens at one speed after the other until the bus's is found, and leaves the link at it. `None`
/// when `stop` came first.
///
/// A speed that is only likely is taken once all were tried twice.
pub(crate) fn find(
    link: &mut dyn Hear,
    dialect: &'static Dialect,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Found>> {
    let mut hunt = BaudHunt::new(k485_link::BAUD, DWELL, dialect);
    let mut buf = vec![0; CHUNK];
    let mut told = 0;
    while !stop.load(Ordering::SeqCst) {
        let rounds = hunt.rounds();
        if let Some(found) = hunt.verdict().filter(|found| found.sure || rounds >= 2) {
            set(link, found.baud)?;
            return Ok(Some(found));
        }
        if rounds > told {
            told = rounds;
            if rounds == 1 {
                eprintln!(
                    "k485: no frames of this bus at any speed so far; still looking (`k485 doctor \
                     {}` says what is wrong)",
                    link.name()
                );
            }
        }
        let Some(next) = hunt.next_try() else { continue };
        if !set(link, next.baud)? {
            hunt.cannot(next.baud);
            continue;
        }
        let until = Instant::now() + next.time;
        while !stop.load(Ordering::SeqCst) && !hunt.is_sure() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match link.read(&mut buf, left.min(WAIT))? {
                Event::Bytes { n, .. } => hunt.heard(next.baud, &buf[..n]),
                Event::Idle => {}
                Event::Closed => {
                    bail!("{} is gone: unplugged, or its other end was closed", link.name())
                }
            }
        }
    }
    Ok(None)
}
