//! Playing the host.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use anyhow::Context;
use k485_link::Clock;
use k485_proto::dialect::Dialect;
use k485_proto::effect::Effect;
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::replay::{Host, HostTodo, Options, Script};
use k485_sniffer::speak::{Guard, LISTEN, SpeakError, Speaker};

use super::view::{self, View};
use super::{Args, Kept, code};
use crate::bus::PortWord;
use crate::input::{InputArgs, printable};
use crate::length::Length;
use crate::progress::Progress;
use crate::speak::{self, REFUSED};

/// How long is listened at once while an answer on the terminal is waited for.
const ASKING: i64 = 50 * Time::MILLISECOND;

pub(super) fn play(
    args: &Args,
    input: &InputArgs,
    filter: Option<Filter>,
    port: &PortWord,
) -> anyhow::Result<ExitCode> {
    let mut builder = Script::builder();
    let mut kept = Kept { filter, take: |seen: &_| builder.push(seen) };
    let skipped = input.read(&mut kept)?;
    let name = input.files.first().map(|file| printable(file)).unwrap_or_default();
    let script = builder.finish().with_context(|| name.clone())?;
    // Before the port is opened: to open one can be heard on the wire.
    let guard = args.guard(port, args.allow.iter().copied().collect());
    if refuse(&script, &guard) {
        return Ok(ExitCode::from(REFUSED));
    }
    let stop = speak::stop()?;
    let clock = Clock::new();
    let dialect = script.dialect();
    let real = guard.real;
    let speaker = args.open(port, dialect, guard, clock, &stop)?;
    let requests = script.steps().len();
    eprintln!("playing {requests} requests of {name} on {}; Ctrl-C ends", speaker.name());
    view::left_out(&script.left_out());
    if real {
        eprintln!("listening on {} for {} s first", speaker.name(), LISTEN.as_secs());
    }
    let options = Options {
        speed: args.speed,
        repeat: args.repeat,
        step: args.step,
        timeout_ns: args.timeout.map(|Length(nanos)| nanos),
        retries: args.retries,
        echo: args.echo.echo(),
        ignore: args.ignore.clone(),
        latency_ns: args.latency.map(|ms| ms * Time::MILLISECOND),
    };
    let host = Host::new(script, options, clock.now());
    let progress = match args.repeat || args.step {
        true => Progress::none(),
        false => Progress::of_requests(requests as u64),
    };
    let view = View::open(args, progress.clone())?;
    let keys = args.step.then(keys);
    let mut run = Run { host, speaker, clock, stop, view, progress, keys, dialect };
    let result = run.all();
    run.progress.end();
    let summary = run.host.summary();
    run.view.host_summary(&summary, requests)?;
    let early = match result {
        Ok(End::Over) => false,
        // With --loop there is no other end.
        Ok(End::Stopped) => !args.repeat,
        Err(Failure::Speak(error)) if error.kept_silent() && summary.requests == 0 => {
            eprintln!("k485: {error}");
            return Ok(ExitCode::from(REFUSED));
        }
        Err(Failure::Speak(error)) => {
            eprintln!("k485: {error}");
            true
        }
        Err(Failure::Output(error)) => return Err(error),
    };
    Ok(code(summary.differs, early || skipped > 0))
}

/// How it ended.
enum End {
    Over,
    Stopped,
}

enum Failure {
    Speak(SpeakError),
    Output(anyhow::Error),
}

impl From<SpeakError> for Failure {
    fn from(error: SpeakError) -> Self {
        Failure::Speak(error)
    }
}

struct Run {
    host: Host,
    speaker: Speaker,
    clock: Clock,
    stop: Arc<AtomicBool>,
    view: View,
    progress: Progress,
    /// The lines of the terminal, with --step.
    keys: Option<Receiver<String>>,
    dialect: &'static Dialect,
}

impl Run {
    fn all(&mut self) -> Result<End, Failure> {
        match self.play() {
            Err(Failure::Speak(SpeakError::Stopped)) => Ok(End::Stopped),
            result => result,
        }
    }

    fn play(&mut self) -> Result<End, Failure> {
        let mut begun = false;
        let mut asked = None;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(End::Stopped);
            }
            match self.host.poll(self.clock.now()) {
                HostTodo::Send(request) => {
                    let (policy, sent) = self.host.waits();
                    let time = self.speaker.send_request(&request, policy, sent, &mut |_| ())?;
                    let before = self.speaker.take_heard();
                    // What was there before the first request answers none.
                    if begun {
                        before.iter().for_each(|(time, bytes)| self.host.heard(bytes, *time));
                    }
                    begun = true;
                    self.host.sent(time);
                }
                HostTodo::Wait(until) => self.hear(until, begun)?,
                HostTodo::Ask(at) => {
                    if asked != Some(at) {
                        self.prompt(at);
                        asked = Some(at);
                    }
                    match self.key() {
                        Some(Key::Go) => {
                            asked = None;
                            self.host.go();
                        }
                        Some(Key::Skip) => {
                            asked = None;
                            self.host.skip();
                        }
                        Some(Key::Again) => asked = None,
                        Some(Key::Quit) => return Ok(End::Stopped),
                        None => {
                            let until = Time(self.clock.now().0.saturating_add(ASKING));
                            self.hear(until, begun)?;
                        }
                    }
                }
                HostTodo::Done => {
                    self.tell()?;
                    return Ok(End::Over);
                }
            }
            self.tell()?;
        }
    }

    fn hear(&mut self, until: Time, begun: bool) -> Result<(), Failure> {
        self.speaker.hear_once(until, &mut |_| ())?;
        for (time, bytes) in self.speaker.take_heard() {
            if begun {
                self.host.heard(&bytes, time);
            }
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.host.pull() {
            self.view.host_event(&event, self.host.script()).map_err(Failure::Output)?;
        }
        self.progress.set(self.host.position() as u64);
        Ok(())
    }

    /// Asks whether the request is to be sent.
    fn prompt(&self, at: usize) {
        let steps = self.host.script().steps();
        let asked = view::asked(&steps[at], self.dialect);
        eprint!("{}/{}  {asked}  [Enter sends it, s skips it, q ends] ", at + 1, steps.len());
        // A terminal that is gone ends the keys, too.
        let _ = io::stderr().flush();
    }

    /// What was answered.
    fn key(&self) -> Option<Key> {
        let keys = self.keys.as_ref()?;
        match keys.try_recv() {
            Ok(line) => Some(match line.trim() {
                "" => Key::Go,
                "s" | "S" => Key::Skip,
                "q" | "Q" => Key::Quit,
                _ => Key::Again,
            }),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Key::Quit),
        }
    }
}

enum Key {
    Go,
    Skip,
    Quit,
    /// What was typed is none of these.
    Again,
}

/// The lines that are typed. The thread waits for the next one until the program ends.
fn keys() -> Receiver<String> {
    let (sender, keys) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    keys
}

/// Lists what may not be sent here, function by function; whether there is anything.
fn refuse(script: &Script, guard: &Guard) -> bool {
    let dialect = script.dialect();
    let mut rows: BTreeMap<(Effect, String), u64> = BTreeMap::new();
    let mut transmit = false;
    for step in script.steps() {
        let frame = step.frame();
        if let Err(refusal) = guard.check(&frame, dialect) {
            let what = match dialect.find(frame.addr(), frame.func()) {
                Some(function) => function.name.to_owned(),
                None => format!("function {:02X}", frame.func()),
            };
            *rows.entry((refusal.effect, what)).or_default() += 1;
            transmit |= refusal.transmit;
        }
    }
    if rows.is_empty() {
        return false;
    }
    let (count, all) = (rows.values().sum::<u64>(), script.steps().len());
    eprintln!("k485: nothing was sent: {count} of {all} requests are not allowed");
    let flags = |effects: &[&str]| {
        let transmit = if transmit { " --transmit" } else { "" };
        let allow = if effects.is_empty() { "" } else { " --allow " };
        format!("{transmit}{allow}{}", effects.join(","))
    };
    let missing = |effect: Effect| effect != Effect::Read && !guard.allow.contains(&effect);
    let width = rows.keys().map(|(_, what)| what.len()).max().unwrap_or(0);
    for ((effect, what), count) in &rows {
        let own: &[&str] = if missing(*effect) { &[effect.name()] } else { &[] };
        let flags = flags(own);
        eprintln!("  {effect:<8}  {what:<width$}  {count:>6} {flags}");
    }
    let effects = Effect::ALL
        .into_iter()
        .filter(|effect| missing(*effect) && rows.keys().any(|(refused, _)| refused == effect));
    let effects: Vec<Effect> = effects.collect();
    for effect in &effects {
        eprintln!("{effect}: {}", effect.meaning());
    }
    let names: Vec<&str> = effects.iter().map(|effect| effect.name()).collect();
    eprintln!("If that is meant, add{}; -F chooses what is played", flags(&names));
    true
}
