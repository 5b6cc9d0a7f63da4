//! The `k485` command: reads, decodes and explains the RS-485 bus of Creality's K2 family printers
//! and CFS filament boxes.
//!
//! One file a subcommand. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done; 1 it failed; 2 the command line was wrong; 3 done, but parts of the input
//! could not be read and were skipped; 4 `doctor` found something wrong. `grep` and `diff` have those of
//! grep(1) and diff(1), `send` and `scan` have 4 (an error STATUS), 5 (no reply) and 6 (refused) too;
//! so have `trace gcode`, `flush` and `extra`, for what a printer says.

#![allow(clippy::print_stderr)]

mod baud;
mod bus;
mod changes;
mod complaints;
mod convert;
mod ctl;
mod decode;
mod dialect;
mod diff;
mod discover;
mod doctor;
mod emulate;
mod encode;
mod exec;
mod explain;
mod extra;
mod face;
mod fault_args;
mod filter;
mod flush;
mod formats;
mod grep;
mod input;
mod length;
mod output;
mod ports;
mod printer;
mod progress;
mod replay;
mod runtime;
mod scan;
mod scene;
mod send;
mod sniff;
mod source;
mod speak;
mod stats;
mod table;
mod trace;
mod unzip;
mod view;
mod watch;
mod window;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use k485_proto::filter::FilterError;

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
  k485 grep 'status!=OK' captures/         what went wrong, in every capture of a folder
  k485 convert bus.log bus.pcapng          the same capture for Wireshark
  k485 sniff /dev/ttyUSB0                  the live bus
  k485 doctor /dev/ttyUSB0                 nothing but noise? what is wrong with the line
  k485 send /dev/ttyUSB0 --transmit box1 GET_BUFFER_STATE
  k485 emulate --auto                      a bus without hardware
  k485 explain RETRUDE_ERR2                what a status, key, function or address means

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 done, but parts of the input were skipped; \
4 doctor found something wrong.
send, scan: 4 answered with an error STATUS; 5 no reply; 6 refused, nothing was sent (emulate \
too).
grep: 0 found; 1 nothing found; 2 failed; 3 nothing found, and parts of the input were skipped.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Decode captures: hex text, raw bytes, logs, pcapng, interceptty dumps, method-call traces
    Decode(decode::Args),
    /// Find exchanges, frames or noise in captures by a condition
    Grep(grep::Args),
    /// Write captures in another format: log, pcapng for Wireshark, JSON lines, hex, raw
    Convert(convert::Args),
    /// Watch a live bus. Listens only: what it opens cannot write
    Sniff(sniff::Args),
    /// Play a capture again, as the host or as the devices. Guarded: see --transmit and --allow
    Replay(replay::Args),
    /// Say what is wrong with a live bus: speed, swapped wires, noise, echoes, who does not answer
    Doctor(doctor::Args),
    /// Send a request on a live bus and show its reply. Guarded: see --transmit and --allow
    Send(send::Args),
    /// Ask which addresses of a live bus answer, and what is there. Guarded: see --transmit
    Scan(scan::Args),
    /// List the serial ports of this machine, without opening any
    Ports(ports::Args),
    /// Be a bus without hardware: boxes and motors that answer, at pseudo-terminals or TCP
    Emulate(emulate::Args),
    /// Look at a running emulator and change it: jam, cut, faults, scene, time
    Ctl(ctl::Args),
    /// Count what captures hold: exchanges, errors, latencies, periods, noise, load
    Stats(stats::Args),
    /// Compare two captures: which exchanges, fields and timings differ
    Diff(diff::Args),
    /// Find the layout of payloads that nobody declared, as a dialect to go on from
    Discover(discover::Args),
    /// Write one frame from names and values
    Encode(encode::Args),
    /// Say what a status, a printer's key, a function, an address or a material code means
    Explain(explain::Args),
    /// Show a device family's tables, or check and begin one of your own
    Dialect(dialect::Args),
    /// Begin, check or learn a scene, from which a bus is emulated
    Scene(scene::Args),
    /// Catch the method calls of a running host, and read such traces: trees, figures, lists
    Trace(trace::Args),
    /// Find out how much filament the printer flushes at each change
    Flush(flush::Args),
    /// Put the tracer into a printer's Klipper, or take it out
    Extra(extra::Args),
    /// Unpack a batch of the pressure sensor's values (unzip_data)
    Unzip(unzip::UnzipArgs),
    /// Pack values as unzip_data expects them, in the fewest bytes
    Zip(unzip::ZipArgs),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let failure = if matches!(command, Command::Grep(_) | Command::Diff(_)) { 2 } else { 1 };
    let result = match command {
        Command::Decode(args) => decode::run(&args),
        Command::Grep(args) => grep::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Sniff(args) => sniff::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Scene(args) => scene::run(&args),
        Command::Ports(args) => ports::run(&args),
        Command::Emulate(args) => emulate::run(&args),
        Command::Ctl(args) => ctl::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Dialect(args) => dialect::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Flush(args) => flush::run(&args),
        Command::Extra(args) => extra::run(&args),
        Command::Unzip(args) => unzip::unzip(&args),
        Command::Zip(args) => unzip::zip(&args),
    };
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("k485: {}", told(&error));
            // A wrong filter is a wrong command line.
            ExitCode::from(if error.is::<FilterError>() { 2 } else { failure })
        }
    }
}

/// An error and its causes. Some tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}
