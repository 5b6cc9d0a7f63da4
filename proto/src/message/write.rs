//! Writing a payload by its declaration, from `name=value` texts. Strict: an argument that does not
//! fit is an error that says what would.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kind::{self, Context, Width};
use super::layout::{Field, Form, Function, StatusRule};
use super::read::box_of;
use crate::address::Address;
use crate::frame::FrameError;
use crate::status::Status;

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
        encode(self.request.iter(), addr, None, args)
    }

    /// Writes a reply's DATA from `name=value` texts, in the form that is named or the first that
    /// takes them all.
    ///
    /// # Errors
    /// As [`Function::encode_request`].
    pub fn encode_reply(
        &self,
        addr: Address,
        status: Status,
        form: Option<&str>,
        args: &[(&str, &str)],
    ) -> Result<Vec<u8>, EncodeError> {
        let exact = self.reply.iter().any(|form| form.status == StatusRule::Is(status.0));
        let fits = |form: &&Form| {
            form.status.matches(status) && !(exact && form.status == StatusRule::Any)
        };
        encode(self.reply.iter().filter(fits), addr, form, args)
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
    /// A field was given more than once.
    #[error("{field} is given twice")]
    Twice {
        /// The field.
        field: String,
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

fn encode<'f>(
    forms: impl Iterator<Item = &'f Form> + Clone,
    addr: Address,
    name: Option<&str>,
    args: &[(&str, &str)],
) -> Result<Vec<u8>, EncodeError> {
    let owned = |text: &str| text.to_owned();
    if let Some((twice, _)) = args
        .iter()
        .enumerate()
        .find_map(|(at, arg)| args[..at].iter().find(|other| other.0 == arg.0))
    {
        return Err(EncodeError::Twice { field: owned(twice) });
    }
    let named = |form: &&Form| name.is_none_or(|name| form.name.eq_ignore_ascii_case(name));
    let has = |form: &Form, arg: &str| form.fields.iter().any(|field| field.name == arg);
    let mut first_error = None;
    for form in forms.clone().filter(named) {
        if !args.iter().all(|(arg, _)| has(form, arg)) {
            continue;
        }
        match form.encode(addr, args) {
            Ok(data) => return Ok(data),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| {
        // The names that no layout has are the mistake; else it is their being together.
        let strange: Vec<&str> = args
            .iter()
            .map(|(arg, _)| *arg)
            .filter(|arg| !forms.clone().filter(named).any(|form| has(form, arg)))
            .collect();
        let given: Vec<&str> = match (forms.clone().any(|form| named(&form)), &strange[..]) {
            (false, _) => name.into_iter().collect(),
            (true, []) => args.iter().map(|(arg, _)| *arg).collect(),
            (true, _) => strange,
        };
        let layouts: Vec<String> =
            forms.map(|form| format!("{} {}", form.name, form.layout())).collect();
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
        if flags {
            if let Some(mask) = self.mask_of(text) {
                return (self.kind.encode)(&format!("{mask}"), context);
            }
        } else if let Some((code, _)) = self.codes.iter().find(|(_, name)| same_word(name, text)) {
            return (self.kind.encode)(&format!("{code}"), context);
        }
        if self.name == "slot" && text.contains(['+', ',']) {
            return Err("one slot (a mask such as 0x03 is taken as it is)".to_owned());
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

    /// The mask of flags' names, joined as they are shown: `A+hub_blocked`, `none`.
    fn mask_of(&self, text: &str) -> Option<u32> {
        if same_word(text, "none") {
            return Some(0);
        }
        text.split('+').try_fold(0, |mask, part| {
            let known = self.codes.iter().find(|(_, name)| same_word(name, part));
            let number = || part.strip_prefix("bit").and_then(|bit| bit.parse::<u32>().ok());
            let bit = known.map(|(bit, _)| *bit).or_else(number).filter(|bit| *bit < 32)?;
            Some(mask | 1 << bit)
        })
    }
}

/// Whether two names are the same but for case, `-` and `_`.
fn same_word(a: &str, b: &str) -> bool {
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    a.chars().map(fold).eq(b.chars().map(fold))
}
