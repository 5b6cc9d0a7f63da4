//! `k485 encode`: one frame from names and values, strictly.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use k485_proto::address::{Address, Class};
use k485_proto::dialect::Dialect;
use k485_proto::frame::{Frame, Hex};
use k485_proto::message::Function;
use k485_proto::status::Status;

use crate::dialect::DialectArg;

/// What `k485 encode` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  k485 encode box1 EXTRUDE_PROCESS slot=A stage=5
  k485 encode box1 EXTRUDE_PROCESS --reply --form FeedPoll odometer=-587.22
  k485 encode box1 GET_BOX_STATE --reply --status 0x0c temperature=25 humidity=36 ran=0 state=error
  k485 encode motor1 SYS_PARAM op=write id=14 value=1.4")]
pub(crate) struct Args {
    /// box1..box4, motor0..motor8, belt1, belt2, rack, unassigned, all, a byte such as 0x41, or a
    /// device of the dialect
    device: String,
    /// The function's name, or its code in hex such as 10 or 0x10
    function: String,
    /// The fields; those with a default may be left out
    #[arg(value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// The reply instead of the request
    #[arg(long)]
    reply: bool,
    /// The reply's STATUS: a name or 0x..
    #[arg(long, requires = "reply", default_value = "OK")]
    status: String,
    /// The reply's layout, where the fields alone do not tell
    #[arg(long, requires = "reply")]
    form: Option<String>,
    /// Without head and CRC, as the host's calls carry it
    #[arg(long)]
    bare: bool,
    #[command(flatten)]
    dialect: DialectArg,
}

/// Prints the frame as hex.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = args.dialect.load()?;
    // Only the dialect knows these words, so the command line's own parser cannot refuse them.
    let words = || {
        Ok((
            dialect.address(&args.device).map_err(|e| e.to_string())?,
            dialect.status_of(&args.status)?,
        ))
    };
    let (device, status): (Address, Status) = match words() {
        Ok(words) => words,
        Err(what) => return refuse(what),
    };
    let function = find(dialect, device, &args.function)?;
    let fields = pairs(&args.fields)?;
    let (status, data) = if args.reply {
        // An error reply mostly has no data, and needs no layout then.
        let plain = fields.is_empty() && args.form.is_none() && status != Status::OK;
        let data = if plain {
            Vec::new()
        } else {
            function.encode_reply(device, status, args.form.as_deref(), &fields)?
        };
        (status, data)
    } else {
        (function.request_status, function.encode_request(device, &fields)?)
    };
    let raw = Frame::to_vec(device, status, function.code, &data)?;
    let shown = if args.bare { &raw[1..raw.len() - 1] } else { &raw[..] };
    writeln!(stdout(), "{}", Hex(shown))?;
    Ok(ExitCode::SUCCESS)
}

/// A request's frame from names and values.
pub(crate) fn request(
    dialect: &'static Dialect,
    device: Address,
    function: &str,
    fields: &[String],
) -> anyhow::Result<Vec<u8>> {
    let function = find(dialect, device, function)?;
    let data = function.encode_request(device, &pairs(fields)?)?;
    Ok(Frame::to_vec(device, function.request_status, function.code, &data)?)
}

/// The fields, each `NAME=VALUE`.
fn pairs(fields: &[String]) -> anyhow::Result<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    for field in fields {
        let pair = field.split_once('=').filter(|(name, _)| !name.is_empty());
        pairs.push(pair.with_context(|| format!("{field:?}: write NAME=VALUE"))?);
    }
    Ok(pairs)
}

/// A word that the command line's parser had to let pass.
pub(crate) fn refuse(what: String) -> anyhow::Result<ExitCode> {
    let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{what}\n"));
    error.print()?;
    Ok(ExitCode::from(2))
}

/// The function of a device, by name or code.
fn find(dialect: &'static Dialect, addr: Address, text: &str) -> anyhow::Result<&'static Function> {
    let device = dialect.device(addr);
    // Two digits are hex, as in `explain` and on the wire; no function's name looks like that.
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let hex = (1..=2).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_hexdigit());
    if let Some(code) = hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten() {
        return dialect
            .find(addr, code)
            .ok_or_else(|| anyhow!("{device} has no function {text} that is known"));
    }
    let class = dialect.class(addr);
    let named = |f: &&Function| f.name.eq_ignore_ascii_case(text);
    let fits = |f: &&Function| {
        Some(f.class) == class || f.class == Class::Addressing || addr == Address::ALL
    };
    if let Some(function) = dialect.all_functions().filter(fits).find(named) {
        return Ok(function);
    }
    if let Some(other) = dialect.all_functions().find(named) {
        bail!("{} is a function of a {}, and {device} is none", other.name, other.class.name());
    }
    let names: Vec<&str> = dialect.all_functions().filter(fits).map(|f| f.name).collect();
    if let Some(near) = nearest(text, &names) {
        bail!("{device} has no function {text:?}; did you mean {near}?");
    }
    bail!("{device} has no function {text:?}; there are: {}", names.join(", "));
}

/// The name that a mistyped one was probably meant to be.
pub(crate) fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = text.to_ascii_uppercase().replace('-', "_");
    let likeness = |name: &&&str| strsim::jaro_winkler(&text, &name.to_ascii_uppercase());
    let near = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&near) > 0.8).then_some(near)
}
