//! Whether a value makes sense for its field, and what it is compared as.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Op;
use super::error::Problem;
use super::field::{self, Builtin, Name, nearest};
use super::number::{self, Number, Pattern};
use super::operand::{Operand, Test};
use crate::address::{Address, Class};
use crate::dialect::Dialect;
use crate::message::Field;
use crate::record::{GapReason, Time};
use crate::status::Status;

/// How many names are listed in a message.
const LISTED: usize = 9;

/// A value that was understood.
pub(super) struct Checked {
    pub(super) test: Test,
    /// What was probably meant instead.
    pub(super) hint: Option<String>,
}

/// What can be wrong: the operator for this field, or the value.
enum Wrong {
    Op(String),
    Value(String),
}

type Result<T> = core::result::Result<T, Wrong>;

/// Checks a comparison.
pub(super) fn value(
    name: &Name,
    op: Op,
    value: &str,
    dialect: &'static Dialect,
) -> core::result::Result<Checked, Problem> {
    let checked = match name {
        Name::Builtin(builtin) => self::builtin(*builtin, op, value, dialect),
        Name::Payload(path) => payload(path, op, value, dialect)
            .map(|operand| Checked { test: Test::Payload(operand), hint: None }),
    };
    checked.map_err(|wrong| match wrong {
        Wrong::Op(advice) => Problem::Operator { field: name.to_string(), op: op.text(), advice },
        Wrong::Value(advice) => {
            Problem::Value { field: name.to_string(), value: value.to_owned(), advice }
        }
    })
}

fn builtin(field: Builtin, op: Op, value: &str, dialect: &'static Dialect) -> Result<Checked> {
    let mut hint = None;
    let test = match field {
        Builtin::Addr | Builtin::Func | Builtin::Status | Builtin::Bus | Builtin::Form
            if op.is_search() =>
        {
            Test::Part(value.to_ascii_lowercase())
        }
        Builtin::Data | Builtin::Raw if op.is_search() => Test::Pattern(pattern(value)?),
        _ if op.is_search() => {
            return Err(Wrong::Op("~ searches texts and bytes; write == or !=".to_owned()));
        }
        Builtin::Addr => {
            hint = decimal(value, |n| device_name(n, dialect));
            address(op, value, dialect)?
        }
        Builtin::Func => {
            hint = decimal(value, |n| function_name(n, dialect));
            function(op, value, dialect)?
        }
        Builtin::Status => {
            hint = decimal(value, |n| dialect.status(Status(n))?.name.map(str::to_owned));
            status(value, dialect)?
        }
        Builtin::Len | Builtin::Offset | Builtin::Attempts | Builtin::Size => {
            Test::Number(number(value)?)
        }
        Builtin::Latency => Test::Nanos(latency(value)?),
        Builtin::Time => Test::Nanos(time(value)?),
        _ if op.is_order() => {
            return Err(Wrong::Op(format!("{} has no order; write == or !=", field.name())));
        }
        Builtin::Class => {
            let classes: Vec<Class> = dialect.classes().collect();
            let names = classes.iter().map(|class| class.name());
            let name = one_of(value, names)?;
            Test::Name(name)
        }
        Builtin::Dir => Test::Name(one_of(value, ["request", "response", "unknown"].into_iter())?),
        Builtin::DirSource => {
            let sources = ["given", "certain", "inferred", "unknown"];
            Test::Name(one_of(value, sources.into_iter())?)
        }
        Builtin::Outcome => {
            Test::Name(one_of(value, field::OUTCOMES.iter().map(|outcome| outcome.name()))?)
        }
        Builtin::Reason => {
            let of_noise = ["garbage", "bad_length", "bad_crc", "truncated"].into_iter();
            let of_gaps = GapReason::ALL.into_iter().map(GapReason::name);
            Test::Name(one_of(value, of_noise.chain(of_gaps))?)
        }
        Builtin::Form => {
            let forms = dialect.all_functions().flat_map(|f| f.request.iter().chain(f.reply));
            Test::Name(one_of(value, forms.map(|form| form.name).chain(["Error"]))?)
        }
        Builtin::Bus => Test::Text(value.to_owned()),
        Builtin::Data | Builtin::Raw => Test::Bytes(bytes(value)?),
    };
    Ok(Checked { test, hint })
}

/// One of some words, in either case; given as it is listed.
fn one_of<'n>(value: &str, names: impl Iterator<Item = &'n str>) -> Result<String> {
    let names: Vec<&str> = names.collect();
    match names.iter().find(|name| name.eq_ignore_ascii_case(value)) {
        Some(name) => Ok((*name).to_owned()),
        None => Err(Wrong::Value(choice(value, &names))),
    }
}

/// The nearest of some names, or the first of them.
fn choice(value: &str, names: &[&str]) -> String {
    if let Some(near) = nearest(value, names.iter().copied()) {
        return format!("did you mean {near}?");
    }
    let mut listed: Vec<&str> = Vec::new();
    for name in names {
        if !listed.contains(name) {
            listed.push(name);
        }
    }
    let more = if listed.len() > LISTED { ", …" } else { "" };
    listed.truncate(LISTED);
    format!("it is one of {}{more}", listed.join(", "))
}

fn number(value: &str) -> Result<Number> {
    Number::parse(value).ok_or_else(|| Wrong::Value(not_a_number(value)))
}

fn not_a_number(value: &str) -> String {
    match hex_meant(value) {
        Some(hex) => format!("numbers are decimal, hex is written 0x{hex}"),
        None => "it is a number (hex as 0x1f)".to_owned(),
    }
}

/// The digits of a hex number that lacks its `0x`, or that ends in `h`.
fn hex_meant(value: &str) -> Option<&str> {
    let digits = value.strip_suffix(['h', 'H']).unwrap_or(value);
    let is_hex = !digits.is_empty()
        && digits.len() <= 8
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && digits.bytes().any(|b| b.is_ascii_digit() || value.len() == 2);
    is_hex.then_some(digits)
}

fn bytes(value: &str) -> Result<Vec<u8>> {
    number::bytes(value).ok_or_else(|| {
        Wrong::Value("it is bytes: an even number of hex digits such as \"01 a0\"".to_owned())
    })
}

fn pattern(value: &str) -> Result<Pattern> {
    Pattern::parse(value).ok_or_else(|| {
        let form = "bytes are searched by pairs of hex digits, with . for any digit: \"c5..42\"";
        Wrong::Value(form.to_owned())
    })
}

fn latency(value: &str) -> Result<i64> {
    number::duration(value).ok_or_else(|| {
        Wrong::Value(match Number::parse(value) {
            Some(_) => format!("it needs a unit, us, ms, s or m: write {value}ms"),
            None => "it is a time such as 50ms, 800us or 1.5s".to_owned(),
        })
    })
}

fn time(value: &str) -> Result<i64> {
    number::nanoseconds(value, Time::SECOND).ok_or_else(|| {
        let form = "it is seconds such as 1767293742.5 on the capture's clock (times of day and \
                    dates go to --since and --until)";
        Wrong::Value(form.to_owned())
    })
}

/// A device, a class of devices, or a number.
fn address(op: Op, value: &str, dialect: &'static Dialect) -> Result<Test> {
    let known = dialect.address(value).ok().or_else(|| number::byte(value).map(Address));
    if let Some(addr) = known {
        return Ok(Test::Address(addr));
    }
    if let Some(class) = dialect.classes().find(|class| class.name().eq_ignore_ascii_case(value)) {
        return match op.is_order() {
            true => Err(Wrong::Op(format!("{value} is a class of devices; write == or !="))),
            false => Ok(Test::Class(class)),
        };
    }
    let names: Vec<String> = (0..=255)
        .map(Address)
        .filter(|a| !dialect.is_unknown(*a))
        .map(|a| dialect.device(a).into_owned())
        .collect();
    if let Some(near) = nearest(value, names.iter().map(String::as_str)) {
        return Err(Wrong::Value(format!("did you mean {near}?")));
    }
    Err(Wrong::Value(match hex_meant(value) {
        Some(hex) => hex_advice(hex, |n| device_name(n, dialect)),
        None => "it is a device such as box1, motor2, rack, unassigned, a class such as box, or a \
                 number such as 0x41"
            .to_owned(),
    }))
}

/// A function's name or code.
fn function(op: Op, value: &str, dialect: &'static Dialect) -> Result<Test> {
    if let Some(code) = number::byte(value) {
        return Ok(Test::Code(code));
    }
    let named = field::function_names(dialect).find(|name| name.eq_ignore_ascii_case(value));
    match named {
        Some(_) if op.is_order() => {
            Err(Wrong::Op("names have no order; write the code, as in func<0x10".to_owned()))
        }
        Some(name) => Ok(Test::Name(name.to_owned())),
        None => Err(Wrong::Value(match hex_meant(value) {
            Some(hex) => hex_advice(hex, |n| function_name(n, dialect)),
            None => match nearest(value, field::function_names(dialect)) {
                Some(near) => format!("did you mean {near}?"),
                None => "it is a function's name (k485 explain lists them, func~part searches \
                         them) or a byte such as 0x0a"
                    .to_owned(),
            },
        })),
    }
}

/// A status's name or code.
fn status(value: &str, dialect: &'static Dialect) -> Result<Test> {
    let known = dialect.status_of(value).ok().or_else(|| number::byte(value).map(Status));
    match known {
        Some(Status::REQUEST) => Err(Wrong::Value(
            "status is what a reply reports; requests are found by request".to_owned(),
        )),
        Some(status) => Ok(Test::Code(status.0)),
        None => Err(Wrong::Value(match hex_meant(value) {
            Some(hex) => hex_advice(hex, |n| dialect.status(Status(n))?.name.map(str::to_owned)),
            None => match nearest(value, field::status_names(dialect)) {
                Some(near) => format!("did you mean {near}?"),
                None => "it is a name such as OK or RETRUDE_ERR2 (status~RETRUDE searches them), \
                         or a byte such as 0x14"
                    .to_owned(),
            },
        })),
    }
}

/// How to write a hex number whose `0x` is missing.
fn hex_advice(digits: &str, name_of: impl Fn(u8) -> Option<String>) -> String {
    let name = u8::from_str_radix(digits, 16).ok().and_then(name_of);
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("numbers are decimal, hex is written 0x{digits}{name}")
}

/// The hint for a decimal number whose digits are those of another hex one.
fn decimal(value: &str, name_of: impl Fn(u8) -> Option<String>) -> Option<String> {
    if !value.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = value.parse::<u8>().ok().filter(|number| *number >= 10)?;
    let named = |number: u8| name_of(number).map(|name| format!(" ({name})")).unwrap_or_default();
    let hex = u8::from_str_radix(value, 16).ok();
    let other = hex.map(named).unwrap_or_default();
    Some(format!(
        "{value} is decimal, which is 0x{number:02X}{}; hex is written 0x{value}{other}",
        named(number)
    ))
}

fn device_name(number: u8, dialect: &'static Dialect) -> Option<String> {
    let addr = Address(number);
    (!dialect.is_unknown(addr)).then(|| dialect.device(addr).into_owned())
}

/// The names of the functions of a code, in the order of the classes.
fn function_name(code: u8, dialect: &'static Dialect) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for function in dialect.all_functions().filter(|function| function.code == code) {
        if !names.contains(&function.name) {
            names.push(function.name);
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

/// A value for a payload's field: it must fit one of the declarations of the name.
fn payload(path: &[String], op: Op, value: &str, dialect: &'static Dialect) -> Result<Operand> {
    let operand = Operand::new(value, dialect);
    let name = path.first().map_or("", String::as_str);
    let mut wrong: Vec<Wrong> = Vec::new();
    for field in field::declared(dialect, name) {
        match fits(field, path, op, value, &operand) {
            Ok(()) => return Ok(operand),
            Err(more) => wrong.push(more),
        }
    }
    // A wrong value says more than a wrong operator, which another declaration may allow.
    wrong.sort_by_key(|wrong| matches!(wrong, Wrong::Op(_)));
    let mut advices: Vec<String> = Vec::new();
    let is_op = matches!(wrong.first(), Some(Wrong::Op(_)));
    for Wrong::Op(advice) | Wrong::Value(advice) in wrong {
        if !advices.contains(&advice) {
            advices.push(advice);
        }
    }
    // The nearest name is what was meant, whatever other fields of the name hold.
    if let Some(at) = advices.iter().position(|advice| advice.starts_with("did you mean")) {
        advices = Vec::from([advices.swap_remove(at)]);
    }
    advices.truncate(3);
    let advice = advices.join("; or ");
    Err(if is_op { Wrong::Op(advice) } else { Wrong::Value(advice) })
}

/// Whether a comparison makes sense for a field as it is declared.
fn fits(field: &Field, path: &[String], op: Op, value: &str, operand: &Operand) -> Result<()> {
    let no_order = || Err(Wrong::Op(format!("{} has no order; write == or !=", field.name)));
    let is_number = operand.number.is_some();
    match field.kind.name {
        "bits8" | "bits32le" => match op {
            _ if op.is_order() && !is_number => no_order(),
            _ if is_number && !op.is_search() => Ok(()),
            _ => bits(field, value),
        },
        "slots" if op.is_order() => no_order(),
        "slots" if operand.slots.is_some() || (is_number && !op.is_search()) => Ok(()),
        "slots" => Err(Wrong::Value("it is slots such as T1A, A, A+C, none or all".to_owned())),
        "address" if op.is_search() || operand.address.is_some() => Ok(()),
        "address" => Err(Wrong::Value("it is a device such as box1, or a number".to_owned())),
        "uniid" | "bytes2" | "bytes" => match op {
            _ if op.is_order() => no_order(),
            _ if op.is_search() => pattern(value).map(|_| ()),
            _ => bytes(value).map(|_| ()),
        },
        "param" if op.is_search() => pattern(value).map(|_| ()),
        "param" if is_number || operand.bytes.is_some() => Ok(()),
        "param" => Err(Wrong::Value("it is a number, or bytes in hex".to_owned())),
        "tags" if path.len() == 1 && !op.is_search() => {
            let advice = "it is a group: compare a part, as in tags.A.material==011002, or search \
                          it with ~";
            Err(Wrong::Op(advice.to_owned()))
        }
        "text" | "ascii3" | "version2" | "version4" | "tag" | "tags" => {
            if op.is_order() {
                no_order()
            } else {
                Ok(())
            }
        }
        _ if !field.codes.is_empty() => codes(field, op, value, is_number),
        _ if op.is_search() => {
            Err(Wrong::Op(format!("{} is a number; write == < or >", field.name)))
        }
        _ if is_number => Ok(()),
        _ => Err(Wrong::Value(not_a_number(value))),
    }
}

/// Flags, by their names.
fn bits(field: &Field, value: &str) -> Result<()> {
    if value.eq_ignore_ascii_case("none") {
        return Ok(());
    }
    let names: Vec<&str> = field.codes.iter().map(|(_, name)| *name).collect();
    let unnamed = |bit: &str| {
        let number = bit.get(..3).filter(|bit| bit.eq_ignore_ascii_case("bit")).and(bit.get(3..));
        number.and_then(|number| number.parse::<u8>().ok()).is_some_and(|number| number < 32)
    };
    let is_bit =
        |bit: &str| names.iter().any(|name| name.eq_ignore_ascii_case(bit)) || unnamed(bit);
    match value.split('+').find(|bit| !is_bit(bit)) {
        None => Ok(()),
        Some(bit) => Err(Wrong::Value(choice(bit, &names))),
    }
}

/// A number whose values have names.
fn codes(field: &Field, op: Op, value: &str, is_number: bool) -> Result<()> {
    let names: Vec<&str> = field.codes.iter().map(|(_, name)| *name).collect();
    if op.is_search() || is_number {
        return Ok(());
    }
    if op.is_order() {
        return Err(Wrong::Op("names have no order; write the number".to_owned()));
    }
    if names.iter().any(|name| name.eq_ignore_ascii_case(value)) {
        return Ok(());
    }
    Err(Wrong::Value(match hex_meant(value) {
        Some(hex) => format!("numbers are decimal, hex is written 0x{hex}"),
        None => choice(value, &names),
    }))
}
