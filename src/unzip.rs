//! `k485 unzip` and `k485 zip`: the delta packing of the pressure sensor's values.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use k485_proto::frame::Hex;
use k485_proto::message::kind::hex_bytes;
use k485_proto::unzip::{self, Signedness};

/// What `k485 unzip` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  k485 unzip 06051a6842ecd2850af600dea8feccfe --signed")]
pub(crate) struct UnzipArgs {
    /// The packed bytes
    hex: String,
    /// A plain running sum; without it every value is taken modulo 2^32
    #[arg(long)]
    signed: bool,
    /// As lenient as the vendor's function: missing bytes shorten a value, what follows is ignored
    #[arg(long)]
    lax: bool,
}

/// What `k485 zip` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  k485 zip --signed -- -1293720 -604102 -603856")]
pub(crate) struct ZipArgs {
    /// The values, at most 255
    #[arg(allow_negative_numbers = true)]
    values: Vec<i64>,
    /// For `unzip --signed`
    #[arg(long)]
    signed: bool,
}

fn signedness(signed: bool) -> Signedness {
    if signed { Signedness::Signed } else { Signedness::Unsigned }
}

/// Prints the values, one a line.
pub(crate) fn unzip(args: &UnzipArgs) -> anyhow::Result<ExitCode> {
    let bytes = hex_bytes(&args.hex)
        .map_err(|expected| anyhow::anyhow!("{:?} is not hex: expected {expected}", args.hex))?;
    let signedness = signedness(args.signed);
    let values = if args.lax {
        unzip::unzip_lax(&bytes, signedness)?
    } else {
        unzip::unzip(&bytes, signedness).context("not well formed (--lax reads what it can)")?
    };
    let mut out = stdout().lock();
    for value in values {
        writeln!(out, "{value}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the packed bytes as hex.
pub(crate) fn zip(args: &ZipArgs) -> anyhow::Result<ExitCode> {
    let bytes = unzip::zip(&args.values, signedness(args.signed))?;
    writeln!(stdout(), "{}", Hex(&bytes))?;
    Ok(ExitCode::SUCCESS)
}
