//! Writing a payload by its declaration, from `name=value` texts. Strict: an argument that does not
//! fit is an error that says what would.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kind::{self, Context, Width};
use super::layout::{Field, Form, Function};
use super::read::box_of;
use crate::address::Address;
use crate::frame::FrameError;

impl Function {
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

impl Form {
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
            if let Some((_, value)) = chosen
                && bytes.first().copied().map(u32::from) != Some(*value)
            {
                return Err(bad(format!("{value} in the layout {}", self.name)));
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
    /// The bytes of a text: a value's name, or what the kind reads.
    ///
    /// # Errors
    /// What was expected.
    pub fn encode(&self, text: &str, context: &Context) -> Result<Vec<u8>, String> {
        let flags = *self.kind == kind::BITS8 || *self.kind == kind::BITS32_LE;
        let named = self.codes.iter().find(|(_, name)| !flags && same_word(name, text));
        if let Some((code, _)) = named {
            return (self.kind.encode)(&format!("{code}"), context);
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
