//! A dialect file to go on from: the layouts that were found, with names to replace.
//!
//! Names say the place (`byte0`, `float4`), everything is `inferred`, and what the file format
//! cannot say stands in a comment.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use k485_proto::address::{Address, Class};
use k485_proto::message::kind::{self, Kind};

use super::Family;
use super::column::Field;
use super::report::{Form, Function, Payloads, Report};

/// How many values of a code are listed to be named.
const CODES: usize = 16;

/// Writes the functions that `wanted` takes as a dialect over `base`.
#[must_use]
pub fn toml(report: &Report, name: &str, base: &str, wanted: impl Fn(&Function) -> bool) -> String {
    let mut out = String::new();
    // A `String` takes everything.
    let _ = write(report, name, base, wanted, &mut out);
    out
}

fn write(
    report: &Report,
    name: &str,
    base: &str,
    wanted: impl Fn(&Function) -> bool,
    out: &mut String,
) -> fmt::Result {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    writeln!(
        out,
        "# What k485 discover made of {} exchanges. Every layout is a guess from the",
        report.exchanges
    )?;
    writeln!(
        out,
        "# bytes: replace the names, and check the kinds, above all where few were seen."
    )?;
    writeln!(out, "name = \"{name}\"\ntitle = \"{name}, from captures\"\nbase = \"{base}\"")?;
    let functions: Vec<&Function> = report.functions.iter().filter(|f| wanted(f)).collect();
    let mut devices = BTreeSet::new();
    for addr in functions.iter().filter_map(|function| match function.family {
        Family::Address(addr) => Some(addr),
        Family::Class(_) => None,
    }) {
        if !Address(addr).is_group() && devices.insert(addr) {
            let name = device(addr);
            write!(
                out,
                "\n[[device]]\nname = \"{name}\"\naddress = 0x{addr:02x}\ncount = 1\nclass = \"{name}\"\n"
            )?;
        }
    }
    let mut declared = BTreeSet::new();
    for item in functions {
        match class(item) {
            // Two families may hold one function of address management.
            Some(class) if declared.insert((class.clone(), item.func)) => {
                function(&class, item, out)?;
            }
            _ => writeln!(
                out,
                "\n# {} {:02X}: {} exchanges; not a function of one device, so not declared",
                item.family,
                item.func,
                item.devices.values().sum::<u64>()
            )?,
        }
    }
    Ok(())
}

fn device(addr: u8) -> String {
    format!("device_{addr:02x}")
}

/// The class that a function is declared under.
fn class(function: &Function) -> Option<String> {
    match function.family {
        _ if matches!(function.func, 0xa0..=0xa3) => Some(Class::Addressing.name().into()),
        Family::Class(class) => Some(class.name().into()),
        Family::Address(addr) => (!Address(addr).is_group()).then(|| device(addr)),
    }
}

fn function(class: &str, item: &Function, out: &mut String) -> fmt::Result {
    let (asked, answered) = (item.requests.count, item.replies.count);
    writeln!(out, "\n[[function]]\nclass = \"{class}\"\ncode = 0x{:02x}", item.func)?;
    writeln!(out, "name = \"FUNC_{:02X}\"", item.func)?;
    writeln!(out, "doc = \"Unknown; seen in {asked} requests and {answered} replies.\"")?;
    match item.requests.status {
        Some(0xff) => writeln!(out, "request_status = \"request\"")?,
        Some(0) => writeln!(out, "request_status = \"ok\"")?,
        Some(status) => writeln!(out, "request_status = 0x{status:02x}")?,
        None => {}
    }
    let chooser = item.replies.selector.or(item.requests.selector);
    let choosable = is_choosable(&item.requests, chooser);
    side("request", &item.requests, chooser, choosable, out)?;
    side("reply", &item.replies, chooser, choosable, out)
}

/// Whether some request's layout has a field of its own for the byte that chooses.
fn is_choosable(requests: &Payloads, chooser: Option<usize>) -> bool {
    let single = |field: &Field| Some(field.offset) == chooser && field.width == Some(1);
    let holds = |form: &Form| form.length.0 > chooser.unwrap_or(0);
    requests.forms.iter().filter(|form| holds(form)).all(|form| form.fields.iter().any(single))
}

fn side(
    name: &str,
    payloads: &Payloads,
    chooser: Option<usize>,
    choosable: bool,
    out: &mut String,
) -> fmt::Result {
    // Without a single one seen, whatever comes is bytes: the reader's own default.
    if payloads.count == 0 {
        return Ok(());
    }
    let silent = |form: &Form| form.length == (0, 0) && form.status.is_some_and(|s| s != 0);
    let forms: Vec<&Form> = payloads.forms.iter().filter(|form| !silent(form)).collect();
    if forms.is_empty() {
        return writeln!(out, "{name} = []");
    }
    let first = if name == "request" { "Ask" } else { "Reply" };
    let mut names = BTreeSet::new();
    for item in forms {
        let conditions: Vec<Option<u8>> = match (payloads.selector, item.when.is_empty()) {
            (Some(at), false) if choosable && Some(at) == chooser => {
                item.when.iter().copied().map(Some).collect()
            }
            _ => vec![None],
        };
        for value in conditions {
            let stem = value.map_or(first.to_owned(), |value| format!("{first}{value:02X}"));
            let numbered = (2..).map(|n| format!("{stem}_{n}"));
            let free = |name: &String| !names.contains(name);
            let form = std::iter::once(stem.clone()).chain(numbered).find(free).unwrap_or(stem);
            names.insert(form.clone());
            writeln!(out, "\n[[function.{name}]]\nform = \"{form}\"")?;
            if let (Some(value), Some(at)) = (value, chooser) {
                writeln!(out, "when = {{ byte{at} = {value} }}")?;
            } else if !item.when.is_empty() {
                writeln!(
                    out,
                    "# when byte {:?} of the request is {:02x?}",
                    payloads.selector, item.when
                )?;
            }
            match item.status {
                _ if name == "request" => {}
                Some(0) => {}
                Some(status) => writeln!(out, "status = 0x{status:02x}")?,
                None => writeln!(out, "status = \"any\"")?,
            }
            let own = chooser.filter(|_| name == "request");
            fields(item, own, out)?;
        }
    }
    Ok(())
}

fn fields(form: &Form, chooser: Option<usize>, out: &mut String) -> fmt::Result {
    if form.fields.is_empty() {
        return writeln!(out, "fields = []");
    }
    writeln!(out, "fields = [")?;
    for field in &form.fields {
        // Only plain bytes and flags can choose a layout.
        let chooses = Some(field.offset) == chooser && field.width == Some(1);
        let kind: &'static Kind = if chooses { &kind::U8 } else { field.kind };
        let name = self::name(kind, field.offset);
        write!(out, "  {{ name = \"{name}\", kind = \"{}\", evidence = \"inferred\"", kind.name)?;
        if kind == &kind::U8 && (2..=CODES).contains(&field.distinct) && field.role == "code" {
            let mut codes: Vec<&str> =
                field.values.iter().map(|shown| shown.value.as_str()).collect();
            codes.sort_unstable();
            let codes: Vec<String> =
                codes.into_iter().map(|code| format!("0x{code} = \"value_{code}\"")).collect();
            write!(out, ", values = {{ {} }}", codes.join(", "))?;
        }
        writeln!(out, " }}, # {}, {}", field.role, field.confidence.name())?;
    }
    writeln!(out, "]")
}

/// A name that says the kind and the place.
fn name(kind: &Kind, offset: usize) -> String {
    let word = match kind.name {
        "u16le" | "u16be" => "short",
        "u32le" | "u32be" | "bits32le" => "word",
        "f32le" | "f32be" => "float",
        "text" | "ascii3" | "tag" | "tags" => "text",
        "uniid" => "id",
        "bytes" => "rest",
        _ => "byte",
    };
    format!("{word}{offset}")
}
