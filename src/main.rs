//! The `k485` command: reads, decodes and explains the RS-485 bus of Creality's K2 family printers
//! and CFS filament boxes.
//!
//! One file a subcommand. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done; 1 it failed; 2 the command line was wrong; 3 done, but parts of the input
//! could not be read and were skipped.

#![allow(clippy::print_stderr)]

mod decode;
mod discover;
mod encode;
mod explain;
mod formats;
mod input;
mod output;
mod sniff;
mod unzip;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The RS-485 toolkit for Creality's K2 family printers and CFS filament boxes.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  k485 decode captures/sample-load.hex     every exchange of a capture, in names and units
  k485 decode --hex 'F7 01 03 FF 0A 5C'    one frame
  k485 sniff /dev/ttyUSB0                  the live bus
  k485 explain RETRUDE_ERR2                what a status, key, function or address means

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 done, but parts of the input were skipped.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Decode captures: hex text, raw bytes, interceptty dumps, method-call traces
    Decode(decode::Args),
    /// Watch a live bus. Listens only: what it opens cannot write
    Sniff(sniff::Args),
    /// Find the layout of payloads that nobody declared, as a dialect to go on from
    Discover(discover::Args),
    /// Write one frame from names and values
    Encode(encode::Args),
    /// Say what a status, a printer's key, a function, an address or a material code means
    Explain(explain::Args),
    /// Unpack a batch of the pressure sensor's values (unzip_data)
    Unzip(unzip::UnzipArgs),
    /// Pack values as unzip_data expects them, in the fewest bytes
    Zip(unzip::ZipArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Decode(args) => decode::run(&args),
        Command::Sniff(args) => sniff::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Unzip(args) => unzip::unzip(&args),
        Command::Zip(args) => unzip::zip(&args),
    };
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("k485: {error:#}");
            ExitCode::FAILURE
        }
    }
}
