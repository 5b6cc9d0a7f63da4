//! What frames say: the declarations of every known function, and their reading.
//!
//! A function is declared once, in the file of its device class ([`boxes`], [`addressing`],
//! [`motors`], [`belts`], [`rack`]), with [`function!`](self::declare). The declaration makes two
//! faces of the same layout: a constant table ([`Function`], [`Form`], [`Field`]), which text,
//! JSON and the book read, and typed requests and replies, which the emulator and the host engine
//! use. A property test holds the two equal.
//!
//! Reading is total: a function without a declaration keeps its bytes, a payload that does not fit
//! keeps what no field claimed, and says what is wrong.

mod declare;
pub mod codes;
pub mod kind;
pub mod params;
pub mod tag;
pub mod value;

pub mod addressing;
pub mod belts;
pub mod boxes;
pub mod motors;
pub mod rack;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub use kind::{Context, FieldType, Kind, Width};
pub use value::Value;

use crate::address::{Address, Class};
use crate::evidence::Evidence;
use crate::frame::{Frame, FrameError};
use crate::record::Direction;
use crate::status::Status;

/// One function of a device class.
#[derive(Debug)]
pub struct Function {
    /// The FUNC byte.
    pub code: u8,
    /// The vendor's name.
    pub name: &'static str,
    /// Whose function it is.
    pub class: Class,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// The STATUS byte of its requests: FF for boxes and the rack, 00 for the others.
    pub request_status: Status,
    /// The layouts of its request, the first that fits counts.
    pub request: &'static [Form],
    /// The layouts of its reply.
    pub reply: &'static [Form],
    /// How long the vendor's host waits for a reply to one transmission, in milliseconds.
    pub timeout_ms: u32,
    /// How often the vendor's host sends it at most, the first time included.
    pub sends: u8,
    /// What nobody knows about it; empty where all is known.
    pub unknown: &'static str,
}

/// One layout of a payload.
#[derive(Debug)]
pub struct Form {
    /// Its name, such as `FeedPoll`.
    pub name: &'static str,
    /// Fields of the request that choose it, with the value that each must have; in a request's
    /// own form, its own fields. Empty: it is always a candidate.
    pub when: &'static [(&'static str, u32)],
    /// The STATUS of the replies that carry it.
    pub status: StatusRule,
    /// Its fields, in the order of the wire.
    pub fields: &'static [Field],
}

/// Which STATUS a reply's form goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusRule {
    /// Only 00.
    Ok,
    /// Every STATUS.
    Any,
    /// Exactly this one.
    Is(u8),
}

/// One field of a payload.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in text, JSON, filters and on the command line.
    pub name: &'static str,
    /// How its bytes are read.
    pub kind: &'static Kind,
    /// The names of its values, or of its bits for the kinds of flags.
    pub codes: &'static [(u32, &'static str)],
    /// Its unit, empty where it has none.
    pub unit: &'static str,
    /// What a sender takes when nothing is given, empty where it must be given.
    pub default: &'static str,
    /// How well it is known.
    pub evidence: Evidence,
}

/// A field with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue {
    /// The declaration.
    pub field: &'static Field,
    /// What the frame holds.
    pub value: Value,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.kind, self.codes, self.unit)
            == (other.name, other.kind, other.codes, other.unit)
    }
}

/// What does not fit in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The payload ends inside or before a field.
    #[error("payload too short: {form} needs {need} data bytes, there are {have}")]
    Short {
        /// The form that was tried.
        form: &'static str,
        /// DATA bytes that it needs at least.
        need: usize,
        /// DATA bytes that there are.
        have: usize,
    },
    /// Bytes are left behind the last field.
    #[error("payload too long: {form} takes {need} data bytes, there are {have}")]
    Long {
        /// The form that was tried.
        form: &'static str,
        /// DATA bytes that it takes.
        need: usize,
        /// DATA bytes that there are.
        have: usize,
    },
    /// The layout depends on the request, which is not known, and more than one fits.
    #[error("the layout depends on the request, which was not seen")]
    RequestUnknown,
    /// No declared form goes with the request and the STATUS.
    #[error("no declared layout for this request and status")]
    NoForm,
    /// A field's bytes are no value of its kind.
    #[error("{field} of {form} does not fit its kind")]
    BadField {
        /// The form that was tried.
        form: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// What a payload says, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message<'a> {
    /// The function, where it is declared for the frame's device class.
    pub function: Option<&'static Function>,
    /// The layout's name, where one was found; `Error` for an error reply without data.
    pub form: Option<&'static str>,
    /// Whether the layout was chosen without its request, because no other fits.
    pub form_inferred: bool,
    /// The fields.
    pub fields: Vec<FieldValue>,
    /// The bytes that no field claimed.
    pub rest: &'a [u8],
    /// What does not fit.
    pub misfit: Option<Misfit>,
}

impl Message<'_> {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.field.name == name).map(|field| &field.value)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        (self.class, self.code) == (other.class, other.code)
    }
}

impl Function {
    /// Reads a request's DATA.
    #[must_use]
    pub fn decode_request<'a>(&'static self, addr: Address, data: &'a [u8]) -> Message<'a> {
        let context = Context { device: box_of(addr), param: None };
        let own = |form: &Form, message: &Message| {
            form.when.iter().all(|(name, value)| number(message, name) == Some(*value))
        };
        let mut best: Option<Message> = None;
        for form in self.request {
            let message = form.decode(self, data, context);
            if !own(form, &message) {
                continue;
            }
            if message.misfit.is_none() {
                return message;
            }
            best = best.or(Some(message));
        }
        best.unwrap_or(Message {
            function: Some(self),
            rest: data,
            misfit: Some(Misfit::NoForm),
            ..Message::default()
        })
    }

    /// Reads a reply's DATA, under its STATUS and, where it is known, the DATA of its request.
    #[must_use]
    pub fn decode_reply<'a>(
        &'static self,
        addr: Address,
        status: Status,
        data: &'a [u8],
        request: Option<&[u8]>,
    ) -> Message<'a> {
        if data.is_empty() && status != Status::OK {
            return Message { function: Some(self), form: Some("Error"), ..Message::default() };
        }
        let asked = request.map(|request| self.decode_request(addr, request));
        let param = asked.as_ref().and_then(|asked| number(asked, "id")).map(|id| id as u8);
        let context = Context { device: box_of(addr), param };
        let mut best: Option<Message> = None;
        let mut fitting: Vec<(&Form, Message)> = Vec::new();
        for form in self.reply {
            if !form.status.matches(status) {
                continue;
            }
            let chosen = asked.as_ref().is_none_or(|asked| {
                form.when.iter().all(|(name, value)| number(asked, name) == Some(*value))
            });
            if !chosen {
                continue;
            }
            let message = form.decode(self, data, context);
            match (&asked, message.misfit) {
                (Some(_), None) => return message,
                (None, None) => fitting.push((form, message)),
                (_, Some(_)) => best = best.or(Some(message)),
            }
        }
        if asked.is_none() {
            return self.choose(fitting, best, data);
        }
        best.unwrap_or(Message {
            function: Some(self),
            rest: data,
            misfit: Some(Misfit::NoForm),
            ..Message::default()
        })
    }

    /// Without a request a layout is named only if no other one fits. A form that takes any bytes
    /// says nothing, so it yields to one that fits exactly.
    fn choose<'a>(
        &'static self,
        mut fitting: Vec<(&Form, Message<'a>)>,
        best: Option<Message<'a>>,
        data: &'a [u8],
    ) -> Message<'a> {
        if fitting.iter().any(|(form, _)| form.width().1.is_some()) {
            fitting.retain(|(form, _)| form.width().1.is_some());
        }
        let unsure = self.reply.iter().any(|form| !form.when.is_empty());
        let Some((first, _)) = fitting.first() else {
            // With one declared form there is nothing to choose: its misfit is the news.
            return match best {
                Some(message) if self.reply.len() == 1 => message,
                _ => Message {
                    function: Some(self),
                    rest: data,
                    misfit: Some(Misfit::NoForm),
                    ..Message::default()
                },
            };
        };
        if fitting.iter().any(|(form, _)| form.fields != first.fields) {
            return Message {
                function: Some(self),
                rest: data,
                misfit: Some(Misfit::RequestUnknown),
                ..Message::default()
            };
        }
        let several = fitting.len() > 1;
        let (form, mut message) = fitting.swap_remove(0);
        message.form_inferred = unsure || !form.when.is_empty();
        if several {
            message.form = None;
        }
        message
    }

    /// How many DATA bytes a request has, least and most, over its forms; `None` where there is no
    /// limit.
    #[must_use]
    pub fn request_width(&self) -> (usize, Option<usize>) {
        width_of(self.request)
    }

    /// Writes a request's DATA from `name=value` texts: the first form whose fields take them all.
    ///
    /// # Errors
    /// Which argument is unknown, missing or does not fit, and what was expected.
    pub fn encode_request(
        &self,
        addr: Address,
        args: &[(&str, &str)],
    ) -> Result<Vec<u8>, EncodeError> {
        encode(self.request, addr, None, args)
    }

    /// Writes a reply's DATA from `name=value` texts, in the form that is named or the first that
    /// takes them all.
    ///
    /// # Errors
    /// As [`Function::encode_request`].
    pub fn encode_reply(
        &self,
        addr: Address,
        form: Option<&str>,
        args: &[(&str, &str)],
    ) -> Result<Vec<u8>, EncodeError> {
        encode(self.reply, addr, form, args)
    }
}

/// Why a message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text does not fit its field.
    #[error("{field}={text}: expected {expected}")]
    BadValue {
        /// The field.
        field: String,
        /// What was given.
        text: String,
        /// What it takes.
        expected: String,
    },
    /// A field without a default was not given.
    #[error("{field} is missing; the layout is: {layout}")]
    Missing {
        /// The field.
        field: String,
        /// All fields of the form.
        layout: String,
    },
    /// No form has all the fields that were given.
    #[error("no layout has {given}; there are: {layouts}")]
    NoForm {
        /// The names that were given.
        given: String,
        /// The forms with their fields.
        layouts: String,
    },
    /// The payload is too long for a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

fn encode(
    forms: &[Form],
    addr: Address,
    name: Option<&str>,
    args: &[(&str, &str)],
) -> Result<Vec<u8>, EncodeError> {
    let takes_all = |form: &&Form| {
        name.is_none_or(|name| form.name.eq_ignore_ascii_case(name))
            && args.iter().all(|(arg, _)| form.fields.iter().any(|field| field.name == *arg))
    };
    let mut first_error = None;
    for form in forms.iter().filter(takes_all) {
        match form.encode(addr, args) {
            Ok(data) => return Ok(data),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| {
        let given: Vec<&str> = name.into_iter().chain(args.iter().map(|(arg, _)| *arg)).collect();
        let layouts: Vec<String> =
            forms.iter().map(|form| format!("{} {}", form.name, form.layout())).collect();
        EncodeError::NoForm { given: given.join(", "), layouts: layouts.join("; ") }
    }))
}

/// Least and most DATA bytes over some forms; `None` where one has no upper limit.
fn width_of(forms: &[Form]) -> (usize, Option<usize>) {
    let widths = forms.iter().map(Form::width);
    widths
        .reduce(|a, b| (a.0.min(b.0), a.1.zip(b.1).map(|(a, b)| a.max(b))))
        .unwrap_or((0, Some(0)))
}

impl StatusRule {
    fn matches(self, status: Status) -> bool {
        match self {
            StatusRule::Ok => status == Status::OK,
            StatusRule::Any => true,
            StatusRule::Is(code) => status.0 == code,
        }
    }
}

impl Form {
    /// The least and the most DATA bytes; `None` where there is no upper limit.
    #[must_use]
    pub fn width(&self) -> (usize, Option<usize>) {
        let mut least = 0;
        for field in self.fields {
            match field.kind.width {
                Width::Fixed(width) => least += width,
                Width::Rest => return (least, None),
            }
        }
        (least, Some(least))
    }

    /// The fields in a line, as usage texts show them: `slot, stage, param=0`.
    #[must_use]
    pub fn layout(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|field| match field.default {
                "" => field.name.to_owned(),
                default => format!("{}={default}", field.name),
            })
            .collect();
        if fields.is_empty() { "(no data)".to_owned() } else { fields.join(", ") }
    }

    /// Reads `data` by this form, as far as it goes.
    fn decode<'a>(
        &self,
        function: &'static Function,
        data: &'a [u8],
        mut context: Context,
    ) -> Message<'a> {
        let mut message = Message {
            function: Some(function),
            form: Some(self.name),
            rest: data,
            ..Message::default()
        };
        for field in self.fields {
            let width = match field.kind.width {
                Width::Fixed(width) => width,
                Width::Rest => message.rest.len(),
            };
            if message.rest.len() < width {
                let need = self.width().0;
                message.misfit = Some(Misfit::Short { form: self.name, need, have: data.len() });
                return message;
            }
            let (bytes, rest) = message.rest.split_at(width);
            let Some(value) = field.decode(bytes, &context) else {
                message.misfit = Some(Misfit::BadField { form: self.name, field: field.name });
                return message;
            };
            if field.name == "id" {
                context.param = value.as_number().and_then(|id| u8::try_from(id).ok());
            }
            message.fields.push(FieldValue { field, value });
            message.rest = rest;
        }
        if !message.rest.is_empty() {
            let need = data.len() - message.rest.len();
            message.misfit = Some(Misfit::Long { form: self.name, need, have: data.len() });
        }
        message
    }

    /// Writes DATA from `name=value` texts; fields that choose the form have its value by default.
    fn encode(&self, addr: Address, args: &[(&str, &str)]) -> Result<Vec<u8>, EncodeError> {
        let mut context = Context { device: box_of(addr), param: None };
        let mut data = Vec::new();
        for field in self.fields {
            let chosen = self.when.iter().find(|(name, _)| *name == field.name);
            let given = args.iter().find(|(name, _)| *name == field.name).map(|(_, text)| *text);
            let text = match (given, chosen) {
                (Some(text), _) => text.to_owned(),
                (None, Some((_, value))) => format!("{value}"),
                (None, None) if !field.default.is_empty() => field.default.to_owned(),
                (None, None) if field.kind.width == Width::Rest && *field.kind != kind::PARAM => {
                    continue;
                }
                (None, None) => {
                    let layout = format!("{} {}", self.name, self.layout());
                    return Err(EncodeError::Missing { field: field.name.to_owned(), layout });
                }
            };
            let bad = |expected: String| EncodeError::BadValue {
                field: field.name.to_owned(),
                text: text.clone(),
                expected,
            };
            let bytes = field.encode(&text, &context).map_err(bad)?;
            if let Some((_, value)) = chosen {
                if bytes.first().copied().map(u32::from) != Some(*value) {
                    return Err(bad(format!("{value} in the layout {}", self.name)));
                }
            }
            if field.name == "id" {
                context.param = bytes.first().copied();
            }
            data.extend_from_slice(&bytes);
        }
        Ok(data)
    }
}

impl Field {
    /// The value of bytes of exactly the kind's width, with the names that the field gives them.
    #[must_use]
    pub fn decode(&self, bytes: &[u8], context: &Context) -> Option<Value> {
        Some(match (self.kind.decode)(bytes, context)? {
            Value::Int(n) if !self.codes.is_empty() => {
                let raw = u32::try_from(n).ok()?;
                let name = self.codes.iter().find(|(code, _)| *code == raw).map(|(_, name)| *name);
                Value::Code { raw, name }
            }
            Value::Bits { raw, .. } => Value::Bits { raw, set: self.bit_names(raw) },
            value => value,
        })
    }

    fn bit_names(&self, raw: u32) -> Vec<String> {
        let name = |bit: u32| {
            let known = self.codes.iter().find(|(code, _)| *code == bit);
            known.map_or_else(|| format!("bit{bit}"), |(_, name)| (*name).to_owned())
        };
        (0..32).filter(|bit| raw >> bit & 1 == 1).map(name).collect()
    }

    /// The bytes of a text: a value's name, or what the kind reads.
    ///
    /// # Errors
    /// What was expected.
    pub fn encode(&self, text: &str, context: &Context) -> Result<Vec<u8>, String> {
        let flags = *self.kind == kind::BITS8 || *self.kind == kind::BITS32_LE;
        if !flags {
            if let Some((code, _)) = self.codes.iter().find(|(_, name)| same_word(name, text)) {
                return (self.kind.encode)(&format!("{code}"), context);
            }
        }
        (self.kind.encode)(text, context).map_err(|expected| match self.codes {
            [] => expected,
            codes if !flags => {
                let names: Vec<&str> = codes.iter().map(|(_, name)| *name).collect();
                format!("{expected}, or one of: {}", names.join(", "))
            }
            _ => expected,
        })
    }
}

/// Whether two names are the same but for case, `-` and `_`.
fn same_word(a: &str, b: &str) -> bool {
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    a.chars().map(fold).eq(b.chars().map(fold))
}

/// The number of a field in a message.
fn number(message: &Message, name: &str) -> Option<u32> {
    message.get(name).and_then(Value::as_number).and_then(|n| u32::try_from(n).ok())
}

/// The box that an address names.
fn box_of(addr: Address) -> Option<u8> {
    match addr.device() {
        crate::address::Device::Box(n) => Some(n),
        _ => None,
    }
}

/// The functions of one class.
#[must_use]
pub fn functions(class: Class) -> &'static [&'static Function] {
    match class {
        Class::Box => boxes::FUNCTIONS,
        Class::Addressing => addressing::FUNCTIONS,
        Class::Motor => motors::FUNCTIONS,
        Class::Belt => belts::FUNCTIONS,
        Class::Rack => rack::FUNCTIONS,
    }
}

/// Every declared function, class by class.
pub fn all_functions() -> impl Iterator<Item = &'static Function> {
    Class::ALL.into_iter().flat_map(|class| functions(class).iter().copied())
}

/// The function that a frame calls or answers, by its address and FUNC.
///
/// A0–A3 are address management on every address, and so is 0B to everyone; a box has a 0B of its
/// own.
#[must_use]
pub fn find(addr: Address, func: u8) -> Option<&'static Function> {
    let managed = matches!(func, 0xa0..=0xa3) || (func == 0x0b && addr.is_broadcast());
    // The motors' address broadcast goes to FF, where no other class is spoken to.
    let class = match addr.class() {
        _ if managed => Class::Addressing,
        Some(class) => class,
        None if addr == Address::ALL => Class::Motor,
        None => return None,
    };
    functions(class).iter().copied().find(|function| function.code == func)
}

/// Reads a frame: as a request, as a reply (with its request where it is known), or, with the
/// direction unknown, as whichever of the two fits alone.
#[must_use]
pub fn decode<'a>(
    frame: &Frame<'a>,
    dir: Option<Direction>,
    request: Option<&Frame<'_>>,
) -> Message<'a> {
    let addr = request.map_or(frame.addr(), Frame::addr);
    let func = request.map_or(frame.func(), Frame::func);
    let Some(function) = find(addr, func) else {
        return Message { rest: frame.data(), ..Message::default() };
    };
    let data = frame.data();
    let reply = || {
        function.decode_reply(frame.addr(), frame.status(), data, request.map(|r| r.data()))
    };
    match dir {
        Some(Direction::Request) => function.decode_request(frame.addr(), data),
        Some(Direction::Response) => reply(),
        None => {
            let (asked, answered) = (function.decode_request(frame.addr(), data), reply());
            match (asked.misfit, answered.misfit) {
                (None, Some(_)) => asked,
                (Some(_), None) => answered,
                _ if asked.fields == answered.fields && asked.misfit.is_none() => asked,
                _ => Message { function: Some(function), rest: data, ..Message::default() },
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
