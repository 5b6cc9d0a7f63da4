//! Parsed TOML to a draft: each table on the base's entry of the same code, where there is one.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::draft::{
    DeviceDraft, DialectDraft, FieldDraft, FormDraft, FunctionDraft, StatusDraft, When, Word, own,
};
use super::effect::{effects, firmware};
use crate::strict::{At, Errors, Section, number_of, text_of};
use crate::address::Class;
use crate::dialect::{Dialect, K2};
use crate::evidence::Evidence;
use crate::message::kind::{KINDS, REST, U8};
use crate::message::{Kind, StatusRule};
use crate::status::Status;

const ROOT: &[&str] = &["name", "title", "base", "device", "status", "function", "field"];
const DEVICE: &[&str] = &["name", "address", "count", "class", "evidence"];
const STATUS: &[&str] =
    &["code", "name", "meaning", "evidence", "keys", "context_keys", "likely_keys"];
const FUNCTION: &[&str] = &[
    "class",
    "code",
    "name",
    "doc",
    "request_status",
    "request",
    "reply",
    "timeout_ms",
    "sends",
    "effect",
    "unknown",
];
const FORM: &[&str] = &["form", "when", "status", "fields"];
const FIELD: &[&str] = &["name", "kind", "unit", "default", "evidence", "values"];
const CHANGE: &[&str] = &[
    "class", "code", "side", "form", "name", "rename", "kind", "unit", "default", "evidence",
    "values",
];

/// The whole text.
pub(super) fn dialect<'t>(
    root: &'t DeTable<'t>,
    name: &str,
    errors: &mut Errors<'_>,
) -> DialectDraft {
    let root = Section::new(root, 0..0, ROOT, errors);
    let base = base(&root, errors);
    let name = root.text("name", errors).map_or(name, |text| text.into_inner());
    let title = root.text("title", errors).map(|text| text.into_inner().to_string());
    let mut draft = DialectDraft {
        name: name.to_string(),
        title: title.unwrap_or_else(|| format!("{name}, over {}", base.name)),
        base,
        devices: Vec::new(),
        statuses: Vec::new(),
        functions: Vec::new(),
    };
    for section in root.sections("device", DEVICE, errors).unwrap_or_default() {
        draft.devices.extend(device(&section, errors));
    }
    for section in root.sections("status", STATUS, errors).unwrap_or_default() {
        draft.statuses.extend(status(&section, base, errors));
    }
    for section in root.sections("function", FUNCTION, errors).unwrap_or_default() {
        let function = function(&section, &draft, errors);
        draft.functions.extend(function);
    }
    for section in root.sections("field", CHANGE, errors).unwrap_or_default() {
        change(&section, &mut draft, errors);
    }
    draft.functions.iter_mut().for_each(FunctionDraft::drop_stale_effects);
    draft
}

fn base(root: &Section<'_>, errors: &mut Errors<'_>) -> &'static Dialect {
    let Some(text) = root.text("base", errors) else { return &K2 };
    Dialect::built_in(text.get_ref()).unwrap_or_else(|| {
        let names = Dialect::BUILT_IN.map(|dialect| dialect.name);
        let word = text.get_ref();
        errors.add_unknown(text.span(), format!("no dialect {word:?}"), word, &names);
        &K2
    })
}

fn device(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<DeviceDraft> {
    let name = section.text("name", errors);
    let name = section.required("name", name, errors);
    let address = section.number("address", 0..=255, errors);
    let address = section.required("address", address, errors);
    let class = section.text("class", errors);
    let class = section.required("class", class, errors);
    let count = section.number("count", 1..=256, errors);
    let evidence = evidence(section, errors).unwrap_or(Evidence::Inferred);
    Some(DeviceDraft {
        at: section.at.clone(),
        name: name?.into_inner().to_string(),
        first: byte(address?.into_inner()),
        count: count.map_or(1, Spanned::into_inner),
        class: own(class?.get_ref()),
        evidence,
    })
}

fn status(
    section: &Section<'_>,
    base: &'static Dialect,
    errors: &mut Errors<'_>,
) -> Option<StatusDraft> {
    let code = section.number("code", 0..=254, errors);
    let code = byte(section.required("code", code, errors)?.into_inner());
    let old = base.status(Status(code)).copied();
    let name = match section.text("name", errors) {
        Some(text) if text.get_ref().is_empty() => None,
        Some(text) => Some(own(text.get_ref())),
        None => old.and_then(|info| info.name).map(Word::Borrowed),
    };
    let meaning = match (section.text("meaning", errors), old) {
        (Some(text), _) => own(text.get_ref()),
        (None, Some(info)) => info.meaning.into(),
        (None, None) => section.required("meaning", Some(Word::Borrowed("")), errors)?,
    };
    let of = |key, old: Option<&[u16]>, errors: &mut Errors<'_>| {
        keys(section, key, errors).unwrap_or_else(|| old.unwrap_or_default().to_vec())
    };
    Some(StatusDraft {
        at: section.at.clone(),
        code,
        name,
        meaning,
        evidence: evidence(section, errors)
            .unwrap_or(old.map_or(Evidence::Inferred, |info| info.evidence)),
        keys: of("keys", old.map(|info| info.keys), errors),
        context_keys: of("context_keys", old.map(|info| info.context_keys), errors),
        likely_keys: of("likely_keys", old.map(|info| info.likely_keys), errors),
    })
}

/// A list of the printer's message keys.
fn keys(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<Vec<u16>> {
    let value = section.get(key)?;
    let Some(list) = value.get_ref().as_array() else {
        errors.add(value.span(), format!("{key} is a list of numbers such as [849]"));
        return None;
    };
    let numbers = list.iter().filter_map(|item| number_of(key, item, 0..=65_535, errors));
    Some(numbers.filter_map(|n| u16::try_from(n).ok()).collect())
}

/// The class that a `[[function]]` or `[[field]]` names: one that has devices.
fn class<'t>(
    section: &Section<'t>,
    draft: &DialectDraft,
    errors: &mut Errors<'_>,
) -> Option<&'t str> {
    let text = section.text("class", errors);
    let text = section.required("class", text, errors)?;
    let mut names: Vec<&str> = draft.base.classes().map(Class::name).collect();
    names.extend(draft.devices.iter().map(|device| &*device.class));
    let word = *text.get_ref();
    if !names.contains(&word) {
        errors.add_unknown(text.span(), format!("no device has the class {word:?}"), word, &names);
        return None;
    }
    Some(word)
}

/// The base's function.
fn old_function(draft: &DialectDraft, class: &str, code: u8, at: &At) -> Option<FunctionDraft> {
    let class = draft.base.classes().find(|known| known.name() == class)?;
    let function = draft.base.functions(class).find(|function| function.code == code)?;
    Some(FunctionDraft::of(function, at))
}

fn function(
    section: &Section<'_>,
    draft: &DialectDraft,
    errors: &mut Errors<'_>,
) -> Option<FunctionDraft> {
    let class = class(section, draft, errors);
    let code = section.number("code", 0..=255, errors);
    let code = section.required("code", code, errors);
    let name = section.text("name", errors);
    let request = forms(section, "request", errors);
    let reply = forms(section, "reply", errors);
    let (class, code) = (class?, byte(code?.into_inner()));
    let mut function = match old_function(draft, class, code, &section.at) {
        Some(function) => function,
        None => FunctionDraft {
            name: own(section.required("name", name.clone(), errors)?.get_ref()),
            ..new_function(class, code, &section.at)
        },
    };
    let texts = [
        ("name", &mut function.name),
        ("doc", &mut function.doc),
        ("unknown", &mut function.unknown),
    ];
    for (key, place) in texts {
        if let Some(text) = section.text(key, errors) {
            *place = own(text.get_ref());
        }
    }
    if let Some(status) = request_status(section, errors) {
        function.request_status = status;
    }
    if let Some(timeout) = section.number("timeout_ms", 1..=u32::MAX, errors) {
        function.timeout_ms = timeout.into_inner();
    }
    if let Some(sends) = section.number("sends", 1..=255, errors) {
        function.sends = byte(sends.into_inner());
    }
    if let Some(effects) = effects(section, errors) {
        (function.effects, function.own_effects) = (effects, true);
    }
    function.request = request.unwrap_or(function.request);
    function.reply = reply.unwrap_or(function.reply);
    Some(function)
}

/// A function of which only the code is known: whatever it carries is kept as bytes.
fn new_function(class: &str, code: u8, at: &At) -> FunctionDraft {
    let raw = |name| FormDraft {
        at: at.clone(),
        name: Word::Borrowed(name),
        when: Vec::new(),
        status: StatusRule::Any,
        fields: Vec::from([FieldDraft {
            at: at.clone(),
            name: Word::Borrowed("raw"),
            kind: &REST,
            codes: Vec::new(),
            unit: Word::Borrowed(""),
            default: Word::Borrowed(""),
            evidence: Evidence::Inferred,
        }]),
    };
    let unanswering = ["motor", "belt", "addressing"].contains(&class);
    FunctionDraft {
        at: at.clone(),
        class: own(class),
        code,
        name: Word::Borrowed(""),
        doc: Word::Borrowed(""),
        request_status: if unanswering { Status::OK } else { Status::REQUEST },
        request: Vec::from([FormDraft { status: StatusRule::Ok, ..raw("Ask") }]),
        reply: Vec::from([raw("Reply")]),
        // What the vendor's host does for functions that are in none of its tables.
        timeout_ms: 2_000,
        sends: 5,
        // What must be assumed.
        effects: firmware(),
        own_effects: false,
        unknown: Word::Borrowed(""),
    }
}

/// The STATUS that requests carry: `request` (FF), `ok` (00), or a number.
fn request_status(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Status> {
    match section.get("request_status")?.get_ref().as_str() {
        Some("ok") => Some(Status::OK),
        Some("request") => Some(Status::REQUEST),
        Some(word) => {
            let at = section.get("request_status")?.span();
            errors.add_unknown(at, format!("no request_status {word:?}"), word, &["ok", "request"]);
            None
        }
        None => {
            section.number("request_status", 0..=255, errors).map(|n| Status(byte(n.into_inner())))
        }
    }
}

/// The forms of one side.
fn forms(section: &Section<'_>, side: &str, errors: &mut Errors<'_>) -> Option<Vec<FormDraft>> {
    let sections = section.sections(side, FORM, errors)?;
    Some(sections.iter().map(|section| form(section, side, errors)).collect())
}

fn form(section: &Section<'_>, side: &str, errors: &mut Errors<'_>) -> FormDraft {
    let name = section.text("form", errors);
    let fields = section.sections("fields", FIELD, errors).unwrap_or_default();
    let status = match section.get("status") {
        Some(value) if side == "request" => {
            errors.add(value.span(), "status is for replies; a request's is request_status");
            None
        }
        Some(value) => status_rule(section, value, errors),
        None => None,
    };
    FormDraft {
        at: section.at.clone(),
        name: match name {
            Some(text) => own(text.get_ref()),
            None => Word::Borrowed(if side == "request" { "Ask" } else { "Reply" }),
        },
        when: when(section, errors),
        status: status.unwrap_or(StatusRule::Ok),
        fields: fields.iter().filter_map(|section| field(section, errors)).collect(),
    }
}

fn status_rule(
    section: &Section<'_>,
    value: &Spanned<DeValue<'_>>,
    errors: &mut Errors<'_>,
) -> Option<StatusRule> {
    match value.get_ref().as_str() {
        Some("ok") => Some(StatusRule::Ok),
        Some("any") => Some(StatusRule::Any),
        Some(word) => {
            errors.add_unknown(value.span(), format!("no status {word:?}"), word, &["ok", "any"]);
            None
        }
        None => {
            section.number("status", 0..=254, errors).map(|n| StatusRule::Is(byte(n.into_inner())))
        }
    }
}

/// `when = { stage = 5 }`.
pub(super) fn when(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<When> {
    let Some(value) = section.get("when") else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        errors.add(value.span(), "when is a table such as { stage = 5 }");
        return Vec::new();
    };
    let mut when = Vec::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        when.extend(number_of(name, value, 0..=255, errors).map(|n| (key.span(), own(name), n)));
    }
    // In the order of the text.
    when.sort_by_key(|(at, ..)| at.start);
    when
}

fn field(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<FieldDraft> {
    let name = section.text("name", errors);
    let name = section.required("name", name, errors);
    let kind = kind(section, errors);
    let kind = section.required("kind", kind, errors);
    let [unit, default] = ["unit", "default"].map(|key| {
        section.text(key, errors).map_or(Word::Borrowed(""), |text| own(text.get_ref()))
    });
    let evidence = evidence(section, errors).unwrap_or(Evidence::Inferred);
    let codes = values(section, errors).unwrap_or_default();
    let field = FieldDraft {
        at: section.at.clone(),
        name: own(name?.get_ref()),
        kind: &U8,
        codes: Vec::new(),
        unit,
        default: Word::Borrowed(""),
        evidence,
    };
    // Without its kind it stays, so that what refers to it is not wrong too.
    Some(match kind {
        Some(kind) => FieldDraft { kind, codes, default, ..field },
        None => field,
    })
}

fn kind(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<&'static Kind> {
    let text = section.text("kind", errors)?;
    let word = *text.get_ref();
    let found = KINDS.into_iter().find(|kind| kind.name == word);
    if found.is_none() {
        let names = KINDS.map(|kind| kind.name);
        errors.add_unknown(text.span(), format!("no kind {word:?}"), word, &names);
    }
    found
}

fn evidence(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Evidence> {
    let text = section.text("evidence", errors)?;
    let word = *text.get_ref();
    let found = Evidence::ALL.into_iter().find(|evidence| evidence.name() == word);
    if found.is_none() {
        let names = Evidence::ALL.map(Evidence::name);
        errors.add_unknown(text.span(), format!("no evidence {word:?}"), word, &names);
    }
    found
}

/// `values = { 0 = "off", 0x10 = "on" }`.
fn values(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Vec<(At, u32, Word)>> {
    let value = section.get("values")?;
    let Some(table) = value.get_ref().as_table() else {
        errors.add(value.span(), "values is a table such as { 0 = \"off\", 1 = \"on\" }");
        return None;
    };
    let mut values = Vec::new();
    for (key, value) in table {
        let digits: &str = key.get_ref();
        let number = match digits.strip_prefix("0x") {
            _ if digits.contains('+') => None,
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        match number {
            Some(n) => values.extend(
                text_of("a value's name", value, errors).map(|text| (key.span(), n, own(text))),
            ),
            None => errors.add(key.span(), format!("{digits:?} is no number such as 1 or 0x10")),
        }
    }
    // In the order of the text: of two values with one name the first is what a sender writes.
    values.sort_by_key(|(at, ..)| at.start);
    Some(values)
}

/// A `[[field]]`: changes the fields of this name in a function that exists.
fn change(section: &Section<'_>, draft: &mut DialectDraft, errors: &mut Errors<'_>) {
    let class = class(section, draft, errors);
    let code = section.number("code", 0..=255, errors);
    let code = section.required("code", code, errors);
    let name = section.text("name", errors);
    let name = section.required("name", name, errors);
    let new = Change::new(section, errors);
    let (Some(class), Some(code), Some(name)) = (class, code, name) else { return };
    let (code_at, code) = (code.span(), byte(code.into_inner()));
    let has = |f: &FunctionDraft| f.class == class && f.code == code;
    if !draft.functions.iter().any(has) {
        match old_function(draft, class, code, &section.at) {
            Some(function) => draft.functions.push(function),
            None => {
                return errors
                    .add(code_at, format!("class {class} has no function {code:02X} to change"));
            }
        }
    }
    let Some(function) = draft.functions.iter_mut().find(|function| has(function)) else { return };
    let (request, reply) = match new.side {
        Some("request") => (true, false),
        Some("reply") => (false, true),
        _ => (true, true),
    };
    let sides = [(request, &mut function.request), (reply, &mut function.reply)];
    let forms = sides.into_iter().filter(|(meant, _)| *meant).flat_map(|(_, forms)| forms);
    let forms = forms.filter(|form| new.form.is_none_or(|name| form.name == name));
    let mut fields: Vec<&mut FieldDraft> = forms.flat_map(|form| &mut form.fields).collect();
    if !fields.iter().any(|field| field.name == *name.get_ref()) {
        let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        let what = format!("{} has no such field {:?}", function.name, name.get_ref());
        return errors.add_unknown(name.span(), what, name.get_ref(), &names);
    }
    for field in fields.iter_mut().filter(|field| field.name == *name.get_ref()) {
        new.apply(field, &section.at);
    }
    if let (true, Some(rename)) = (request, &new.rename) {
        function.rename_in_effects(name.get_ref(), rename);
    }
}

/// What a `[[field]]` sets.
struct Change<'t> {
    side: Option<&'t str>,
    form: Option<&'t str>,
    rename: Option<Word>,
    unit: Option<Word>,
    default: Option<Word>,
    kind: Option<&'static Kind>,
    evidence: Option<Evidence>,
    codes: Option<Vec<(At, u32, Word)>>,
}

impl<'t> Change<'t> {
    fn new(section: &Section<'t>, errors: &mut Errors<'_>) -> Self {
        let side = section.text("side", errors);
        if let Some(text) =
            side.as_ref().filter(|text| !["request", "reply"].contains(text.get_ref()))
        {
            let word = *text.get_ref();
            errors.add_unknown(
                text.span(),
                format!("no side {word:?}"),
                word,
                &["request", "reply"],
            );
        }
        let form = section.text("form", errors).map(Spanned::into_inner);
        let mut word = |key| section.text(key, errors).map(|text| own(text.get_ref()));
        let (rename, unit, default) = (word("rename"), word("unit"), word("default"));
        Change {
            side: side.map(Spanned::into_inner),
            form,
            rename,
            unit,
            default,
            kind: kind(section, errors),
            evidence: evidence(section, errors),
            codes: values(section, errors),
        }
    }

    fn apply(&self, field: &mut FieldDraft, at: &At) {
        field.at = at.clone();
        let set = |place: &mut Word, new: &Option<Word>| {
            if let Some(new) = new {
                place.clone_from(new);
            }
        };
        set(&mut field.name, &self.rename);
        set(&mut field.unit, &self.unit);
        set(&mut field.default, &self.default);
        field.kind = self.kind.unwrap_or(field.kind);
        field.evidence = self.evidence.unwrap_or(field.evidence);
        if let Some(codes) = &self.codes {
            field.codes.clone_from(codes);
        }
    }
}

/// A number that was read as 0 to 255.
fn byte(n: u32) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}
