//! Lines for people on a terminal or in a file: columns for time and latency before the words of
//! [`k485_proto::line`], colours, wrapping.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use k485_proto::exchange::{Exchange, Observed};
use k485_proto::line::{self, Role, Word};
use k485_proto::record::{Record, Time};
use k485_sniffer::changes::Change;
use k485_sniffer::fields::Shown;
use k485_sniffer::fold::Polls;
use k485_sniffer::trigger::Begin;

/// Where a wrapped line goes on: behind the columns of time and latency.
const INDENT: usize = 24;
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
    /// Frames alone are shown, no exchanges.
    frames: bool,
    verbose: u8,
    /// What stands before the columns.
    mark: &'static str,
    zone: TimeZone,
    date: Option<Date>,
    /// The second of the last line, and how the wall clock shows it.
    second: Option<(i64, String)>,
}

impl<W: Write> Text<W> {
    /// A writer of text in the machine's time zone.
    pub(crate) fn new(
        out: W,
        color: bool,
        width: Option<usize>,
        frames: bool,
        verbose: u8,
    ) -> Self {
        let zone = TimeZone::system();
        Text { out, color, width, frames, verbose, mark: "", zone, date: None, second: None }
    }

    /// A heading between inputs.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.date = None;
        self.line(&[word(Role::Device, format!("== {text} =="))])
    }

    /// A line where something is left out.
    pub(crate) fn gap(&mut self) -> io::Result<()> {
        self.line(&[word(Role::Minor, "--".to_owned())])
    }

    /// Marks what follows.
    pub(crate) fn mark(&mut self, found: bool) {
        self.mark = if found { "* " } else { "  " };
    }

    /// One exchange.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        let offset = exchange.subject().map(|observed| observed.record.offset);
        let latency = exchange.latency_ns.map(milliseconds).unwrap_or_default();
        self.columns(exchange.time, offset, &latency, line::exchange(exchange))?;
        if self.verbose > 0 {
            for observed in [&exchange.request, &exchange.response].into_iter().flatten() {
                self.detail(observed)?;
            }
        }
        Ok(())
    }

    /// One frame.
    pub(crate) fn frame(&mut self, observed: &Observed) -> io::Result<()> {
        let record = &observed.record;
        self.columns(record.time, Some(record.offset), "", line::frame(observed))?;
        if self.verbose > 0 { self.detail(observed) } else { Ok(()) }
    }

    /// One stretch of noise.
    pub(crate) fn noise(&mut self, record: &Record) -> io::Result<()> {
        let shown = if self.verbose > 1 { usize::MAX } else { NOISE_SHOWN };
        self.columns(record.time, Some(record.offset), "", line::noise(record, shown))
    }

    /// Polls that were folded.
    pub(crate) fn polls(&mut self, polls: &Polls) -> io::Result<()> {
        self.columns(polls.until, None, "", polls.words())
    }

    /// What changed: a line a field, or one line for what was never seen before.
    pub(crate) fn change(&mut self, change: &Change<'_>, several: bool) -> io::Result<()> {
        let row = change.row;
        let mut subject = Vec::new();
        if several {
            subject.push(word(Role::Minor, row.key.bus.to_string()));
        }
        subject.push(word(Role::Device, format!("{:<6}", row.device)));
        subject.push(word(Role::Function, row.function_name()));
        subject.extend(row.arguments.iter().cloned());
        if change.is_first {
            subject.push(word(Role::Minor, "first seen:".to_owned()));
            subject.extend(change.fields.iter().map(|field| {
                word(Role::Plain, format!("{}={}{}", field.name, field.new, unit(field.unit)))
            }));
            return self.timed(row.time, subject);
        }
        for field in &change.fields {
            let mut words = subject.clone();
            let old = field.old.as_ref().map_or_else(|| "none".to_owned(), Shown::to_string);
            words.push(word(Role::Plain, field.name.clone()));
            words.push(word(Role::Minor, format!("{old} ->")));
            words.push(word(Role::Warn, format!("{}{}", field.new, unit(field.unit))));
            self.timed(row.time, words)?;
        }
        Ok(())
    }

    /// Where a trigger lets out what is around a match.
    pub(crate) fn trigger(&mut self, begin: &Begin) -> io::Result<()> {
        let at = self.clock(begin.at)?;
        let cut = match begin.cut {
            Some(cut) => {
                format!("; what came up to {} did not fit into the memory", self.clock(cut)?)
            }
            None => String::new(),
        };
        self.line(&[word(Role::Device, format!("== trigger at {at}{cut} =="))])
    }

    /// One place where bytes are missing.
    pub(crate) fn missing(&mut self, record: &Record) -> io::Result<()> {
        self.columns(record.time, Some(record.offset), "", line::gap(record))
    }

    /// Hands everything to the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// What `-v` and `-vv` add for a frame.
    fn detail(&mut self, observed: &Observed) -> io::Result<()> {
        self.indented(line::detail(observed))?;
        if self.verbose > 1 {
            self.indented(vec![word(Role::Minor, format!("  {}", line::bytes(observed)))])?;
        }
        Ok(())
    }

    /// A line behind the columns of the time (the place, where there is no time) and the latency.
    fn columns(
        &mut self,
        time: Option<Time>,
        offset: Option<u64>,
        latency: &str,
        words: Vec<Word>,
    ) -> io::Result<()> {
        let place = match (time, offset) {
            (Some(time), _) => self.clock(time)?,
            (None, Some(offset)) => format!("@{offset}"),
            (None, None) => String::new(),
        };
        // A frame has no latency, so frames alone need no column for it.
        let latency = if self.frames { String::new() } else { format!(" {latency:>10}") };
        let mut line = vec![word(Role::Minor, format!("{}{place:<12}{latency}", self.mark))];
        line.extend(words);
        self.line(&line)
    }

    /// A line behind the column of the time alone.
    fn timed(&mut self, time: Option<Time>, words: Vec<Word>) -> io::Result<()> {
        let place = time.map(|time| self.clock(time)).transpose()?.unwrap_or_default();
        let mut line = vec![word(Role::Minor, format!("{place:<12}"))];
        line.extend(words);
        self.line(&line)
    }

    fn indented(&mut self, words: Vec<Word>) -> io::Result<()> {
        let mut line = vec![word(Role::Minor, " ".repeat(INDENT - 1))];
        line.extend(words);
        self.line(&line)
    }

    /// A time as the wall clock shows it, with a line of its own when the day changes.
    fn clock(&mut self, time: Time) -> io::Result<String> {
        let millis = time.0.div_euclid(Time::MILLISECOND);
        let (second, millis) = (millis.div_euclid(1000), millis.rem_euclid(1000));
        // A busy bus has thousands of lines a second, and a time zone's rules are slow to ask.
        if self.date.is_none() || self.second.as_ref().is_none_or(|(last, _)| *last != second) {
            let stamp = Timestamp::from_second(second).ok();
            let Some(stamp) = stamp.filter(|_| time.0 >= EPOCH) else {
                return Ok(format!("{second}.{millis:03}"));
            };
            let local = stamp.to_zoned(self.zone.clone());
            if self.date != Some(local.date()) {
                self.date = Some(local.date());
                let text = local.strftime("-- %Y-%m-%d (UTC%:z) --").to_string();
                self.line(&[word(Role::Minor, text)])?;
            }
            self.second = Some((second, local.strftime("%H:%M:%S").to_string()));
        }
        let clock = self.second.as_ref().map_or("", |(_, clock)| clock);
        Ok(format!("{clock}.{millis:03}"))
    }

    fn line(&mut self, words: &[Word]) -> io::Result<()> {
        let mut column = 0;
        for Word { role, text } in words {
            let size = text.chars().count();
            let space = usize::from(column > 0);
            if self.width.is_some_and(|width| column > INDENT && column + space + size > width) {
                write!(self.out, "\n{:INDENT$}", "")?;
                column = INDENT;
            } else if space > 0 {
                self.out.write_all(b" ")?;
                column += 1;
            }
            column += size;
            match style(*role).filter(|_| self.color) {
                Some(style) => {
                    write!(self.out, "{}{text}{}", style.render(), style.render_reset())?;
                }
                None => self.out.write_all(text.as_bytes())?,
            }
        }
        self.out.write_all(b"\n")
    }
}

/// A unit behind its number.
fn unit(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

fn word(role: Role, text: String) -> Word {
    Word { role, text }
}

pub(crate) fn style(role: Role) -> Option<Style> {
    match role {
        Role::Plain => None,
        Role::Minor => Some(Style::new().dimmed()),
        Role::Device => Some(Style::new().bold()),
        Role::Function => Some(AnsiColor::Cyan.on_default()),
        Role::Good => Some(AnsiColor::Green.on_default()),
        Role::Bad => Some(AnsiColor::Red.on_default().bold()),
        Role::Warn => Some(AnsiColor::Yellow.on_default()),
    }
}

fn milliseconds(nanos: i64) -> String {
    let tenths = nanos.div_euclid(Time::MILLISECOND / 10);
    format!("{}.{} ms", tenths.div_euclid(10), tenths.rem_euclid(10))
}
