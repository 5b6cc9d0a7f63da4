//! The generated sections of the protocol's pages: tables as Markdown, made of the declarations.

use std::fmt::{self, Write};

use k485_proto::address::{Address, Class};
use k485_proto::effect::Effect;
use k485_proto::evidence::Evidence;
use k485_proto::key::KEYS;
use k485_proto::message::kind::KINDS;
use k485_proto::message::{self, Field, Form, Function, StatusRule, Width, params};
use k485_proto::status::STATUSES;

/// What begins a section; its name and [`CLOSE`] follow.
pub(crate) const OPEN: &str = "<!-- generated: ";
const CLOSE: &str = " -->";
/// The line that ends a section.
pub(crate) const END: &str = "<!-- end -->";

/// A section's name, and what writes it.
type Section = (&'static str, fn() -> String);

/// The sections by name.
pub(crate) const SECTIONS: [Section; 12] = [
    ("evidence", evidence),
    ("effects", effects),
    ("statuses", statuses),
    ("keys", keys),
    ("kinds", kinds),
    ("functions-box", || functions(Class::Box)),
    ("functions-addressing", || functions(Class::Addressing)),
    ("functions-motor", || functions(Class::Motor)),
    ("functions-belt", || functions(Class::Belt)),
    ("functions-rack", || functions(Class::Rack)),
    ("known", known),
    ("motor-parameters", motor_parameters),
];

/// More names of values than this are not repeated in a field's row: only the motor parameters.
const NAMES_SHOWN: usize = 40;

/// Why a page cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BookError {
    /// A section of a name that is none of [`SECTIONS`].
    Unknown(String),
    /// A section without an end.
    Unclosed(String),
    /// An end without a section.
    Stray(usize),
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BookError::Unknown(name) => {
                let names = SECTIONS.map(|(name, _)| name).join(", ");
                write!(f, "no generated section {name:?}; there are: {names}")
            }
            BookError::Unclosed(name) => write!(f, "section {name:?} has no {END} behind it"),
            BookError::Stray(line) => write!(f, "line {line}: {END} without a section before it"),
        }
    }
}

impl std::error::Error for BookError {}

/// The page with all its generated sections written anew; everything else stays as it is.
pub(crate) fn rewrite(page: &str) -> Result<String, BookError> {
    let mut out = String::with_capacity(page.len());
    let mut open: Option<&str> = None;
    for (number, line) in page.split_inclusive('\n').enumerate() {
        let text = line.trim_end();
        let name = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE));
        match (open, name) {
            (Some(open), Some(_)) => return Err(BookError::Unclosed(open.to_owned())),
            (None, Some(name)) => {
                let section = SECTIONS.iter().find(|(known, _)| *known == name);
                let (_, make) = section.ok_or_else(|| BookError::Unknown(name.to_owned()))?;
                out.push_str(line);
                out.push('\n');
                out.push_str(make().trim_end());
                out.push_str("\n\n");
                open = Some(name);
            }
            (Some(_), None) if text == END => {
                out.push_str(line);
                open = None;
            }
            (None, None) if text == END => return Err(BookError::Stray(number + 1)),
            (Some(_), None) => {}
            (None, None) => out.push_str(line),
        }
    }
    open.map_or(Ok(out), |open| Err(BookError::Unclosed(open.to_owned())))
}

/// A Markdown table in the making.
struct Table(String);

impl Table {
    fn new<const N: usize>(heads: [&str; N]) -> Self {
        Table(format!("| {} |\n|{}\n", heads.join(" | "), " --- |".repeat(N)))
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        self.0.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

fn evidence() -> String {
    let mut table = Table::new(["word", "the fact was"]);
    for evidence in Evidence::ALL {
        table.row([evidence.name().into(), evidence.meaning().into()]);
    }
    table.0
}

fn effects() -> String {
    let mut table = Table::new(["word", "the request"]);
    for effect in Effect::ALL {
        table.row([effect.name().into(), effect.meaning().into()]);
    }
    table.0
}

fn statuses() -> String {
    let mut table = Table::new([
        "code",
        "name",
        "meaning",
        "evidence",
        "host reports",
        "in a load or unload",
        "would fit",
    ]);
    let listed =
        |keys: &[u16]| keys.iter().map(|key| format!("key{key}")).collect::<Vec<_>>().join(", ");
    for info in STATUSES {
        table.row([
            format!("{:02X}", info.code.0),
            info.name.unwrap_or("(none)").into(),
            info.meaning.into(),
            info.evidence.to_string(),
            listed(info.keys),
            listed(info.context_keys),
            listed(info.likely_keys),
        ]);
    }
    table.0
}

fn keys() -> String {
    let mut table = Table::new(["key", "meaning", "evidence"]);
    for info in KEYS {
        table.row([info.key.to_string(), info.meaning.into(), info.evidence.to_string()]);
    }
    table.0
}

/// What a type's name in the tables means; `None` for a type that this list has forgotten.
pub(crate) fn kind_meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "u8" => "unsigned number",
        "i8" => "signed number",
        "u16le" => "unsigned number, low byte first",
        "u16be" => "unsigned number, high byte first",
        "u32le" => "unsigned number, low byte first",
        "u32be" => "unsigned number, high byte first",
        "f32le" => "single-precision number, low byte first",
        "f32be" => "single-precision number, high byte first",
        "bits8" => "eight flags; the values are bit numbers",
        "bits32le" => "32 flags, low byte first; the values are bit numbers",
        "slots" => "slot mask: A = 01, B = 02, C = 04, D = 08",
        "address" => "address of a device",
        "uniid" => "identity of a device, the unique id of its controller",
        "bytes2" => "bytes whose meaning is not known",
        "version2" => "version of two numbers, a byte each",
        "version4" => "version of four numbers, a byte each",
        "ascii3" => "three characters, shown with dots: `113` is 1.1.3",
        "tag" => "tag record, 40 characters",
        "text" => "ASCII text",
        "bytes" => "bytes whose meaning is not known, or that the host leaves unread",
        "tags" => "`A:…;B:…;`, a word or a tag record for each slot that was asked",
        "param" => "value of a motor parameter, in the type of that parameter",
        _ => return None,
    })
}

fn kinds() -> String {
    let mut table = Table::new(["type", "bytes", "what it is"]);
    for kind in KINDS {
        let width = match kind.width {
            Width::Fixed(width) => width.to_string(),
            Width::Rest => "to the end".into(),
        };
        table.row([kind.name.into(), width, kind_meaning(kind.name).unwrap_or_default().into()]);
    }
    table.0
}

fn functions(class: Class) -> String {
    message::functions(class).iter().map(|function| one_function(function)).collect()
}

fn one_function(function: &Function) -> String {
    let Function { code, name, doc, .. } = function;
    let mut text = format!("### {code:02X} {name}\n\n{}\n\n", doc.trim());
    let host = host(function);
    let _ = writeln!(text, "Request STATUS {:02X}. Host: {host}.", function.request_status.0);
    let _ = writeln!(text, "Effect: {}.", function.effect_line());
    if !function.unknown.is_empty() {
        let _ = writeln!(text, "Not known: {}.", function.unknown);
    }
    text.push('\n');
    let mut table = Table::new(["layout", "at", "field", "type", "unit", "values", "evidence"]);
    for (side, forms) in [("request", function.request), ("reply", function.reply)] {
        for form in forms {
            layout(&mut table, side, form);
        }
    }
    text + &table.0 + "\n"
}

/// How long the vendor's host waits and how often it sends.
fn host(function: &Function) -> String {
    let wait = match function.timeout_ms {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    };
    match function.sends {
        1 => format!("waits {wait}, sends once"),
        sends => format!("waits {wait}, sends up to {sends} times"),
    }
}

/// The rows of a layout: one a field.
fn layout(table: &mut Table, side: &str, form: &Form) {
    let mut name = format!("{side} {}", form.name);
    for (field, value) in form.when {
        let _ = write!(name, ", {field} = {value}");
    }
    match form.status {
        StatusRule::Ok => {}
        StatusRule::Any => name += ", any STATUS",
        StatusRule::Is(code) => {
            let _ = write!(name, ", STATUS {code:02X}");
        }
    }
    let empty = String::new;
    if form.fields.is_empty() {
        table.row([name, empty(), "(no data)".into(), empty(), empty(), empty(), empty()]);
        return;
    }
    let mut at = 0;
    let mut above: Option<&Field> = None;
    for field in form.fields {
        table.row([
            std::mem::take(&mut name),
            at.to_string(),
            field.name.into(),
            field.kind.name.into(),
            field.unit.into(),
            values(field, above),
            field.evidence.to_string(),
        ]);
        if let Width::Fixed(width) = field.kind.width {
            at += width;
        }
        above = Some(field);
    }
}

/// The names of a field's values, unless the field above has the same, and what a sender takes when
/// none is given.
fn values(field: &Field, above: Option<&Field>) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !field.codes.is_empty() && above.is_some_and(|above| above.codes == field.codes) {
        parts.push("as above".into());
    } else if field.codes.len() > NAMES_SHOWN {
        parts.push("see [motor parameters](motor-parameters.md)".into());
    } else {
        let hex = field.codes.iter().any(|(value, _)| *value > 9) && field.kind.name == "u8";
        for (value, name) in field.codes {
            let value = if hex { format!("{value:02X}") } else { value.to_string() };
            parts.push(format!("{value} {name}"));
        }
    }
    if !field.default.is_empty() {
        parts.push(format!("left out: {}", field.default));
    }
    parts.join("; ")
}

fn known() -> String {
    let mut table =
        Table::new(["class", "function", "request fields", "reply fields", "not known"]);
    for function in message::all_functions() {
        table.row([
            function.class.name().into(),
            format!("{:02X} {}", function.code, function.name),
            evidence_of(function.request),
            evidence_of(function.reply),
            function.unknown.into(),
        ]);
    }
    table.0
}

/// How the fields of some layouts are known, the strongest kind first, each with its fields'
/// number.
fn evidence_of(forms: &[Form]) -> String {
    let fields = || forms.iter().flat_map(|form| form.fields);
    let parts: Vec<String> = Evidence::ALL
        .into_iter()
        .map(|evidence| (evidence, fields().filter(|field| field.evidence == evidence).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(evidence, count)| format!("{count} {evidence}"))
        .collect();
    if parts.is_empty() { "(no data)".into() } else { parts.join(", ") }
}

fn motor_parameters() -> String {
    let mut table = Table::new(["id", "hex", "name", "type", "bytes", "default"]);
    let default = |id, motor| params::default(id, Address(motor)).unwrap_or_default().to_string();
    for id in 0..=u8::MAX {
        if let Some((name, kind)) = params::info(id) {
            table.row([
                id.to_string(),
                format!("{id:02X}"),
                format!("`{name}`"),
                kind.name().into(),
                kind.size().to_string(),
                match (default(id, 0x81), default(id, 0x82)) {
                    (x, others) if x == others => x,
                    (x, others) => format!("{x} (x), {others}"),
                },
            ]);
        }
    }
    table.0
}
