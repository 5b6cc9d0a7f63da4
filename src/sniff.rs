//! `k485 sniff`: the live bus. It listens: what it opens cannot write.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k485_link::{Clock, Event, Hear};
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Pairer;
use k485_sniffer::framer::{Chunk, Framer, Place};

use crate::baud::{self, Baud};
use crate::bus::{self, LineArgs, Opened, PortWord};
use crate::changes::Action;
use crate::decode::ViewArgs;
use crate::dialect::DialectArg;
use crate::filter::FilterArgs;
use crate::input::{Sink, pull};
use crate::watch::{Watch, WatchArgs};

/// How long a read waits: the longest that Ctrl-C takes to end it.
const WAIT: Duration = Duration::from_millis(50);
/// After this silence an open frame gets no more bytes. The box's own parser gives up after 120 ms
/// inside a frame.
const SILENCE: Duration = Duration::from_millis(150);
/// Bytes of one read: more than the bus carries in a second.
const CHUNK: usize = 32 * 1024;

/// What `k485 sniff` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A port is a path, tcp:HOST:PORT (ser2net, socat), pty:PATH (a pseudo-terminal of our own with a link
to it), - (stdin, bytes of a wire), or a capture, which is played; NAME= in front names the bus. A
serial port is opened for reading only and RTS and DTR go to the receive level at once. Ctrl-C ends
it with a summary.

Examples:
  k485 sniff /dev/ttyUSB0
  k485 sniff /dev/ttyUSB0 --baud auto
  k485 sniff /dev/ttyUSB0 -F 'status!=OK || noise'
  k485 sniff tcp:printer:2000
  k485 sniff bus.pcapng --pace
  k485 sniff /dev/ttyUSB0 --quiet-polls
  k485 sniff /dev/ttyUSB0 --changes
  k485 sniff /dev/ttyUSB0 --trigger 'status!=OK' --pre 30s --post 10s
  k485 sniff /dev/ttyUSB0 -F 'status!=OK' --exec mail --exec-arg -s --exec-arg CFS --exec-arg me
  k485 sniff /dev/ttyUSB0 -w bus.raw --to json > bus.jsonl")]
pub(crate) struct Args {
    /// A serial port, pseudo-terminal, tcp:HOST:PORT, pty:PATH, - or a capture
    port: PortWord,
    /// The bus's speed, or `auto`: listen at one after the other until frames come out
    #[arg(short, long, default_value = "230400")]
    baud: Baud,
    /// Write the bytes as they come to this file too, as `decode` reads them
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    dialect: DialectArg,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    line: LineArgs,
}

/// Listens until Ctrl-C, or until the port is gone.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read ends it before anything is opened.
    let dialect = args.dialect.load()?;
    let filter = args.filter.read(args.view.frames, dialect)?;
    let plan = args.watch.plan(&args.view, filter, dialect)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
        .context("cannot watch for Ctrl-C")?;
    let clock = Clock::new();
    let opened = bus::listen(&args.port, &args.line.options(args.baud.first()), clock)?;
    let Opened { hear: mut port, what, warning } = opened;
    // Before the first read: a capture must not start and then fail to be kept.
    let mut file = match &args.write {
        // Nothing already captured is overwritten.
        Some(path) => {
            Some(OpenOptions::new().write(true).create_new(true).open(path).with_context(|| {
                let name = path.display();
                format!("cannot create {name} (a capture is never overwritten: choose a new name)")
            })?)
        }
        None => None,
    };
    if args.baud == Baud::Auto {
        eprintln!("k485: looking for the speed of the bus; what is heard meanwhile is not kept");
        match baud::find(&mut *port, dialect, &stop)? {
            Some(found) => {
                let sure = if found.sure { "" } else { ", which is not sure" };
                eprintln!("k485: the bus runs at {} baud{sure}: {found}", found.baud);
            }
            None => return Ok(ExitCode::SUCCESS),
        }
    }
    eprintln!("listening on {what}; Ctrl-C ends");
    if let Some(warning) = warning {
        eprintln!("k485: {warning}");
    }
    let mut shown = plan.open(args.port.bus().to_owned(), false, clock, &stop)?;
    let result = listen(
        &mut *port,
        args.port.bus(),
        dialect,
        &clock,
        &stop,
        &mut shown,
        &mut |bytes| match (&mut file, &args.write) {
            (Some(file), Some(path)) => {
                file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))
            }
            _ => Ok(()),
        },
    );
    shown.finish(result.is_ok())?;
    result?;
    Ok(ExitCode::SUCCESS)
}

/// The loop: bytes to records to what is shown.
fn listen(
    port: &mut dyn Hear,
    name: &str,
    dialect: &'static Dialect,
    clock: &Clock,
    stop: &AtomicBool,
    shown: &mut Watch,
    keep: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut framer = Framer::new(Arc::from(name));
    let mut pairer = Pairer::with_dialect(dialect);
    let mut buf = vec![0; CHUNK];
    let mut offset = 0;
    let mut heard = Instant::now();
    let mut result = Ok(());
    while !stop.load(Ordering::SeqCst) && result.is_ok() {
        match port.read(&mut buf, WAIT) {
            Ok(Event::Bytes { n, time }) => {
                let bytes = &buf[..n];
                // What was heard is kept even where it cannot be shown.
                result = keep(bytes);
                heard = Instant::now();
                let place = Place::Stream(offset);
                offset += n as u64;
                let chunk = Chunk { time: Some(time), dir: None, place, bytes };
                framer.push(chunk, |record| pairer.push(record));
            }
            Ok(Event::Idle) => {
                if heard.elapsed() >= SILENCE {
                    framer.idle(|record| pairer.push(record));
                }
                pairer.tick(clock.now());
            }
            Ok(Event::Closed) if !port.is_live() => break,
            Ok(Event::Closed) => {
                result =
                    Err(anyhow::anyhow!("{name} is gone: unplugged, or its other end was closed"))
            }
            Err(error) => result = Err(error.into()),
        }
        pull(&mut pairer, shown)?;
        if shown.tick()? == Action::Quit {
            break;
        }
    }
    framer.idle(|record| pairer.push(record));
    pairer.finish();
    pull(&mut pairer, shown)?;
    shown.flush()?;
    if let Err(error) = result {
        bail!(error);
    }
    Ok(())
}
