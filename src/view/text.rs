//! Lines for people: time, latency, device, function, what was asked, what came back.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use k485_proto::exchange::{Exchange, Observed, Outcome};
use k485_proto::frame::{Frame, Hex};
use k485_proto::message::Message;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_proto::status::Status;

const DIM: Style = Style::new().dimmed();
const DEVICE: Style = Style::new().bold();
const FUNCTION: Style = AnsiColor::Cyan.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// Where a line goes on after it was wrapped.
const INDENT: usize = 26;
/// Bytes of noise shown without `-vv`.
const NOISE_SHOWN: usize = 16;
/// Before this (the year 2000) a time counts from an origin that nobody told.
const EPOCH: i64 = 946_684_800 * Time::SECOND;

/// Writes lines of text.
pub(crate) struct Text<W> {
    out: W,
    color: bool,
    /// Columns to wrap at; `None` where nothing wraps (a pipe, a file).
    width: Option<usize>,
    verbose: u8,
    zone: TimeZone,
    date: Option<Date>,
}

/// A line in the making: words that are not broken, each in one style.
#[derive(Default)]
struct Line(Vec<(Style, String)>);

impl Line {
    fn word(&mut self, style: Style, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push((style, text));
        }
    }
}

impl<W: Write> Text<W> {
    /// A writer of text in the machine's time zone.
    pub(crate) fn new(out: W, color: bool, width: Option<usize>, verbose: u8) -> Self {
        Text { out, color, width, verbose, zone: TimeZone::system(), date: None }
    }

    /// A heading between inputs.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.date = None;
        let mut line = Line::default();
        line.word(DEVICE, format!("== {text} =="));
        self.write(&line)
    }

    /// One exchange.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        let offset = exchange.subject().map(|observed| observed.record.offset);
        let mut line = self.start(exchange.time, offset)?;
        let latency = exchange.latency_ns.map(milliseconds).unwrap_or_default();
        line.word(DIM, format!("{latency:>10}"));
        if let Some(request) = &exchange.request {
            self.subject(&mut line, request);
            words(&mut line, &request.message());
            marks(&mut line, request);
        } else if let Some(response) = &exchange.response {
            self.subject(&mut line, response);
        } else {
            line.word(WARN, "a return without a reply, whose call is not in the trace");
        }
        outcome(&mut line, exchange);
        self.write(&line)?;
        if self.verbose > 0 {
            for observed in [&exchange.request, &exchange.response].into_iter().flatten() {
                self.detail(observed)?;
            }
        }
        Ok(())
    }

    /// One frame.
    pub(crate) fn frame(&mut self, observed: &Observed) -> io::Result<()> {
        let mut line = self.start(observed.record.time, Some(observed.record.offset))?;
        line.word(WARN, arrow(observed.dir));
        self.subject(&mut line, observed);
        if observed.dir != Some(Direction::Request) {
            status(&mut line, observed.frame().status());
        }
        words(&mut line, &observed.message());
        marks(&mut line, observed);
        self.write(&line)?;
        if self.verbose > 0 { self.detail(observed) } else { Ok(()) }
    }

    /// One stretch of noise.
    pub(crate) fn noise(&mut self, record: &Record) -> io::Result<()> {
        let Verdict::Noise(reason) = record.verdict else { return Ok(()) };
        let mut line = self.start(record.time, Some(record.offset))?;
        let size = record.bytes.len();
        let plural = if size == 1 { "" } else { "s" };
        line.word(WARN, format!("noise: {size} byte{plural} at {}: {reason}", record.offset));
        let shown = if self.verbose > 1 { size } else { size.min(NOISE_SHOWN) };
        let more = if shown < size { "…" } else { "" };
        line.word(DIM, format!("{}{more}", Hex(&record.bytes[..shown])));
        self.write(&line)
    }

    /// Hands everything to the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The column of the time, or of the place where there is no time.
    fn start(&mut self, time: Option<Time>, offset: Option<u64>) -> io::Result<Line> {
        let mut line = Line::default();
        let text = match (time, offset) {
            (Some(time), _) => self.clock(time)?,
            (None, Some(offset)) => format!("@{offset}"),
            (None, None) => String::new(),
        };
        line.word(DIM, format!("{text:<12}"));
        Ok(line)
    }

    /// A time as the wall clock shows it, with a line of its own when the day changes.
    fn clock(&mut self, time: Time) -> io::Result<String> {
        let stamp = Timestamp::from_nanosecond(i128::from(time.0)).ok();
        let Some(stamp) = stamp.filter(|_| time.0 >= EPOCH) else {
            let millis = time.0.div_euclid(Time::MILLISECOND);
            return Ok(format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000)));
        };
        let local = stamp.to_zoned(self.zone.clone());
        if self.date != Some(local.date()) {
            self.date = Some(local.date());
            let mut line = Line::default();
            line.word(DIM, local.strftime("-- %Y-%m-%d (UTC%:z) --").to_string());
            self.write(&line)?;
        }
        Ok(local.strftime("%H:%M:%S.%3f").to_string())
    }

    fn subject(&self, line: &mut Line, observed: &Observed) {
        let frame = observed.frame();
        line.word(DEVICE, format!("{:<6}", frame.addr().to_string()));
        let message = observed.message();
        let name = message.function.map_or_else(
            || format!("function 0x{:02X}", frame.func()),
            |function| function.name.to_owned(),
        );
        line.word(FUNCTION, name);
    }

    /// What `-v` and `-vv` add for a frame.
    fn detail(&mut self, observed: &Observed) -> io::Result<()> {
        let frame = observed.frame();
        let record = &observed.record;
        let mut line = Line::default();
        let dir = observed.dir.map_or("unknown direction", Direction::name);
        line.word(DIM, format!("{:12} {:>10} {dir}", "", arrow(observed.dir)));
        let source = format!("{:?}", observed.dir_source).to_lowercase();
        line.word(
            DIM,
            format!(
                "({source}), address {:02X}, LEN {}, STATUS {:02X}, FUNC {:02X}",
                frame.addr().0,
                frame.len_byte(),
                frame.status().0,
                frame.func()
            ),
        );
        if let Some(form) = observed.message().form {
            line.word(DIM, format!("layout {form}"));
        }
        if record.origin == Origin::Bare {
            line.word(DIM, "bare (no head, no CRC)");
        }
        self.write(&line)?;
        if self.verbose > 1 {
            let mut line = Line::default();
            line.word(DIM, format!("{:25}", ""));
            line.word(DIM, dissected(&frame, record.origin));
            self.write(&line)?;
        }
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut column = 0;
        for (style, word) in &line.0 {
            let size = word.chars().count();
            let space = usize::from(column > 0);
            if self.width.is_some_and(|width| column > INDENT && column + space + size > width) {
                write!(self.out, "\n{:INDENT$}", "")?;
                column = INDENT;
            } else if space > 0 {
                self.out.write_all(b" ")?;
                column += 1;
            }
            column += size;
            if self.color && *style != PLAIN {
                write!(self.out, "{}{word}{}", style.render(), style.render_reset())?;
            } else {
                self.out.write_all(word.as_bytes())?;
            }
        }
        self.out.write_all(b"\n")
    }
}

fn arrow(dir: Option<Direction>) -> &'static str {
    match dir {
        Some(Direction::Request) => ">",
        Some(Direction::Response) => "<",
        None => "?",
    }
}

fn milliseconds(nanos: i64) -> String {
    let tenths = nanos.div_euclid(Time::MILLISECOND / 10);
    format!("{}.{} ms", tenths.div_euclid(10), tenths.rem_euclid(10))
}

/// The fields, and what they left.
fn words(line: &mut Line, message: &Message<'_>) {
    for field in &message.fields {
        let (name, value, unit) = (field.field.name, &field.value, field.field.unit);
        // A value's own name needs no unit.
        let named = matches!(value, k485_proto::message::Value::Code { name: Some(_), .. });
        let unit = if unit.is_empty() || named { String::new() } else { format!(" {unit}") };
        line.word(PLAIN, format!("{name}={value}{unit}"));
    }
    if !message.rest.is_empty() {
        line.word(WARN, format!("data={}", Hex(message.rest)));
    }
    if let Some(misfit) = message.misfit {
        line.word(WARN, format!("[{misfit}]"));
    }
}

fn marks(line: &mut Line, observed: &Observed) {
    if observed.implausible {
        line.word(BAD, "[implausible address]");
    }
}

fn status(line: &mut Line, status: Status) {
    let style = if status == Status::OK { GOOD } else { BAD };
    line.word(style, status.to_string());
}

/// What came back.
fn outcome(line: &mut Line, exchange: &Exchange) {
    let sends = match exchange.attempts {
        Some(1) | None => String::new(),
        Some(attempts) => format!("[sent {attempts} times]"),
    };
    if let Some(response) = &exchange.response {
        line.word(DIM, if exchange.request.is_some() { "->" } else { "<-" });
        status(line, response.frame().status());
        words(line, &response.message());
        marks(line, response);
    }
    let (style, text) = match (exchange.outcome, &exchange.request) {
        (Outcome::Answered | Outcome::NoReplyExpected, _) => (PLAIN, ""),
        (Outcome::Timeout, _) => (WARN, "-> no reply"),
        (Outcome::Unfinished, _) => (DIM, "-> no reply before the capture ends"),
        (Outcome::Unsolicited, Some(_)) => (WARN, "[late: the host had gone on]"),
        (Outcome::Unsolicited, None) => (WARN, "[unsolicited]"),
        (Outcome::RequestNotSeen, _) => (WARN, "[request not seen]"),
    };
    line.word(style, text);
    line.word(WARN, sends);
}

/// The bytes of a frame, its parts apart: head, address, LEN, STATUS, FUNC, DATA, CRC.
fn dissected(frame: &Frame<'_>, origin: Origin) -> String {
    let spaced = |bytes: &[u8]| {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(" ")
    };
    let raw = frame.raw();
    let (head, end) = match origin {
        Origin::Wire => (spaced(&raw[..5]), spaced(&raw[raw.len() - 1..])),
        Origin::Bare => (spaced(&raw[1..5]), String::new()),
    };
    [head, spaced(frame.data()), end]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" | ")
}
