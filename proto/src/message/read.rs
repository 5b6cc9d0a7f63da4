//! Reading a payload by its declaration: which form, which values, and what does not fit.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kind::{Context, Width};
use super::layout::{Field, FieldValue, Form, Function, StatusRule};
use super::value::Value;
use crate::address::Address;
use crate::status::Status;

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
        let mut candidates = 0;
        let chosen = |form: &Form, asked: &Message| {
            form.when.iter().all(|(name, value)| number(asked, name) == Some(*value))
        };
        // A form that the request chooses leaves no other one, even where the data does not fit it.
        let named = asked.as_ref().is_some_and(|asked| {
            let forms = self.reply.iter().filter(|form| form.status.matches(status));
            forms.filter(|form| !form.when.is_empty()).any(|form| chosen(form, asked))
        });
        // Nor does a form for exactly this STATUS.
        let exact = self.reply.iter().any(|form| form.status == StatusRule::Is(status.0));
        for form in self.reply {
            if !form.status.matches(status) || (exact && form.status == StatusRule::Any) {
                continue;
            }
            let passed_over = named && form.when.is_empty();
            if passed_over || asked.as_ref().is_some_and(|asked| !chosen(form, asked)) {
                continue;
            }
            candidates += 1;
            let message = form.decode(self, data, context);
            match (&asked, message.misfit) {
                (Some(_), None) => return message,
                (None, None) => fitting.push((form, message)),
                (_, Some(_)) => best = best.or(Some(message)),
            }
        }
        if asked.is_none() {
            return self.choose(fitting, best, candidates, data);
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
        candidates: usize,
        data: &'a [u8],
    ) -> Message<'a> {
        if fitting.iter().any(|(form, _)| form.width().1.is_some()) {
            fitting.retain(|(form, _)| form.width().1.is_some());
        }
        let unsure = self.reply.iter().any(|form| !form.when.is_empty());
        let Some((first, _)) = fitting.first() else {
            // With one declared form there is nothing to choose: its misfit is the news.
            return match best {
                Some(message) if candidates == 1 => message,
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
}

impl Form {
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
}

/// The number of a field in a message.
fn number(message: &Message, name: &str) -> Option<u32> {
    message.get(name).and_then(Value::as_number).and_then(|n| u32::try_from(n).ok())
}

/// The box that an address names.
pub(super) fn box_of(addr: Address) -> Option<u8> {
    match addr.device() {
        crate::address::Device::Box(n) => Some(n),
        _ => None,
    }
}
