//! `k485 sniff`: the live bus, for a look or for days. It listens: what it opens cannot write.

mod core;
mod keep;
mod outlet;
mod page;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use k485_link::{Clock, Hear};
use k485_proto::dialect::Dialect;
use k485_proto::record::Time;
use k485_sniffer::live::decoder::Port;
use k485_sniffer::live::{Decoder, Queue, Reader};

use self::core::{Core, End};
use self::keep::KeepArgs;
use self::outlet::{News, outlet};
use self::page::PageArgs;
use crate::baud::{self, Baud};
use crate::bus::{self, LineArgs, PortWord};
use crate::changes::Action;
use crate::decode::ViewArgs;
use crate::dialect::DialectArg;
use crate::filter::FilterArgs;
use crate::input::Sink;
use crate::length::Length;
use crate::watch::{Setting, Watch, WatchArgs};

/// The longest that the screen waits for news: keys and times are looked at then.
const WAIT: Duration = Duration::from_millis(25);

/// What `k485 sniff` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A serial port is opened for reading only, and RTS and DTR go to the receive level at once. A port that \
goes away is waited for. Ctrl-C ends it with a summary.

Examples:
  k485 sniff emu:                          no hardware at hand? a bus to look at
  k485 sniff /dev/ttyUSB0
  k485 sniff /dev/ttyUSB0 --baud auto
  k485 sniff /dev/ttyUSB0 -F 'status!=OK || noise'
  k485 sniff /dev/ttyUSB0 -w bus.pcapng --quiet-polls
  k485 sniff /dev/ttyUSB0 -w days.pcapng --rotate 1h --ring 48 --min-free 1G
  k485 sniff --port a=/dev/ttyUSB0 --port b=tcp:printer:3333 --changes
  k485 sniff /dev/ttyUSB0 -w jam.pcapng --trigger 'status!=OK' --pre 30s --post 10s
  k485 sniff /dev/ttyUSB0 -F 'status!=OK' --exec mail --exec-arg -s --exec-arg CFS --exec-arg me
  k485 sniff /dev/ttyUSB0 --page                    on a live page, read only
  k485 sniff captures/sample-load.hex --pace

Exit codes: 0 done; 1 a port could not be opened, or not everything could be kept; 2 wrong command \
line.")]
pub(crate) struct Args {
    /// A serial port, a pseudo-terminal, tcp:HOST:PORT, - (stdin), a capture to play, or emu: for an
    /// emulated bus with a host on it
    #[arg(required_unless_present = "ports", conflicts_with = "ports")]
    port: Option<PortWord>,
    /// A port with a name for its bus; several are heard together, merged by time
    #[arg(long = "port", value_name = "NAME=PORT")]
    ports: Vec<PortWord>,
    /// The bus's speed, or `auto`: listen at one after the other until frames come out
    #[arg(short, long, default_value = "230400")]
    baud: Baud,
    /// End after this time: 10s, 1h
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Length>,
    #[command(flatten)]
    line: LineArgs,
    #[command(flatten, next_help_heading = "Showing")]
    filter: FilterArgs,
    #[command(flatten)]
    dialect: DialectArg,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// A port that is heard, with its bus's name.
struct Ear {
    name: String,
    link: Box<dyn Hear>,
}

/// Listens until Ctrl-C, until the sources end, or until enough was seen.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read ends it before anything is opened.
    let dialect = args.dialect.load()?;
    let filter = args.filter.read(args.view.frames, dialect)?;
    let plan = args.watch.plan(&args.view, filter, dialect)?;
    let stop = Arc::new(AtomicBool::new(false));
    end_by_signal(&stop)?;
    let clock = Clock::new();
    let (ears, told) = args.open(clock, dialect, &stop)?;
    if stop.load(Ordering::SeqCst) {
        return Ok(ExitCode::SUCCESS);
    }
    let (trigger, ring) = plan.trigger().unzip();
    let baud = ears.iter().find_map(|ear| ear.link.baud());
    // Before the first read: a capture must not start and then fail to be kept.
    let keeping = args.keep.begin(baud, ring, clock)?;
    told.iter().for_each(|what| eprintln!("{what}"));
    let names: Vec<String> = ears.iter().map(|ear| ear.name.clone()).collect();
    let page = args.page.open(&names, dialect)?.map(|(page, told)| {
        eprintln!("k485: {told}");
        page
    });
    let live = ears.iter().all(|ear| ear.link.is_live());
    let (title, several) = (names.join(" "), names.len() > 1);
    let mut watch = plan.open(Setting { title, several, live, clock, stop: Arc::clone(&stop) })?;
    let until = args.length.map(|Length(nanos)| Time(clock.now().0.saturating_add(nanos)));
    let queue = Arc::new(Queue::new());
    let port = |ear: &Ear| Port { name: Arc::from(ear.name.as_str()), baud: ear.link.baud() };
    let decoder = Decoder::new(ears.iter().map(port).collect(), dialect);
    let start = |(number, ear): (usize, Ear)| {
        Reader::start(ear.link, number, clock, Arc::clone(&queue), Arc::clone(&stop))
    };
    let readers = ears.into_iter().enumerate().map(start).collect::<Result<Vec<_>, _>>();
    let readers = readers.context("cannot start a thread for the port")?;
    let (outlet, news) = outlet(!live);
    let (stopping, end) = (Arc::clone(&stop), End::default());
    let core = Core {
        queue,
        stop: stopping,
        clock,
        decoder,
        names,
        live,
        trigger,
        keeping,
        page,
        outlet,
        until,
        status: None,
        end,
    };
    let core = thread::Builder::new().name("decoder".to_owned()).spawn(move || core.run());
    let core = core.context("cannot start the decoder's thread")?;
    let shown = show(&news, &mut watch, &stop);
    // Whatever ended the screen ends the rest.
    stop.store(true, Ordering::SeqCst);
    drop(news);
    let end = core.join().map_err(|_| anyhow!("the decoder failed; see above"))?;
    readers.into_iter().for_each(Reader::join);
    let (ended, programs) = watch.finish(shown.is_ok());
    eprintln!("{}", end.tally);
    for what in &end.said {
        eprintln!("k485: {what}");
    }
    for (port, errors) in &end.spoiled {
        eprintln!("k485: {port}: the line spoiled {errors}, in all");
    }
    if let Some(programs) = programs {
        eprintln!("{programs}");
    }
    shown?;
    ended?;
    Ok(if end.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Args {
    /// Opens the ports, at the bus's speed; and what to tell of how.
    fn open(
        &self,
        clock: Clock,
        dialect: &'static Dialect,
        stop: &AtomicBool,
    ) -> anyhow::Result<(Vec<Ear>, Vec<String>)> {
        let words: Vec<&PortWord> = self.port.iter().chain(&self.ports).collect();
        let mut names: Vec<&str> = words.iter().map(|word| word.bus()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("two ports are called {}: name them apart, as in --port a=PORT", pair[0]);
        }
        let (mut ears, mut told) = (Vec::new(), Vec::new());
        for word in words {
            let mut port = bus::listen(word, &self.line.options(self.baud.first()), clock)?;
            if self.baud == Baud::Auto {
                find_speed(port.hear.as_mut(), dialect, stop)?;
            }
            told.push(format!("listening on {}; Ctrl-C ends", port.told()));
            told.extend(port.warning.map(|warning| format!("k485: {warning}")));
            ears.push(Ear { name: word.bus().to_owned(), link: port.hear });
        }
        Ok((ears, told))
    }
}

/// Sets a link to the speed at which frames are heard, and says which that is.
fn find_speed(
    link: &mut dyn Hear,
    dialect: &'static Dialect,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let name = link.name().to_owned();
    eprintln!("k485: {name}: looking for the speed; what is heard meanwhile is not kept");
    if let Some(found) = baud::find(link, dialect, stop)? {
        let sure = if found.sure { "" } else { ", which is not sure" };
        eprintln!("k485: {name} runs at {} baud{sure}: {found}", found.baud);
    }
    Ok(())
}

/// Ctrl-C and its like end it in order; a second one at once, for when the output is stuck.
pub(crate) fn end_by_signal(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let flag = Arc::clone(stop);
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot watch for Ctrl-C")
}

/// Shows what comes until nothing more does.
fn show(news: &Receiver<News>, watch: &mut Watch, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut ticked = Instant::now();
    loop {
        let first = match news.recv_timeout(WAIT) {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        for news in first.into_iter().chain(news.try_iter()) {
            match news {
                News::Seen(seen) => watch.seen(&seen)?,
                News::Say(what) => watch.say(&what)?,
                News::Status(text) => watch.status(&text),
            }
            if ticked.elapsed() >= WAIT {
                break;
            }
        }
        ticked = Instant::now();
        if watch.tick()? == Action::Quit {
            stop.store(true, Ordering::SeqCst);
        }
    }
}
