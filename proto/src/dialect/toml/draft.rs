//! A dialect in the making: owned, changeable, every part with its place in the text. Only one that
//! is free of errors becomes static.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::strict::At;
use crate::address::{Address, Class};
use crate::dialect::{DeviceEntry, Dialect};
use crate::effect::{Effect, EffectRule};
use crate::evidence::Evidence;
use crate::message::{Field, Form, Function, Kind, StatusRule};
use crate::status::{Status, StatusInfo};

/// A text that is the base's, or the file's own.
pub(super) type Word = Cow<'static, str>;

pub(super) struct DialectDraft {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) base: &'static Dialect,
    pub(super) devices: Vec<DeviceDraft>,
    pub(super) statuses: Vec<StatusDraft>,
    pub(super) functions: Vec<FunctionDraft>,
}

pub(super) struct DeviceDraft {
    pub(super) at: At,
    pub(super) name: String,
    pub(super) first: u8,
    /// 1 to 256 as read; the check holds the last address below FC.
    pub(super) count: u32,
    pub(super) class: Word,
    pub(super) evidence: Evidence,
}

pub(super) struct StatusDraft {
    pub(super) at: At,
    pub(super) code: u8,
    pub(super) name: Option<Word>,
    pub(super) meaning: Word,
    pub(super) evidence: Evidence,
    pub(super) keys: Vec<u16>,
    pub(super) context_keys: Vec<u16>,
    pub(super) likely_keys: Vec<u16>,
}

pub(super) struct FunctionDraft {
    pub(super) at: At,
    pub(super) class: Word,
    pub(super) code: u8,
    pub(super) name: Word,
    pub(super) doc: Word,
    pub(super) request_status: Status,
    pub(super) request: Vec<FormDraft>,
    pub(super) reply: Vec<FormDraft>,
    pub(super) timeout_ms: u32,
    pub(super) sends: u8,
    pub(super) effects: Vec<EffectDraft>,
    /// Whether the file says them, so that they must fit.
    pub(super) own_effects: bool,
    pub(super) unknown: Word,
}

#[derive(Clone)]
pub(super) struct EffectDraft {
    pub(super) when: Vec<When>,
    pub(super) effect: Effect,
}

/// A field that must have a value, with its place.
pub(super) type When = (At, Word, u32);

#[derive(Clone)]
pub(super) struct FormDraft {
    pub(super) at: At,
    pub(super) name: Word,
    pub(super) when: Vec<When>,
    pub(super) status: StatusRule,
    pub(super) fields: Vec<FieldDraft>,
}

#[derive(Clone)]
pub(super) struct FieldDraft {
    pub(super) at: At,
    pub(super) name: Word,
    pub(super) kind: &'static Kind,
    pub(super) codes: Vec<(At, u32, Word)>,
    pub(super) unit: Word,
    pub(super) default: Word,
    pub(super) evidence: Evidence,
}

impl FunctionDraft {
    /// The base's function, to be changed at a place of the text.
    pub(super) fn of(function: &'static Function, at: &At) -> Self {
        let forms = |forms: &'static [Form]| forms.iter().map(|f| FormDraft::of(f, at)).collect();
        FunctionDraft {
            at: at.clone(),
            class: function.class.name().into(),
            code: function.code,
            name: function.name.into(),
            doc: function.doc.into(),
            request_status: function.request_status,
            request: forms(function.request),
            reply: forms(function.reply),
            timeout_ms: function.timeout_ms,
            sends: function.sends,
            effects: function.effects.iter().map(|rule| EffectDraft::of(rule, at)).collect(),
            own_effects: false,
            unknown: function.unknown.into(),
        }
    }

    fn leak(self, base: &'static Dialect) -> &'static Function {
        let forms = |forms: Vec<FormDraft>| slice(forms.into_iter().map(FormDraft::leak).collect());
        Box::leak(Box::new(Function {
            code: self.code,
            name: word(self.name),
            class: class(self.class, base),
            doc: word(self.doc),
            request_status: self.request_status,
            request: forms(self.request),
            reply: forms(self.reply),
            timeout_ms: self.timeout_ms,
            sends: self.sends,
            effects: slice(self.effects.into_iter().map(EffectDraft::leak).collect()),
            unknown: word(self.unknown),
        }))
    }
}

impl EffectDraft {
    fn of(rule: &'static EffectRule, at: &At) -> Self {
        EffectDraft { when: whens(rule.when, at), effect: rule.effect }
    }

    fn leak(self) -> EffectRule {
        EffectRule { when: leak_whens(self.when), effect: self.effect }
    }
}

impl FormDraft {
    fn of(form: &'static Form, at: &At) -> Self {
        FormDraft {
            at: at.clone(),
            name: form.name.into(),
            when: whens(form.when, at),
            status: form.status,
            fields: form.fields.iter().map(|field| FieldDraft::of(field, at)).collect(),
        }
    }

    fn leak(self) -> Form {
        Form {
            name: word(self.name),
            when: leak_whens(self.when),
            status: self.status,
            fields: slice(self.fields.into_iter().map(FieldDraft::leak).collect()),
        }
    }
}

impl FieldDraft {
    fn of(field: &'static Field, at: &At) -> Self {
        FieldDraft {
            at: at.clone(),
            name: field.name.into(),
            kind: field.kind,
            codes: field.codes.iter().map(|(n, name)| (at.clone(), *n, (*name).into())).collect(),
            unit: field.unit.into(),
            default: field.default.into(),
            evidence: field.evidence,
        }
    }

    fn leak(self) -> Field {
        Field {
            name: word(self.name),
            kind: self.kind,
            codes: slice(self.codes.into_iter().map(|(_, n, name)| (n, word(name))).collect()),
            unit: word(self.unit),
            default: word(self.default),
            evidence: self.evidence,
        }
    }
}

impl DialectDraft {
    /// Makes it static, for as long as the program runs.
    pub(super) fn leak(self) -> &'static Dialect {
        let base = self.base;
        let device = |draft: DeviceDraft| DeviceEntry {
            name: word(draft.name.into()),
            first: Address(draft.first),
            // At most 251: the check holds the last address below FC.
            count: u8::try_from(draft.count).unwrap_or(u8::MAX),
            class: class(draft.class, base),
            evidence: draft.evidence,
        };
        let status = |draft: StatusDraft| StatusInfo {
            code: Status(draft.code),
            name: draft.name.map(word),
            meaning: word(draft.meaning),
            evidence: draft.evidence,
            keys: slice(draft.keys),
            context_keys: slice(draft.context_keys),
            likely_keys: slice(draft.likely_keys),
        };
        Box::leak(Box::new(Dialect {
            name: word(self.name.into()),
            title: word(self.title.into()),
            base: Some(base),
            devices: slice(self.devices.into_iter().map(device).collect()),
            statuses: slice(self.statuses.into_iter().map(status).collect()),
            functions: slice(self.functions.into_iter().map(|f| f.leak(base)).collect()),
        }))
    }
}

fn whens(when: &'static [(&'static str, u32)], at: &At) -> Vec<When> {
    when.iter().map(|(name, n)| (at.clone(), (*name).into(), *n)).collect()
}

fn leak_whens(when: Vec<When>) -> &'static [(&'static str, u32)] {
    slice(when.into_iter().map(|(_, name, n)| (word(name), n)).collect())
}

fn word(word: Word) -> &'static str {
    match word {
        Cow::Borrowed(word) => word,
        Cow::Owned(word) if word.is_empty() => "",
        Cow::Owned(word) => Box::leak(word.into_boxed_str()),
    }
}

fn slice<T>(items: Vec<T>) -> &'static [T] {
    if items.is_empty() { &[] } else { Box::leak(items.into_boxed_slice()) }
}

/// The class of a name: the base's, or a new one.
fn class(name: Word, base: &'static Dialect) -> Class {
    let known = base.classes().find(|class| class.name() == name);
    known.unwrap_or_else(|| Class::Other(word(name)))
}

/// An own word out of a text.
pub(super) fn own(text: &str) -> Word {
    Cow::Owned(text.to_owned())
}
