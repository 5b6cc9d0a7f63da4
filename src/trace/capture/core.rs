//! The thread that reads a stream and keeps it: it waits for no screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, channel};
use std::thread;
use std::time::{Duration, Instant};

use k485_link::{Clock, Event as Heard, Link};
use k485_proto::record::Time;
use k485_trace::Event;
use k485_trace::event::Kind;
use k485_trace::keep::Keeper;
use k485_trace::stream::{Decoder, Greeting, Piece, hello};
use k485_trace::survey::Survey;

use super::target::{Failure, Target};

/// The longest that it does not look whether it is to end.
const WAIT: Duration = Duration::from_millis(50);
/// How much is read at a time.
const CHUNK: usize = 64 << 10;
/// After so long without a greeting, that is said.
const GREETING: Duration = Duration::from_secs(5);
/// The shortest and the longest time between two attempts to connect anew.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// What is shown.
pub(super) enum News {
    /// Lines as they came.
    Lines(Vec<String>),
    /// Something to say on stderr.
    Say(String),
}

/// How many batches of lines wait for the screen.
pub(super) const WAITING: usize = 256;

/// What is captured, and how.
pub(super) struct Core {
    pub(super) target: Target,
    pub(super) port: Option<u16>,
    pub(super) token: Option<String>,
    pub(super) binary: bool,
    /// Whether the first connection may be refused, too.
    pub(super) wait: bool,
    pub(super) keeper: Option<Keeper>,
    pub(super) news: Option<SyncSender<News>>,
    pub(super) clock: Clock,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) until: Option<Instant>,
    /// How many more events; `None` for all.
    pub(super) left: Option<u64>,
    pub(super) end: End,
    /// When a connection was lost, and why; until it is there again.
    pub(super) lost: Option<Lost>,
    pub(super) last: Last,
    /// Whether a connection came about.
    pub(super) reached: bool,
}

/// A connection that was lost.
#[derive(Debug)]
pub(super) struct Lost {
    since: Instant,
    reason: String,
    torn: Vec<u8>,
}

/// What is known of the tracer before a connection was lost.
#[derive(Debug, Default)]
pub(super) struct Last {
    time: Option<Time>,
    seq: Option<u64>,
    pid: Option<u64>,
}

/// How it ended.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) survey: Survey,
    /// Lines that are no events.
    pub(super) bad: u64,
    /// Lines that are not shown, since the screen was too slow.
    pub(super) not_shown: u64,
    /// Events of gaps, as far as their numbers tell.
    pub(super) missed: u64,
    pub(super) connections: u64,
    /// Why there was no connection at all.
    pub(super) failure: Option<String>,
}

/// Why a connection ended.
enum Over {
    /// It is to end.
    Stop,
    /// It was lost.
    Lost(String),
    /// The tracer refused.
    Refused(String),
}

impl Core {
    /// Captures until it is stopped, or has enough.
    pub(super) fn run(mut self) -> (End, Option<Keeper>) {
        let mut pause = RETRY.0;
        let mut said: Option<String> = None;
        while !self.is_over() {
            match self.connect() {
                None => break,
                Some(Ok(mut link)) => {
                    self.reached = true;
                    let before = self.end.survey.events();
                    match self.listen(link.as_mut()) {
                        Over::Stop => break,
                        Over::Lost(reason) => self.lose(&reason, &mut said),
                        Over::Refused(why) => {
                            let why = format!("the tracer refuses: {why}");
                            if self.end.survey.events() == 0 {
                                self.end.failure = Some(why);
                                break;
                            }
                            say_once(&mut said, why, |what| self.say(what));
                        }
                    }
                    if self.end.survey.events() > before {
                        (pause, said) = (RETRY.0, None);
                    }
                }
                Some(Err(failure)) => {
                    let (Failure::Refused(why) | Failure::Other(why)) = failure;
                    if self.end.connections == 0 && !self.wait {
                        self.end.failure = Some(why);
                        break;
                    }
                    say_once(&mut said, why, |what| self.say(what));
                }
            }
            self.rest(pause);
            pause = (pause * 2).min(RETRY.1);
        }
        if let Some(lost) = self.lost.take()
            && self.end.connections > 0
        {
            self.mark_gap(&lost, None, None);
        }
        if self.end.failure.is_none() && self.end.survey.events() == 0 {
            self.end.failure = Some(self.silence().to_owned());
        }
        self.finish()
    }

    /// Why not a single event came.
    fn silence(&self) -> &'static str {
        if !self.reached {
            "no connection came about"
        } else if self.end.bad > 0 {
            "connected, but not one event came: is it a tracer?"
        } else if self.token.is_some() {
            "connected, but nothing came, not even the tracer's greeting: is it a tracer?"
        } else {
            "connected, but nothing came, not even the tracer's greeting: does it ask for a token \
             (--token)? is it a tracer at all?"
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
            || self.left == Some(0)
            || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Connects, in a thread of its own since that may take long; `None` if it is to end meanwhile.
    fn connect(&self) -> Option<Result<Box<dyn Link>, Failure>> {
        let (sender, receiver) = channel();
        let (target, port, clock) = (self.target.clone(), self.port, self.clock);
        let connecting = thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = sender.send(target.open(port, clock));
        });
        if let Err(error) = connecting {
            return Some(Err(Failure::Other(format!("cannot start a thread: {error}"))));
        }
        loop {
            match receiver.recv_timeout(WAIT) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Timeout) if self.is_over() => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(Err(Failure::Other("the attempt to connect failed".to_owned())));
                }
            }
        }
    }

    /// Hears one connection to its end.
    fn listen(&mut self, link: &mut dyn Link) -> Over {
        let mut decoder = Decoder::new();
        let mut buf = vec![0; CHUNK];
        let begun = Instant::now();
        let (mut heard_any, mut hinted) = (false, false);
        // A tracer that asks for a token says nothing before it is told one; none other is spoken to
        // before it has said what it is.
        if let Some(token) = &self.token {
            let hello = hello(self.binary, Some(token));
            if let Err(error) = link.send(hello.as_bytes()) {
                return Over::Lost(error.to_string());
            }
        }
        loop {
            if self.is_over() {
                return Over::Stop;
            }
            self.tick();
            if self.keeper.as_ref().is_some_and(Keeper::is_stuck) {
                // The tracer counts what it cannot hand over.
                thread::sleep(WAIT);
                continue;
            }
            let n = match link.read(&mut buf, WAIT) {
                Ok(Heard::Bytes { n, .. }) => n,
                Ok(Heard::Idle) => {
                    if !heard_any && !hinted && begun.elapsed() >= GREETING {
                        hinted = true;
                        self.say(
                            "connected, but nothing is said: does the tracer ask for a token \
                             (--token)? is it a tracer at all?",
                        );
                    }
                    continue;
                }
                Ok(Heard::Closed) => return self.closed(heard_any, &mut decoder),
                Err(error) => {
                    self.torn(&mut decoder);
                    return Over::Lost(error.to_string());
                }
            };
            heard_any = true;
            decoder.push(&buf[..n]);
            let mut lines = Vec::new();
            let mut over = None;
            while let Some(piece) = decoder.pull() {
                match piece {
                    Piece::Line(line) => {
                        if let Some(greeting) = self.line(&line)
                            && self.binary
                            && self.token.is_none()
                            && greeting.speaks_binary()
                            && let Err(error) = link.send(hello(true, None).as_bytes())
                        {
                            over = Some(Over::Lost(error.to_string()));
                        }
                        lines.push(line);
                        if self.left == Some(0) {
                            over = Some(Over::Stop);
                            break;
                        }
                    }
                    Piece::Bad { why, text } => self.bad(&why, &text),
                    Piece::Refused(why) => over = Some(Over::Refused(why)),
                    Piece::Broken(why) => {
                        // In plain lines nothing of the kind can happen again.
                        self.binary = false;
                        over = Some(Over::Lost(format!("the stream makes no sense: {why}")));
                    }
                }
            }
            self.show(lines);
            if let Some(over) = over {
                return over;
            }
        }
    }

    fn closed(&mut self, heard_any: bool, decoder: &mut Decoder) -> Over {
        // Ctrl-C on a terminal ends ssh as well, maybe a moment earlier.
        thread::sleep(WAIT);
        if self.is_over() {
            return Over::Stop;
        }
        self.torn(decoder);
        match &self.target {
            Target::Ssh { .. } if !heard_any => Over::Lost(
                "ssh ended before the stream began, see above; if it says that the connection was \
                 refused, start the stream with TRACE_STREAM_START in the printer's console, or for \
                 good with `auto_start: True` below [trace_hooks] in printer.cfg"
                    .to_owned(),
            ),
            _ => Over::Lost("the connection was closed by the other side".to_owned()),
        }
    }

    /// What is left of a line is no line, but is not forgotten.
    fn torn(&mut self, decoder: &mut Decoder) {
        let torn = decoder.finish();
        let torn = if decoder.is_binary() { Vec::new() } else { torn };
        self.lost = Some(Lost { since: Instant::now(), reason: String::new(), torn });
    }

    fn lose(&mut self, reason: &str, said: &mut Option<String>) {
        let lost = self.lost.get_or_insert_with(|| Lost {
            since: Instant::now(),
            reason: String::new(),
            torn: Vec::new(),
        });
        if lost.reason.is_empty() {
            reason.clone_into(&mut lost.reason);
        }
        if self.end.connections == 0 && !self.wait {
            self.end.failure = Some(reason.to_owned());
            self.stop.store(true, Ordering::SeqCst);
            return;
        }
        say_once(said, format!("{reason}; connecting anew until Ctrl-C"), |what| self.say(what));
    }

    /// A line: kept, and counted. Gives what a greeting says.
    fn line(&mut self, line: &str) -> Option<Greeting> {
        let Ok(event) = Event::parse(line, 0, 0) else {
            // JSON, but nothing that a reader would take.
            let why = Event::parse(line, 0, 0).err().map(|error| error.to_string());
            self.bad(&why.unwrap_or_default(), line);
            return None;
        };
        let mut greeting = None;
        if matches!(event.kind, Kind::Connected { .. }) {
            let told = Greeting::of(line);
            if let Some(lost) = self.lost.take().filter(|_| self.end.connections > 0) {
                let missed = self.last.missed(&told);
                self.mark_gap(&lost, event.time, missed);
            }
            self.end.connections += 1;
            self.last.pid = told.pid;
            self.last.seq = None;
            greeting = Some(told);
        }
        self.end.survey.take(&event, true);
        self.last.time = event.time.or(self.last.time);
        if !matches!(event.kind, Kind::Connected { .. }) {
            self.last.seq = event.context.seq.or(self.last.seq);
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        if let Some(keeper) = &mut self.keeper {
            let object = object(&event, line);
            keeper.write(line, object.as_deref(), self.clock.now());
        }
        greeting
    }

    /// Something that is no event: kept as the text in one.
    fn bad(&mut self, why: &str, text: &str) {
        self.end.bad += 1;
        if self.end.bad <= 3 {
            self.say(&format!("a line that is no event: {why}"));
        }
        let time = self.last.time.map(seconds);
        let line = serde_json::json!({
            "type": "unreadable", "time": time, "reason": why, "text": text,
        });
        if let Some(keeper) = &mut self.keeper {
            keeper.write(&line.to_string(), None, self.clock.now());
        }
    }

    /// Writes where the client was not connected.
    fn mark_gap(&mut self, lost: &Lost, to: Option<Time>, missed: Option<u64>) {
        self.end.missed += missed.unwrap_or(0);
        let mut line = serde_json::json!({
            "type": "gap",
            "time": to.or(self.last.time).map(seconds),
            "from": self.last.time.map(seconds),
            "to": to.map(seconds),
            "seconds": (lost.since.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            "reason": lost.reason,
        });
        if let Some(missed) = missed {
            line["missed"] = missed.into();
        }
        if !lost.torn.is_empty() {
            line["torn"] = String::from_utf8_lossy(&lost.torn).into_owned().into();
        }
        let line = line.to_string();
        if let Ok(event) = Event::parse(&line, 0, 0) {
            self.end.survey.take(&event, true);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.write_everywhere(&line, self.clock.now());
        }
        self.show(vec![line]);
    }

    /// What time alone brings.
    fn tick(&mut self) {
        let now = self.clock.now();
        let Some(keeper) = &mut self.keeper else { return };
        keeper.tick(now);
        while let Some(event) = self.keeper.as_mut().and_then(Keeper::event) {
            self.say(&event.to_string());
        }
    }

    fn rest(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_over() && Instant::now() < until {
            self.tick();
            thread::sleep(WAIT.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn finish(mut self) -> (End, Option<Keeper>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.finish(self.clock.now());
        }
        (self.end, self.keeper)
    }

    fn show(&mut self, lines: Vec<String>) {
        let count = lines.len() as u64;
        let Some(news) = &self.news else { return };
        if count == 0 {
            return;
        }
        match news.try_send(News::Lines(lines)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.end.not_shown += count,
            Err(TrySendError::Disconnected(_)) => self.news = None,
        }
    }

    fn say(&self, what: &str) {
        if let Some(news) = &self.news {
            // A screen that is stuck does not read it anyway.
            let _ = news.try_send(News::Say(what.to_owned()));
        }
    }
}

impl Last {
    /// How many events a gap has, where the same tracer goes on.
    fn missed(&self, greeting: &Greeting) -> Option<u64> {
        let (last, next) = (self.seq?, greeting.seq?);
        let is_same = self.pid.is_some() && self.pid == greeting.pid && next > last;
        is_same.then(|| next - last - 1)
    }
}

fn say_once(said: &mut Option<String>, what: String, say: impl FnOnce(&str)) {
    if said.as_ref() != Some(&what) {
        say(&what);
        *said = Some(what);
    }
}

/// The object whose file a line belongs to.
fn object<'a>(event: &'a Event<'_>, line: &'a str) -> Option<std::borrow::Cow<'a, str>> {
    use std::borrow::Cow;
    match &event.kind {
        Kind::Call { site, .. }
        | Kind::Return { site, .. }
        | Kind::Error { site, .. }
        | Kind::Yield { site, .. }
        | Kind::Frame { site, .. } => Some(Cow::Borrowed(&site.object)),
        Kind::AttrRead { object, .. } => Some(Cow::Borrowed(object)),
        // What is told about tracing itself is not the object's doing.
        Kind::Other(kind) if !kind.contains("trace") => {
            #[derive(serde::Deserialize)]
            struct Of<'a> {
                #[serde(borrow)]
                object: Option<Cow<'a, str>>,
            }
            serde_json::from_str::<Of<'a>>(line).ok()?.object
        }
        _ => None,
    }
}

/// Seconds since 1970.
fn seconds(time: Time) -> serde_json::Number {
    let micros = time.0.div_euclid(1_000);
    let text = format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    text.parse().unwrap_or_else(|_| 0.into())
}
