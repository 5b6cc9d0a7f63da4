//! What a draft must hold to be read and written by: the rules that the compiler and the tests of
//! this crate keep for its own declarations.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::draft::{DeviceDraft, DialectDraft, FieldDraft, FormDraft, FunctionDraft, When};
use crate::address::Address;
use crate::message::kind::{BITS8, BITS32_LE, U8, U16_BE, U16_LE, U32_BE, U32_LE};
use crate::message::{Context, Kind, Width};
use crate::status::Status;
use crate::strict::{At, Errors};

/// DATA bytes that a frame holds at most: LEN is a byte and counts three more.
const MOST_DATA: usize = 252;

/// Every rule.
pub(super) fn dialect(draft: &DialectDraft, errors: &mut Errors<'_>) {
    devices(draft, errors);
    statuses(draft, errors);
    let mut seen: BTreeMap<(&str, u8), &At> = BTreeMap::new();
    for function in &draft.functions {
        if let Some(first) = seen.insert((&function.class, function.code), &function.at) {
            let (class, code, line) = (&function.class, function.code, errors.line(first));
            let what =
                format!("function {code:02X} of class {class} is already declared in line {line}");
            errors.add(function.at.clone(), what);
        }
        self::function(function, errors);
    }
}

/// A word that can be typed: letters, digits, `_` and `-`.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn word(what: &str, text: &str, at: &At, errors: &mut Errors<'_>) {
    if !is_word(text) {
        errors.add(at.clone(), format!("{what} {text:?}: letters, digits, _ and - only"));
    }
}

fn devices(draft: &DialectDraft, errors: &mut Errors<'_>) {
    let mut by_address: BTreeMap<u8, &DeviceDraft> = BTreeMap::new();
    let mut by_name: BTreeMap<String, &DeviceDraft> = BTreeMap::new();
    for device in &draft.devices {
        word("device name", &device.name, &device.at, errors);
        word("class", &device.class, &device.at, errors);
        let last = u32::from(device.first) + device.count - 1;
        if last > 0xfb && last != 0xfe {
            errors.add(device.at.clone(), format!(
                "the last address is {last:#x}: FC, FD and FF are everyone's, and above there is none"
            ));
            continue;
        }
        for (at, addr) in (u32::from(device.first)..=last).enumerate() {
            let addr = u8::try_from(addr).unwrap_or(u8::MAX);
            if let Some(other) = by_address.insert(addr, device) {
                let (name, line) = (&other.name, errors.line(&other.at));
                errors.add(
                    device.at.clone(),
                    format!("address {addr:02X} is already {name}'s, in line {line}"),
                );
                break;
            }
            let name = match device.count {
                1 => device.name.to_ascii_lowercase(),
                _ => format!("{}{}", device.name.to_ascii_lowercase(), at + 1),
            };
            if let Some(other) = by_name.insert(name.clone(), device) {
                let line = errors.line(&other.at);
                errors
                    .add(device.at.clone(), format!("{name} is already a device, in line {line}"));
                break;
            }
        }
    }
    // A name of the base that stays on its address must not become another address's too.
    for (name, device) in by_name {
        if let Ok(Address(old)) = draft.base.address(&name)
            && !by_address.contains_key(&old)
        {
            errors
                .add(device.at.clone(), format!("{name} is already the name of address {old:02X}"));
        }
    }
}

fn statuses(draft: &DialectDraft, errors: &mut Errors<'_>) {
    let mut codes: BTreeMap<u8, &At> = BTreeMap::new();
    let mut names: BTreeMap<String, &At> = BTreeMap::new();
    for status in &draft.statuses {
        if let Some(first) = codes.insert(status.code, &status.at) {
            let line = errors.line(first);
            errors.add(
                status.at.clone(),
                format!("status {:02X} is already in line {line}", status.code),
            );
        }
        let Some(name) = &status.name else { continue };
        word("status name", name, &status.at, errors);
        if let Some(first) = names.insert(name.to_ascii_lowercase(), &status.at) {
            let line = errors.line(first);
            errors.add(status.at.clone(), format!("{name} is already a status, in line {line}"));
        }
    }
    for status in &draft.statuses {
        let Some(name) = &status.name else { continue };
        if let Ok(Status(old)) = draft.base.status_of(name)
            && old != status.code
            && !codes.contains_key(&old)
        {
            errors
                .add(status.at.clone(), format!("{name} is already the name of status {old:02X}"));
        }
    }
}

fn function(function: &FunctionDraft, errors: &mut Errors<'_>) {
    word("function name", &function.name, &function.at, errors);
    let managed = matches!(function.code, 0xa0..=0xa3);
    if managed && function.class != "addressing" {
        errors.add(
            function.at.clone(),
            "A0 to A3 are address management on every address: class addressing",
        );
    }
    if !managed && !matches!(function.code, 0x0b | 0xf0) && function.class == "addressing" {
        errors.add(
            function.at.clone(),
            "class addressing holds A0 to A3, 0B to everyone and the loaders' F0, alone",
        );
    }
    for forms in [&function.request, &function.reply] {
        let mut seen: Vec<&str> = Vec::new();
        for form in forms {
            self::form(form, errors);
            if seen.contains(&&*form.name) {
                errors.add(
                    form.at.clone(),
                    format!("{} has two layouts {:?}", function.name, form.name),
                );
            }
            seen.push(&form.name);
        }
    }
    for form in &function.request {
        conditions(&form.when, form.fields.iter(), "this layout", errors);
    }
    let asked = function.request.iter().flat_map(|form| &form.fields);
    for form in &function.reply {
        conditions(&form.when, asked.clone(), "a request", errors);
    }
    for rule in &function.effects {
        conditions(&rule.when, asked.clone(), "a request", errors);
    }
}

/// The fields that `when` names must be there, as one byte that is a number.
fn conditions<'d>(
    when: &[When],
    fields: impl Iterator<Item = &'d FieldDraft> + Clone,
    whose: &str,
    errors: &mut Errors<'_>,
) {
    for (at, name, _) in when {
        match fields.clone().find(|field| field.name == *name) {
            None => {
                let names: Vec<&str> = fields.clone().map(|field| &*field.name).collect();
                let what = format!("when: {name:?} is no field of {whose}");
                errors.add_unknown(at.clone(), what, name, &names);
            }
            Some(field) if ![&U8, &BITS8].contains(&field.kind) => {
                let kind = field.kind.name;
                errors.add(
                    at.clone(),
                    format!("when: {name} is {kind}, only u8 and bits8 can choose"),
                );
            }
            Some(_) => {}
        }
    }
}

fn form(form: &FormDraft, errors: &mut Errors<'_>) {
    word("layout name", &form.name, &form.at, errors);
    if form.name == "Error" {
        errors.add(form.at.clone(), "Error is how an error reply without data is called");
    }
    let mut size = 0;
    let mut names: Vec<&str> = Vec::new();
    for (at, field) in form.fields.iter().enumerate() {
        self::field(field, errors);
        if names.contains(&&*field.name) {
            errors.add(field.at.clone(), format!("{} has two fields {:?}", form.name, field.name));
        }
        names.push(&field.name);
        match field.kind.width {
            Width::Fixed(width) => size += width,
            Width::Rest if at + 1 < form.fields.len() => {
                let kind = field.kind.name;
                errors.add(
                    field.at.clone(),
                    format!(
                        "{} is {kind}, which takes all that is left: it must be the last field",
                        field.name
                    ),
                );
            }
            Width::Rest => {}
        }
    }
    if size > MOST_DATA {
        errors.add(
            form.at.clone(),
            format!("{} has {size} bytes, and a frame holds {MOST_DATA} at most", form.name),
        );
    }
}

fn field(field: &FieldDraft, errors: &mut Errors<'_>) {
    word("field name", &field.name, &field.at, errors);
    values(field, errors);
    if field.default.is_empty() {
        return;
    }
    let named = field.codes.iter().any(|(_, _, name)| name.eq_ignore_ascii_case(&field.default));
    if let Err(expected) = (field.kind.encode)(&field.default, &Context::default())
        && !named
    {
        errors.add(field.at.clone(), format!("default {:?}: expected {expected}", field.default));
    }
}

/// Names of values go with whole numbers, and each value has one.
fn values(field: &FieldDraft, errors: &mut Errors<'_>) {
    let Some((first, ..)) = field.codes.first() else { return };
    let Some(most) = most(field.kind) else {
        let kind = field.kind.name;
        return errors
            .add(first.clone(), format!("values: {kind} is no whole number without a sign"));
    };
    let mut seen: BTreeMap<u32, ()> = BTreeMap::new();
    for (at, n, _) in &field.codes {
        if *n > most {
            let what = if is_flags(field.kind) { "bit" } else { "value" };
            errors.add(
                at.clone(),
                format!("values: {n} is above {most}, the last {what} of {}", field.kind.name),
            );
        }
        if seen.insert(*n, ()).is_some() {
            errors.add(at.clone(), format!("values: {n} has two names"));
        }
    }
}

fn is_flags(kind: &Kind) -> bool {
    [&BITS8, &BITS32_LE].contains(&kind)
}

/// The largest value (or bit) that can have a name; `None` for kinds without such.
fn most(kind: &Kind) -> Option<u32> {
    let table: [(&Kind, u32); 7] = [
        (&BITS8, 7),
        (&BITS32_LE, 31),
        (&U8, 0xff),
        (&U16_LE, 0xffff),
        (&U16_BE, 0xffff),
        (&U32_LE, u32::MAX),
        (&U32_BE, u32::MAX),
    ];
    table.into_iter().find(|(other, _)| *other == kind).map(|(_, most)| most)
}
