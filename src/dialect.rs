//! Which tables a command reads by (`--dialect`), and `k485 dialect`: show, check and begin a
//! dialect of one's own.

use std::fs::File;
use std::io::{Read, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use k485_proto::dialect::choose::Chooser;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::message::Function;
use k485_sniffer::capture::Reading;

use crate::encode::nearest;
use crate::explain;

/// How many frames of a capture's beginning `auto` looks at.
const LOOKED_AT: u64 = 2_000;
/// How many records are kept meanwhile, noise and complaints included.
const KEPT: usize = 8_000;
/// The largest file: a dialect is some kilobytes, and a mistaken capture need not be read whole.
const LARGEST: u64 = 1 << 20;

/// Which dialect to read by; shared by every command that decodes or encodes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DialectArg {
    /// Whose tables to use: k2, hi, k1, a TOML file (docs/dialects.md), or for captures auto
    #[arg(long = "dialect", value_name = "NAME|FILE", default_value = "k2")]
    name: String,
    /// What the name was found to be; a file is read once.
    #[arg(skip)]
    found: OnceLock<Wanted>,
}

/// A dialect, or that the capture shall tell it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// This one.
    Is(&'static Dialect),
    /// What the beginning of each capture shows.
    Auto,
}

impl DialectArg {
    /// The dialect, or auto.
    pub(crate) fn wanted(&self) -> anyhow::Result<Wanted> {
        if let Some(found) = self.found.get() {
            return Ok(*found);
        }
        let found = match self.name.as_str() {
            "auto" => Wanted::Auto,
            name => Wanted::Is(load(name)?),
        };
        Ok(*self.found.get_or_init(|| found))
    }

    /// The dialect, where there is no capture that could tell it.
    pub(crate) fn load(&self) -> anyhow::Result<&'static Dialect> {
        match self.wanted()? {
            Wanted::Is(dialect) => Ok(dialect),
            Wanted::Auto => bail!(
                "--dialect auto looks at the beginning of a capture, and there is none here: name \
                 the dialect (k2, hi, k1 or a TOML file)"
            ),
        }
    }
}

impl Wanted {
    /// The tables that names are looked up in: the dialect's, or K2's where the captures tell it.
    pub(crate) fn tables(self) -> &'static Dialect {
        match self {
            Wanted::Is(dialect) => dialect,
            Wanted::Auto => &K2,
        }
    }

    /// The dialect of a capture; auto looks at its beginning, says on stderr what it chose and why
    /// (with the capture's name, where one is given), and gives the whole capture back.
    pub(crate) fn settle(
        self,
        name: Option<&str>,
        mut reading: Reading,
    ) -> (&'static Dialect, Reading) {
        if let Wanted::Is(dialect) = self {
            return (dialect, reading);
        }
        let mut chooser = Chooser::new();
        let mut kept = Vec::new();
        while chooser.frames() < LOOKED_AT && kept.len() < KEPT {
            let Some(item) = reading.next() else { break };
            let fatal = matches!(&item, Err(complaint) if complaint.fatal);
            if let Ok(record) = &item {
                chooser.push(record);
            }
            kept.push(item);
            if fatal {
                break;
            }
        }
        let choice = chooser.choose();
        let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
        eprintln!("dialect{of}: {choice}");
        (choice.dialect, Box::new(kept.into_iter().chain(reading)))
    }
}

/// The dialect of a name or a file.
fn load(name: &str) -> anyhow::Result<&'static Dialect> {
    if let Some(dialect) = Dialect::built_in(name) {
        return Ok(dialect);
    }
    let path = Path::new(name);
    if path.extension().is_none() && path.components().count() < 2 && !path.exists() {
        let names = Dialect::BUILT_IN.map(|dialect| dialect.name);
        let near = nearest(name, &names).map(|near| format!("; did you mean {near}?"));
        let there = format!(": there are {}, or a file such as {name}.toml", names.join(", "));
        bail!("no dialect {name:?}{}", near.unwrap_or(there));
    }
    read(path)
}

/// A dialect file; all of its errors are in the one that is given.
fn read(path: &Path) -> anyhow::Result<&'static Dialect> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| name.to_string())?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).with_context(|| name.to_string())?;
    if bytes.len() as u64 > LARGEST {
        bail!("{name}: is larger than a dialect can be ({LARGEST} bytes)");
    }
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("{name}: is no UTF-8 text, so it is no dialect");
    };
    let stem = path.file_stem().map_or_else(|| name.to_string(), |s| s.to_string_lossy().into());
    Dialect::from_toml(&text, &stem).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{name}:{error}")).collect();
        anyhow::anyhow!("{}", lines.join("\nk485: "))
    })
}

/// What `k485 dialect` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  k485 dialect show hi --own               what a Creality Hi has of its own
  k485 dialect new > my.toml               a file to begin with
  k485 dialect check my.toml               what it adds, or where it is wrong
  k485 decode --dialect my.toml dump.bin")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show a dialect's devices, statuses and functions with their evidence
    Show {
        /// k2, hi, k1, or a TOML file
        #[arg(value_name = "NAME|FILE", default_value = "k2")]
        dialect: String,
        /// Only what it has of its own, not what it takes from its base
        #[arg(long)]
        own: bool,
        /// How to write it
        #[arg(long, value_name = "FORM", default_value = "text")]
        to: To,
    },
    /// Check a dialect's file, and tell what it adds and redefines
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a dialect to begin with
    New {
        /// The dialect that it lies on: k2, hi or k1
        #[arg(long, default_value = "k2", value_parser = ["k2", "hi", "k1"])]
        base: String,
    },
}

/// How a dialect is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Lines for people
    Text,
    /// TOML that reads back to the same tables
    Toml,
}

/// Shows, checks or begins a dialect.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    match &args.what {
        What::Show { dialect, own, to: To::Toml } => {
            out.extend(load(dialect)?.to_toml(*own).into_bytes());
        }
        What::Show { dialect, own, to: To::Text } => show(load(dialect)?, *own, &mut out)?,
        What::Check { file } => check(file, &mut out)?,
        What::New { base } => out.extend(STARTER.replace("BASE", base).into_bytes()),
    }
    stdout().lock().write_all(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn show(dialect: &'static Dialect, own: bool, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let over = dialect.base.map(|base| format!(", over {}", base.name)).unwrap_or_default();
    writeln!(out, "dialect {}: {}{over}", dialect.name, dialect.title)?;
    let devices = match own {
        true => dialect.devices.iter().map(|entry| (entry.name.into(), *entry)).collect(),
        false => dialect.effective_devices(),
    };
    for (name, entry) in devices {
        let (first, last) = (entry.first.0, entry.first.0.saturating_add(entry.count - 1));
        let class = entry.class.name();
        match entry.count {
            1 => writeln!(out, "address {first:02X} {name}: class {class} [{}]", entry.evidence)?,
            n => writeln!(
                out,
                "addresses {first:02X} to {last:02X} {name}1 to {name}{n}: class {class} [{}]",
                entry.evidence
            )?,
        }
    }
    for info in dialect.statuses() {
        if !own || dialect.statuses.iter().any(|of_own| of_own.code == info.code) {
            explain::status(info.code, dialect, out)?;
        }
    }
    for class in dialect.classes() {
        for function in functions(dialect, own).filter(|function| function.class == class) {
            explain::function(function, out)?;
        }
    }
    Ok(())
}

fn functions(dialect: &'static Dialect, own: bool) -> Box<dyn Iterator<Item = &'static Function>> {
    match own {
        true => Box::new(dialect.functions.iter().copied()),
        false => Box::new(dialect.all_functions()),
    }
}

/// What the file adds to its base, and what it redefines there.
fn check(file: &Path, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let dialect = read(file)?;
    let Some(base) = dialect.base else { return Ok(()) };
    writeln!(out, "{}: dialect {} over {}, no errors", file.display(), dialect.name, base.name)?;
    for entry in dialect.devices {
        for addr in (0..entry.count).map(|at| k485_proto::address::Address(entry.first.0 + at)) {
            let (name, class) = (dialect.device(addr), entry.class.name());
            match base.is_unknown(addr) {
                true => writeln!(out, "  adds device {name} at {:02X}, class {class}", addr.0)?,
                false => {
                    let old = base.device(addr);
                    writeln!(out, "  redefines {old} at {:02X} as {name}, class {class}", addr.0)?;
                }
            }
        }
    }
    for info in dialect.statuses {
        let name = dialect.status_name(info.code);
        match base.status(info.code) {
            None => writeln!(out, "  adds status {:02X} {name}", info.code.0)?,
            Some(_) => {
                let old = base.status_name(info.code);
                writeln!(out, "  redefines status {:02X} {old} as {name}", info.code.0)?;
            }
        }
    }
    for function in dialect.functions {
        let Function { class, code, name, .. } = function;
        let old = base.functions(*class).find(|old| old.code == *code);
        match old {
            None => writeln!(out, "  adds {} function {code:02X} {name}", class.name())?,
            Some(old) if old.name == *name => {
                writeln!(out, "  redefines {} function {code:02X} {name}", class.name())?;
            }
            Some(old) => {
                let old = old.name;
                writeln!(out, "  redefines {} function {code:02X} {old} as {name}", class.name())?;
            }
        }
    }
    if dialect.devices.is_empty() && dialect.statuses.is_empty() && dialect.functions.is_empty() {
        writeln!(out, "  nothing of its own")?;
    }
    Ok(())
}

/// What `new` prints.
const STARTER: &str = include_str!("dialect/starter.toml");
