//! `[[fault]]`: the rules of [`k485_link::fault`], read at their places.

use k485_link::fault::{Draft, FIELDS, FaultError, Value as FaultValue};
use k485_proto::strict::{Errors, kind};
use toml::Spanned;
use toml::de::DeValue;

use crate::table::{Limits, Shape, Value, tables_of};

/// The faults of a scene; what their names mean is the dialect's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drafts(pub Vec<Draft>);

impl Value for Drafts {
    fn shape(_: Limits) -> Shape {
        Shape::Faults
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        tables_of(what, value, errors, draft).map(Drafts)
    }

    fn write(&self) -> Option<String> {
        None
    }
}

fn draft(item: &Spanned<DeValue<'_>>, errors: &mut Errors<'_>) -> Option<Draft> {
    let Some(table) = item.get_ref().as_table() else {
        errors.add(item.span(), format!("fault holds tables, not {}", kind(item)));
        return None;
    };
    let mut draft = Some(Draft::default());
    for (key, value) in table {
        let name: &str = key.get_ref();
        if !FIELDS.iter().any(|field| field.name == name) {
            let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
            errors.add_unknown(key.span(), format!("unknown key {name:?}"), name, &names);
            draft = None;
            continue;
        }
        let Some(read) = fault_value(value) else {
            errors.add(value.span(), format!("{name} is a text or a number, not {}", kind(value)));
            draft = None;
            continue;
        };
        if let Some(draft) = &mut draft
            && let Err(error) = draft.set(name, read)
        {
            errors.add(value.span(), error.to_string());
        }
    }
    draft
}

fn fault_value(value: &Spanned<DeValue<'_>>) -> Option<FaultValue> {
    let value = value.get_ref();
    if let Some(text) = value.as_str() {
        return Some(FaultValue::Text(text.to_owned()));
    }
    if let Some(truth) = value.as_bool() {
        return Some(FaultValue::Boolean(truth));
    }
    if let Some(float) = value.as_float() {
        return float.as_str().replace('_', "").parse().ok().map(FaultValue::Float);
    }
    let whole = value.as_integer()?;
    let digits = whole.as_str().replace('_', "");
    i64::from_str_radix(&digits, whole.radix()).ok().map(FaultValue::Integer)
}

/// The key at which an error is shown.
pub(super) fn key_of(error: &FaultError) -> Option<String> {
    error.key().map(str::to_owned)
}
