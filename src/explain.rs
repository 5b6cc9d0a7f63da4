//! `k485 explain`: what a word of this bus means. Every meaning it can have is told.

use std::io::{self, Write, stdout};
use std::process::ExitCode;

use anyhow::bail;
use k485_proto::address::{Address, Class, Device};
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Observed, Pairer, Seen};
use k485_proto::frame::Hex;
use k485_proto::key::Key;
use k485_proto::material::{self, Colour, TAG_FIELDS, TagRecord};
use k485_proto::message::{Form, Function, StatusRule};
use k485_proto::slot::Slot;
use k485_proto::status::Status;
use k485_sniffer::format::hex::read_hex_text;

use crate::dialect::DialectArg;
use crate::encode::nearest;

/// What `k485 explain` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A byte may be a status, a function and an address at once: all of them are told. Without 0x two \
digits are read as hex, as frames and documents write them. Functions may be named with CMD_ in front, as \
some hosts do.

Examples:
  k485 explain 0x14 RETRUDE_ERR2 key849
  k485 explain A2 EXTRUDE_PROCESS CMD_ONLINE_CHECK
  k485 explain 011002 T1A motor1
  k485 explain 'F7 01 03 00 A2 DA'
  k485 explain '{\"code\":\"key840\", \"msg\":\"...\"}'")]
pub(crate) struct Args {
    /// Statuses, keys, functions, addresses, slots, material codes, colours, tag records, frames in
    /// any hex, a printer's message with its code
    #[arg(required = true, value_name = "WORD", allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    dialect: DialectArg,
}

/// Explains every word; fails when one means nothing.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = args.dialect.load()?;
    let mut out = stdout().lock();
    let mut unknown = Vec::new();
    for word in &args.words {
        let mut page = Vec::new();
        explain(word, dialect, &mut page)?;
        if page.is_empty() {
            unknown.push(word.as_str());
        }
        if args.words.len() > 1 && !page.is_empty() {
            writeln!(out, "{word}:")?;
        }
        out.write_all(&page)?;
    }
    out.flush()?;
    if let [word] = unknown[..] {
        let names: Vec<&str> = dialect
            .all_functions()
            .map(|function| function.name)
            .chain(dialect.statuses().filter_map(|info| info.name))
            .collect();
        if let Some(near) = nearest(without_prefix(word), &names) {
            bail!("nothing known of {word}; did you mean {near}?");
        }
    }
    if !unknown.is_empty() {
        bail!(
            "nothing known of {}: expected a status (RETRUDE_ERR2, 0x14), a key (key849), a \
             function (EXTRUDE_PROCESS, A2), a device (box1), a slot (T1A), a material code \
             (011002), a colour (0FF8800), a tag's 40 characters, a frame in hex or a printer's \
             message with its \"code\"",
            unknown.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(word: &str, dialect: &'static Dialect, out: &mut Vec<u8>) -> io::Result<()> {
    let byte = byte(word);
    for info in dialect.statuses() {
        let named = info.name.is_some_and(|name| name.eq_ignore_ascii_case(word));
        if named || byte == Some(info.code.0) {
            status(info.code, dialect, out)?;
        }
    }
    if byte == Some(0xff) || word.eq_ignore_ascii_case("REQUEST") {
        writeln!(out, "status FF: what requests to boxes and the rack carry")?;
    }
    if let Ok(key) = code_of_message(word).unwrap_or(word).parse::<Key>() {
        self::key(key, dialect, out)?;
    }
    let spoken = without_prefix(word).replace('-', "_");
    for function in dialect.all_functions() {
        let named = function.name.eq_ignore_ascii_case(&spoken);
        if named || byte == Some(function.code) {
            self::function(function, out)?;
        }
    }
    let named = dialect.address(word).ok().filter(|_| !word.starts_with("0x"));
    if let Some(addr) = named.or(byte.map(Address).filter(|addr| !dialect.is_unknown(*addr))) {
        address(addr, dialect, out)?;
    }
    if let Ok(slot) = word.parse::<Slot>() {
        let (device, letter) = (slot.device, slot.letter);
        writeln!(
            out,
            "slot {slot}: slot {letter} of box{device} (address {device:02X}), mask {:02X} on the wire",
            letter.mask()
        )?;
    }
    if word.len() == 6 || word == "-1" {
        self::material(word, out)?;
    }
    if let Ok(colour) = word.parse::<Colour>() {
        let [red, green, blue] = colour.rgb();
        writeln!(out, "colour {colour}: red {red}, green {green}, blue {blue}")?;
    }
    if let Ok(record) = TagRecord::parse(word) {
        tag(&record, out)?;
    }
    frames(word, dialect, out)
}

/// The name of a function without the `CMD_` that some hosts have in front of it.
fn without_prefix(word: &str) -> &str {
    match word.split_at_checked(4) {
        Some((prefix, name)) if prefix.eq_ignore_ascii_case("cmd_") => name,
        _ => word,
    }
}

/// The value of `code` in a message as a printer logs it, `{"code":"key840", "msg":…}`: whole or cut
/// short, in JSON or as Python writes it, with whatever is around it.
fn code_of_message(word: &str) -> Option<&str> {
    let quotes = ['"', '\''];
    let (_, rest) = ["\"code\"", "'code'"].iter().find_map(|name| word.split_once(name))?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix(quotes)?;
    value.split(quotes).next()
}

/// Two hex digits, with or without `0x`.
fn byte(word: &str) -> Option<u8> {
    let digits = word.strip_prefix("0x").or(word.strip_prefix("0X")).unwrap_or(word);
    let hex = (1..=2).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// What is known of a status in the dialect.
pub(crate) fn status(status: Status, dialect: &Dialect, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(info) = dialect.status(status) else { return Ok(()) };
    writeln!(
        out,
        "status {:02X} {}: {} [{}]",
        status.0,
        info.name.unwrap_or("(no name)"),
        info.meaning,
        info.evidence
    )?;
    keys("the host reports", info.keys, out)?;
    keys("during a load or unload it reports", info.context_keys, out)?;
    keys("keys that fit its meaning [inferred]:", info.likely_keys, out)
}

fn keys(what: &str, keys: &[u16], out: &mut Vec<u8>) -> io::Result<()> {
    for key in keys {
        let meaning = Key(*key).info().map_or("", |info| info.meaning);
        writeln!(out, "  {what} key{key}: {meaning}")?;
    }
    Ok(())
}

fn key(key: Key, dialect: &'static Dialect, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(info) = key.info() else { return Ok(()) };
    writeln!(out, "{key}: {} [{}]", info.meaning, info.evidence)?;
    for status in dialect.statuses().filter(|status| status.observed_keys().any(|of| of == key.0)) {
        let name = dialect.status_name(status.code);
        writeln!(out, "  from status {:02X} {name}: {}", status.code.0, status.meaning)?;
    }
    Ok(())
}

/// A function with its layouts.
pub(crate) fn function(function: &Function, out: &mut Vec<u8>) -> io::Result<()> {
    let Function { code, name, class, .. } = function;
    writeln!(out, "function {code:02X} {name} ({}): {}", class.name(), function.doc.trim())?;
    for form in function.request {
        layout("request", form, out)?;
    }
    for form in function.reply {
        layout("reply", form, out)?;
    }
    let again = match function.sends {
        1 => "sends once".to_owned(),
        sends => format!("sends up to {sends} times"),
    };
    writeln!(
        out,
        "  the vendor's host waits {} s and {again}",
        f64::from(function.timeout_ms) / 1000.0
    )?;
    writeln!(out, "  effect: {}", function.effect_line())?;
    if !function.unknown.is_empty() {
        writeln!(out, "  not known: {}", function.unknown)?;
    }
    Ok(())
}

fn layout(side: &str, form: &Form, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "  {side} {}", form.name)?;
    for (field, value) in form.when {
        write!(out, " ({field}={value})")?;
    }
    if let StatusRule::Is(code) = form.status {
        write!(out, " (status {code:02X})")?;
    }
    writeln!(out, "{}", if form.fields.is_empty() { ": no data" } else { ":" })?;
    for field in form.fields {
        let unit = if field.unit.is_empty() { String::new() } else { format!(", {}", field.unit) };
        write!(out, "    {}: {}{unit} [{}]", field.name, field.kind.name, field.evidence)?;
        // A parameter's number has 227 names; they are in the book.
        if (1..=20).contains(&field.codes.len()) {
            let names: Vec<String> =
                field.codes.iter().map(|(code, name)| format!("{code} {name}")).collect();
            write!(out, ": {}", names.join(", "))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn address(addr: Address, dialect: &'static Dialect, out: &mut Vec<u8>) -> io::Result<()> {
    let what = match dialect.entry(addr) {
        Some(entry) => format!("a {} of the dialect [{}]", entry.class.name(), entry.evidence),
        None => match what_is(addr) {
            Some(what) => what,
            None => return Ok(()),
        },
    };
    writeln!(out, "address {:02X} {}: {what}", addr.0, dialect.device(addr))?;
    if let Some(class) = dialect.class(addr).filter(|class| *class != Class::Addressing) {
        let names: Vec<String> =
            dialect.functions(class).map(|f| format!("{:02X} {}", f.code, f.name)).collect();
        writeln!(out, "  functions: {}", names.join(", "))?;
    }
    Ok(())
}

/// What is at an address of the K2 family.
fn what_is(addr: Address) -> Option<String> {
    Some(match addr.device() {
        Device::Box(n) => format!("filament box {n} (slots T{n}A to T{n}D)"),
        Device::Rack => "the filament rack's tag reader".to_owned(),
        Device::Belt(n) => format!("belt module {}", if n == 1 { "x" } else { "y" }),
        Device::Motor(n) => {
            let axis = match n {
                1 => " (x)",
                2 => " (y)",
                3 => " (z)",
                4 => " (z1)",
                _ => "",
            };
            format!("closed-loop motor {n}{axis}")
        }
        Device::Tension(n) => format!("belt tension motor {n} of the vendor's table; unused"),
        Device::FactorySilent => {
            "factory access to a box: executes, silent about errors".to_owned()
        }
        Device::Factory => "factory access to a box: it answers from its own address".to_owned(),
        Device::AllOther => "devices of an unknown class without an address".to_owned(),
        Device::AllTension => "belt tension motors without an address".to_owned(),
        Device::AllMotors => "motors without an address, and their answers".to_owned(),
        Device::Unassigned => "boxes without an address, and their answers".to_owned(),
        Device::All => "everyone (broadcast)".to_owned(),
        Device::Unknown(_) => return None,
    })
}

fn material(word: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(speed) = material::target_speed(word) else { return Ok(()) };
    let (speed, evidence) = (speed.mm_per_min, speed.evidence);
    writeln!(out, "material {word}: target speed {speed} mm/min [{evidence}]")
}

fn tag(record: &TagRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "tag record:")?;
    for ((field, text), known) in record.fields().zip(&TAG_FIELDS) {
        writeln!(out, "  {}: {} [{}]", field.name, text.escape_debug(), known.evidence)?;
    }
    Ok(())
}

/// Whole or bare frames, in any spelling that `decode --hex` reads.
fn frames(word: &str, dialect: &'static Dialect, out: &mut Vec<u8>) -> io::Result<()> {
    let mut pairer = Pairer::with_dialect(dialect);
    for record in read_hex_text("", word) {
        match record {
            Ok(record) => pairer.push(record),
            // It is some other word.
            Err(_) => return Ok(()),
        }
    }
    pairer.finish();
    while let Some(seen) = pairer.pull() {
        if let Seen::Frame(observed) = seen {
            frame(&observed, out)?;
        }
    }
    Ok(())
}

fn frame(observed: &Observed, out: &mut Vec<u8>) -> io::Result<()> {
    let (frame, message, dialect) = (observed.frame(), observed.message(), observed.dialect);
    let name = message.function.map_or("unknown function", |function| function.name);
    let side = observed.dir.map_or("frame", |dir| dir.name());
    writeln!(
        out,
        "{side} {}: {} {name}, STATUS {}",
        Hex(frame.raw()),
        dialect.device(frame.addr()),
        dialect.status_name(frame.status())
    )?;
    for field in &message.fields {
        writeln!(out, "  {}={} {}", field.field.name, field.value, field.field.unit)?;
    }
    if !message.rest.is_empty() {
        writeln!(out, "  data={}", Hex(message.rest))?;
    }
    Ok(())
}
