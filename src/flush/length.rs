//! `k485 flush length`: the host's own function.

use std::io::Write;
use std::process::ExitCode;

use k485_proto::material::{Colour, volume_to_length};
use k485_trace::flush::volume::{length, pieces, volume};
use serde_json::json;

use super::colour;
use crate::output;
use crate::stats::To;

/// What `k485 flush length` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The volume is exactly what the host's function gives. On a printer a factor or the slicer's own table may \
come on top: `k485 flush analyze` compares.

Examples:
  k485 flush length ffffff 000000
  k485 flush length '#26eeee' ff1e1e --to json")]
pub(crate) struct Args {
    /// The colour that is loaded, as six hex digits
    #[arg(value_name = "FROM", value_parser = colour)]
    from: Colour,
    /// The colour that comes
    #[arg(value_name = "TO", value_parser = colour)]
    into: Colour,
    /// How to write it
    #[arg(long = "to", value_name = "FORM", default_value = "text")]
    form: To,
}

/// Works it out.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let volume = volume(args.from, args.into);
    let exact = volume_to_length(volume.into());
    let length = length(args.from, args.into);
    let pieces = pieces(length);
    let mut out = output::open(None)?.out;
    if args.form == To::Json {
        let all = json!({
            "from": args.from, "to": args.into, "volume_mm3": volume, "volume_as_mm": exact,
            "length_mm": length, "pieces_mm": pieces,
        });
        writeln!(out, "{all}")?;
    } else {
        writeln!(out, "volume  {volume} mm3 = {exact:.2} mm of filament")?;
        let least = if length > exact { ", the least that is flushed" } else { "" };
        writeln!(out, "length  {length:.2} mm{least}")?;
        let list = |pieces: Vec<f64>| -> Vec<String> {
            pieces.iter().map(|piece| format!("{piece:.2}")).collect()
        };
        match pieces {
            Some(pieces) => writeln!(out, "pieces  {} mm", list(pieces).join(" + "))?,
            None => writeln!(out, "pieces  not known: none of 200 to 230 mm was ever seen")?,
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
