//! `k485 trace gcode`, `on`, `off` and `status`: the tracer's commands, through the printer's API.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use crate::output;
use crate::printer::{Done, Printer, PrinterArgs, PrinterError};
use crate::speak;

/// The exit code where the printer refuses a command, or does not know it.
const REFUSED: u8 = 4;
/// The exit code where it does not answer in time.
const NO_ANSWER: u8 = 5;
/// The most lines that are kept of what a command prints; all are shown.
const LINES: usize = 10_000;

/// What `k485 trace gcode` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs commands of G-code on the printer, one after the other, and shows what they print. The first one \
that fails ends it. Moonraker's API is asked, or Klipper's own socket, which is a path on the \
printer (/tmp/klippy_uds). What other clients do at the same time is printed too: a printer has one \
console.

Exit codes: 0 done; 1 failed; 2 wrong command line; 4 the printer refused a command, does not know \
it, or is shut down; 5 no answer in time.

Examples:
  k485 trace gcode k2.local \"TRACE_DEEP OBJECT=box\"
  k485 trace gcode k2.local TRACE_STATUS TRACE_LIST
  k485 trace gcode /tmp/klippy_uds \"TRACE_SAVE NAME=jam\" --timeout 5s")]
pub(crate) struct GcodeArgs {
    #[command(flatten)]
    printer: PrinterArgs,
    /// The commands, each in quotes
    #[arg(value_name = "COMMAND", required = true)]
    commands: Vec<String>,
}

/// What `k485 trace on` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts the tracer's stream and traces: the public methods of these objects, or of all. Names are \
those of TRACE_MODULE_INFO; blanks in them may be underscores. `k485 trace capture` takes what \
comes.

Examples:
  k485 trace on k2.local box filament_rack
  k485 trace on k2.local --deep --attrs box
  k485 trace gcode k2.local TRACE_MODULE_INFO      what there is")]
pub(crate) struct OnArgs {
    #[command(flatten)]
    printer: PrinterArgs,
    /// Which objects; all where left out
    #[arg(value_name = "OBJECT", value_parser = object)]
    objects: Vec<String>,
    /// Methods that begin with an underscore too
    #[arg(long)]
    deep: bool,
    /// What they read of their objects' attributes too. Costs the printer more
    #[arg(long, requires = "objects")]
    attrs: bool,
}

/// What `k485 trace off` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without an OBJECT everything is as if it had never been traced, and the stream is stopped.

Examples:
  k485 trace off k2.local
  k485 trace off k2.local box")]
pub(crate) struct OffArgs {
    #[command(flatten)]
    printer: PrinterArgs,
    /// Which objects; all, and the stream, where left out
    #[arg(value_name = "OBJECT", value_parser = object)]
    objects: Vec<String>,
}

/// What `k485 trace status` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  k485 trace status k2.local")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    printer: PrinterArgs,
}

/// An object's name as one word of a command: the tracer takes underscores for blanks.
fn object(text: &str) -> Result<String, String> {
    let name = text.trim().replace(' ', "_");
    let strange = |c: char| !(c.is_alphanumeric() || "_.-:/".contains(c));
    if name.is_empty() || name.contains(strange) {
        return Err("no name of an object".to_owned());
    }
    Ok(name)
}

/// Runs commands.
pub(crate) fn gcode(args: &GcodeArgs) -> anyhow::Result<ExitCode> {
    if args.commands.iter().any(|command| command.trim().is_empty()) {
        bail!("an empty command");
    }
    run(&args.printer, &args.commands)
}

/// Starts the stream and traces.
pub(crate) fn on(args: &OnArgs) -> anyhow::Result<ExitCode> {
    let mut commands = vec!["TRACE_STREAM_START".to_owned()];
    let (all, one) = match args.deep {
        true => ("TRACE_DEEP", "TRACE_DEEP"),
        false => ("TRACE_EVERYTHING", "TRACE_ALL"),
    };
    if args.objects.is_empty() {
        commands.push(all.to_owned());
    }
    for object in &args.objects {
        commands.push(format!("{one} OBJECT={object}"));
        if args.attrs {
            commands.push(format!("TRACE_ATTRS OBJECT={object} ENABLE=1"));
        }
    }
    run(&args.printer, &commands)
}

/// Ends the tracing.
pub(crate) fn off(args: &OffArgs) -> anyhow::Result<ExitCode> {
    let end = |object: &String| {
        [format!("TRACE_DISABLE OBJECT={object}"), format!("TRACE_ATTRS OBJECT={object} ENABLE=0")]
    };
    if !args.objects.is_empty() {
        let commands: Vec<String> = args.objects.iter().flat_map(end).collect();
        return run(&args.printer, &commands);
    }
    let mut console = Console::open(&args.printer)?;
    let mut attrs = Vec::new();
    for command in ["TRACE_DISABLE OBJECT=*", "TRACE_ATTRS"] {
        match console.run(command)? {
            Ok(lines) => attrs = lines,
            Err(code) => return Ok(code),
        }
    }
    let mut commands: Vec<String> = traced(&attrs)
        .iter()
        .map(|object| format!("TRACE_ATTRS OBJECT={object} ENABLE=0"))
        .collect();
    commands.push("TRACE_STREAM_STOP".to_owned());
    console.all(&commands)
}

/// The objects whose attributes are traced, from what TRACE_ATTRS says: `box (module.Class)`, and
/// what was reached from one, `box.part (module.Class)`.
fn traced(lines: &[String]) -> Vec<String> {
    let mut objects: Vec<String> = lines
        .iter()
        .filter_map(|line| line.trim().split_once(" ("))
        .filter_map(|(path, _)| object(path.split('.').next()?).ok())
        // The heading, `Attribute traces (2):`.
        .filter(|object| object != "Attribute_traces")
        .collect();
    objects.sort();
    objects.dedup();
    objects
}

/// Asks what is traced.
pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    run(&args.printer, &["TRACE_STATUS", "TRACE_STREAM_STATUS"].map(str::to_owned))
}

/// Runs the commands until one fails.
fn run(args: &PrinterArgs, commands: &[String]) -> anyhow::Result<ExitCode> {
    Console::open(args)?.all(commands)
}

/// A printer, and where is shown what it prints.
struct Console {
    printer: Printer,
    timeout: Duration,
    out: Box<dyn Write>,
}

impl Console {
    fn open(args: &PrinterArgs) -> anyhow::Result<Console> {
        let printer = args.open(speak::stop()?)?;
        Ok(Console { printer, timeout: args.timeout(), out: output::open(None)?.out })
    }

    fn all(&mut self, commands: &[String]) -> anyhow::Result<ExitCode> {
        for command in commands {
            if let Err(code) = self.run(command)? {
                return Ok(code);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Runs a command and shows what it prints, which it gives; or the exit code, if it failed.
    fn run(&mut self, command: &str) -> anyhow::Result<Result<Vec<String>, ExitCode>> {
        // So the tracer says what it refuses, since it raises nothing into Klipper.
        let refusal = format!("{}: ", command.split_whitespace().next().unwrap_or_default());
        let (mut lines, mut said) = (Vec::new(), Vec::new());
        let mut refused = None;
        let mut written = Ok(());
        let out = &mut self.out;
        let result = self.printer.gcode(command, Some(self.timeout), &mut |line| {
            if let Some(error) = line.strip_prefix("!!") {
                said.push(shown(error.trim_start()));
                return;
            }
            let line = shown(line.strip_prefix("// ").or(line.strip_prefix("//")).unwrap_or(line));
            if refusal.starts_with("TRACE_") && line.starts_with(&refusal) {
                refused = Some(line);
                return;
            }
            if written.is_ok() {
                written = writeln!(out, "{line}").and_then(|()| out.flush());
            }
            if lines.len() < LINES {
                lines.push(line);
            }
        });
        written?;
        match self.told(command, result, &said)? {
            Some(code) => Ok(Err(code)),
            None => match refused {
                Some(refusal) => {
                    eprintln!("k485: {}: {refusal}", self.printer.place());
                    Ok(Err(ExitCode::from(REFUSED)))
                }
                None => Ok(Ok(lines)),
            },
        }
    }

    /// Says what went wrong with a command; its exit code if something did.
    fn told(
        &mut self,
        command: &str,
        result: Result<Done, PrinterError>,
        said: &[String],
    ) -> anyhow::Result<Option<ExitCode>> {
        let place = self.printer.place().to_string();
        // Of several lines Klipper prints the first one as an error, and gives all as its answer.
        let again = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let first = again.lines().next().unwrap_or_default().trim();
        for error in said.iter().filter(|error| *error != first) {
            eprintln!("k485: {place}: {error}");
        }
        let done = match result {
            Ok(done) => done,
            Err(PrinterError::Api { message, .. }) => {
                // The state tells why, where it is not the command's own fault.
                match self.printer.state() {
                    Ok(state) if state.name != "ready" => eprintln!(
                        "k485: {place}: Klipper is not ready ({}): {}",
                        state.name,
                        if state.message.is_empty() { &message } else { &state.message }
                    ),
                    _ => eprintln!("k485: {place}: {command}: {}", shown(&message)),
                }
                return Ok(Some(ExitCode::from(REFUSED)));
            }
            Err(error @ PrinterError::Timeout { .. }) => {
                eprintln!("k485: {error}");
                return Ok(Some(ExitCode::from(NO_ANSWER)));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(unknown) = done.unknown.first() else { return Ok(None) };
        let hint = match unknown.to_ascii_uppercase().starts_with("TRACE_") {
            true => ": its tracer is not loaded. `k485 extra install` puts it there",
            false => "",
        };
        eprintln!("k485: {place}: the printer does not know {unknown}{hint}");
        Ok(Some(ExitCode::from(REFUSED)))
    }
}

/// A line without what could steer a terminal.
fn shown(line: &str) -> String {
    line.trim_end().replace(|c: char| c.is_control() && c != '\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_whose_attributes_are_traced() {
        let lines = ["Attribute traces (3):", "box (x.Box)", "box.part (x.Part)", "a b (y.B)"];
        assert_eq!(traced(&lines.map(str::to_owned)), ["a_b", "box"]);
        assert!(traced(&["Attribute traces (0):".to_owned()]).is_empty());
    }

    #[test]
    fn names_of_objects_are_one_word() {
        assert_eq!(object("serial_485 serial485"), Ok("serial_485_serial485".to_owned()));
        for wrong in ["", "box\nM112", "box METHOD=\"x\"", "a;b"] {
            assert!(object(wrong).is_err(), "{wrong:?}");
        }
    }
}
