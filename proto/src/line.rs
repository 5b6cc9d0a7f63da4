//! What was seen, as words for people: the same line on a terminal, in a page and in a log.
//!
//! Each function gives [`Word`]s that are not broken, with their part in the line; where a line
//! wraps, what colour a part has and how the time is written is the face's business. Nothing that
//! came from a wire can put a control character into a word.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::{Exchange, Observed, Outcome};
use crate::frame::{Frame, Hex};
use crate::message::{Message, Value};
use crate::record::{Direction, Origin, Record, Verdict};
use crate::status::Status;

/// What part a word plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A field, or anything else that needs no mark.
    Plain,
    /// What matters less.
    Minor,
    /// The device.
    Device,
    /// The function.
    Function,
    /// It went well.
    Good,
    /// A device says that it did not.
    Bad,
    /// Something to look at: no reply, noise, bytes that fit no layout.
    Warn,
}

/// A word of a line, which is not to be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its part.
    pub role: Role,
    /// Its text, never empty.
    pub text: String,
}

/// Words in the making.
#[derive(Default)]
struct Words(Vec<Word>);

impl Words {
    fn add(&mut self, role: Role, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Word { role, text });
        }
    }
}

/// One exchange: device, function, what was asked, what came back.
#[must_use]
pub fn exchange(exchange: &Exchange) -> Vec<Word> {
    let mut words = Words::default();
    if let Some(request) = &exchange.request {
        let message = request.message();
        subject(&mut words, request, &message);
        fields(&mut words, &message);
        marks(&mut words, request);
    } else if let Some(response) = &exchange.response {
        subject(&mut words, response, &response.message());
    } else {
        words.add(Role::Warn, "a return without a reply, whose call is not in the trace");
    }
    outcome(&mut words, exchange);
    words.0
}

/// One frame: device, function, STATUS (of a reply), fields.
#[must_use]
pub fn frame(observed: &Observed) -> Vec<Word> {
    let mut words = Words::default();
    let message = observed.message();
    words.add(Role::Warn, arrow(observed.dir));
    subject(&mut words, observed, &message);
    if observed.dir != Some(Direction::Request) {
        status(&mut words, observed);
    }
    fields(&mut words, &message);
    marks(&mut words, observed);
    words.0
}

/// What a frame's payload says: its fields, and what they left.
#[must_use]
pub fn payload(observed: &Observed) -> Vec<Word> {
    let mut words = Words::default();
    fields(&mut words, &observed.message());
    words.0
}

/// One stretch of noise, with at most `shown` of its bytes. Nothing for a record of another kind.
#[must_use]
pub fn noise(record: &Record, shown: usize) -> Vec<Word> {
    let mut words = Words::default();
    if let Verdict::Noise(reason) = record.verdict {
        let size = record.bytes.len();
        let plural = if size == 1 { "" } else { "s" };
        words.add(Role::Warn, format!("noise: {size} byte{plural} at {}: {reason}", record.offset));
        let shown = shown.min(size);
        let more = if shown < size { "…" } else { "" };
        words.add(Role::Minor, format!("{}{more}", Hex(&record.bytes[..shown])));
    }
    words.0
}

/// One gap: why bytes are missing, and how many. Nothing for a record of another kind.
#[must_use]
pub fn gap(record: &Record) -> Vec<Word> {
    let mut words = Words::default();
    if let Verdict::Gap(gap) = record.verdict {
        words.add(Role::Warn, format!("gap: {gap}"));
    }
    words.0
}

/// What a frame is made of, and how its direction is known.
#[must_use]
pub fn detail(observed: &Observed) -> Vec<Word> {
    let mut words = Words::default();
    let frame = observed.frame();
    let dir = observed.dir.map_or("unknown direction", Direction::name);
    words.add(
        Role::Minor,
        format!("{} {dir} ({}),", arrow(observed.dir), observed.dir_source.name()),
    );
    words.add(Role::Minor, format!("address {:02X},", frame.addr().0));
    words.add(Role::Minor, format!("LEN {},", frame.len_byte()));
    words.add(Role::Minor, format!("STATUS {:02X},", frame.status().0));
    words.add(Role::Minor, format!("FUNC {:02X}", frame.func()));
    let message = observed.message();
    if let Some(form) = message.form {
        let guess = if message.form_inferred { " (the only one that fits)" } else { "" };
        words.add(Role::Minor, format!("layout {form}{guess}"));
    }
    if observed.record.origin == Origin::Bare {
        words.add(Role::Minor, "bare (no head, no CRC)");
    }
    words.0
}

/// The bytes of a frame, its parts apart: head to FUNC, DATA, CRC. A bare frame has neither head
/// nor CRC.
#[must_use]
pub fn bytes(observed: &Observed) -> String {
    let frame: Frame<'_> = observed.frame();
    let raw = frame.raw();
    let (head, end) = match observed.record.origin {
        Origin::Wire => (spaced(&raw[..5]), spaced(&raw[raw.len() - 1..])),
        Origin::Bare => (spaced(&raw[1..5]), String::new()),
    };
    let parts = [head, spaced(frame.data()), end];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" | ")
}

fn spaced(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(" ")
}

/// `>` to a device, `<` from one, `?` where nobody knows.
fn arrow(dir: Option<Direction>) -> &'static str {
    match dir {
        Some(Direction::Request) => ">",
        Some(Direction::Response) => "<",
        None => "?",
    }
}

fn subject(words: &mut Words, observed: &Observed, message: &Message<'_>) {
    let frame = observed.frame();
    words.add(Role::Device, format!("{:<6}", observed.dialect.device(frame.addr())));
    let name = message.function.map_or_else(
        || format!("function 0x{:02X}", frame.func()),
        |function| function.name.to_owned(),
    );
    words.add(Role::Function, name);
}

/// The fields, and what they left.
fn fields(words: &mut Words, message: &Message<'_>) {
    for field in &message.fields {
        let (name, value, unit) = (field.field.name, &field.value, field.field.unit);
        if matches!(value, Value::Bytes(bytes) if bytes.is_empty()) {
            continue;
        }
        // A value with a name of its own needs no unit.
        let named = matches!(value, Value::Code { name: Some(_), .. });
        let unit = if unit.is_empty() || named { String::new() } else { format!(" {unit}") };
        words.add(Role::Plain, format!("{name}={value}{unit}"));
    }
    if message.form_inferred && !message.fields.is_empty() {
        words.add(Role::Minor, "[layout inferred]");
    }
    if !message.rest.is_empty() {
        words.add(Role::Warn, format!("data={}", Hex(message.rest)));
    }
    if let Some(misfit) = message.misfit {
        words.add(Role::Warn, format!("[{misfit}]"));
    }
}

fn marks(words: &mut Words, observed: &Observed) {
    if observed.implausible {
        words.add(Role::Bad, "[implausible address]");
    }
    // Every traced call carries its frame bare; elsewhere it is worth a word.
    if observed.record.origin == Origin::Bare && observed.record.call.is_none() {
        words.add(Role::Minor, "[bare]");
    }
}

fn status(words: &mut Words, observed: &Observed) {
    let status = observed.frame().status();
    let role = if status == Status::OK { Role::Good } else { Role::Bad };
    words.add(role, observed.dialect.status_name(status));
    if let Some(info) = observed.dialect.status(status).filter(|_| status != Status::OK) {
        words.add(role, format!("({})", info.meaning));
    }
}

/// What came back.
fn outcome(words: &mut Words, exchange: &Exchange) {
    if let Some(response) = &exchange.response {
        words.add(Role::Minor, if exchange.request.is_some() { "->" } else { "<-" });
        status(words, response);
        fields(words, &response.message());
        marks(words, response);
    }
    let (role, text) = match (exchange.outcome, &exchange.request) {
        (Outcome::Answered | Outcome::NoReplyExpected, _) => (Role::Plain, ""),
        (Outcome::Timeout, _) => (Role::Warn, "-> no reply"),
        (Outcome::Unfinished, _) => {
            (Role::Minor, "-> no reply before the capture ends or has a gap")
        }
        (Outcome::Unsolicited, Some(_)) => (Role::Warn, "[late: the host had gone on]"),
        (Outcome::Unsolicited, None) => (Role::Warn, "[unsolicited]"),
        (Outcome::RequestNotSeen, _) => (Role::Warn, "[request not seen]"),
    };
    words.add(role, text);
    if let Some(attempts) = exchange.attempts.filter(|attempts| *attempts > 1) {
        words.add(Role::Warn, format!("[sent {attempts} times]"));
    }
}
