//! What the commands that speak on a bus have in common: the port, the guard's flags, Ctrl-C.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use k485_link::{BAUD, Clock};
use k485_proto::dialect::Dialect;
use k485_proto::host::ask::Echo;
use k485_sniffer::speak::{Guard, SpeakError, Speaker};

use crate::bus::{self, PortWord, Reality, SerialArgs};
use crate::length::Length;

/// Answered, with an error STATUS.
pub(crate) const ERROR_STATUS: u8 = 4;
/// Not answered.
pub(crate) const NO_REPLY: u8 = 5;
/// Refused: nothing was sent.
pub(crate) const REFUSED: u8 = 6;

/// The port and how to take part there.
#[derive(Debug, clap::Args)]
pub(crate) struct SpeakArgs {
    /// A serial port, a pseudo-terminal, tcp:HOST:PORT, or pty:PATH for a pseudo-terminal of its own
    port: PortWord,
    /// The bus's speed
    #[arg(short, long, default_value_t = BAUD)]
    baud: u32,
    /// Really send: without it nothing goes to a port that may be real
    #[arg(long)]
    transmit: bool,
    /// Whether the adapter hears what it sends
    #[arg(long, value_name = "HOW", default_value = "auto")]
    echo: EchoArg,
    /// How long to listen before the first request; 3s at least
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = listening)]
    listen: Length,
    #[command(flatten)]
    serial: SerialArgs,
}

/// Whether an adapter hears what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EchoArg {
    /// Found out from what comes back
    Auto,
    /// It does: the first bytes that come back are taken away
    On,
    /// It does not
    Off,
}

fn listening(text: &str) -> Result<Length, String> {
    let length: Length = text.parse()?;
    let least = i64::try_from(k485_sniffer::speak::LISTEN.as_nanos()).unwrap_or(i64::MAX);
    if length.0 < least {
        return Err(
            "3s is the least: a printer's host polls its box every 2 s in a feed, and what \
                    is sent into a feed can spoil the print"
                .to_owned(),
        );
    }
    Ok(length)
}

impl SpeakArgs {
    /// The guard, before what is allowed.
    pub(crate) fn guard(&self) -> Guard {
        let real = self.port.reality() == Reality::Real;
        Guard { transmit: self.transmit, real, ..Guard::default() }
    }

    /// Opens the port, and says what comes first.
    pub(crate) fn open(
        &self,
        dialect: &'static Dialect,
        guard: Guard,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Speaker> {
        let clock = Clock::new();
        let link = bus::speak(&self.port, &self.serial.options(self.baud), clock)?;
        let listen = Duration::from_nanos(self.listen.0.unsigned_abs());
        if guard.real {
            eprintln!("listening on {} for {} s first", link.name(), listen.as_secs_f64());
        }
        let echo = self.echo.echo();
        let speaker = Speaker::new(link, clock, dialect, guard).with_bus_name(self.port.bus());
        Ok(speaker.with_echo(echo).with_listening(listen).with_stop(stop))
    }
}

impl EchoArg {
    /// What the speaker is told.
    pub(crate) fn echo(self) -> Echo {
        match self {
            EchoArg::Auto => Echo::Auto,
            EchoArg::On => Echo::On,
            EchoArg::Off => Echo::Off,
        }
    }
}

/// A flag that Ctrl-C sets.
pub(crate) fn stop() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
        .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// What an error means for the exit code: refused, or failed.
pub(crate) fn end(error: SpeakError) -> anyhow::Result<ExitCode> {
    if error.kept_silent() {
        eprintln!("k485: {error}");
        return Ok(ExitCode::from(REFUSED));
    }
    Err(error.into())
}
