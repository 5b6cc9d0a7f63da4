//! `k485 scene learn`: a scene out of captures.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use k485_emulator::learn::Learner;
use k485_emulator::scene::Scene;
use k485_proto::dialect::K2;
use k485_proto::exchange::Seen;

use crate::input::{InputArgs, Sink};
use crate::output;
use crate::progress::Progress;

pub(crate) const EXAMPLES: &str = "\
Examples:
  k485 scene learn bus.pcapng -o SCENE.toml          the bus as it was, and what happened to it
  k485 scene learn --as-of end bus.pcapng            the bus as the capture leaves it
  k485 scene learn trace/ --until 60s                only the first minute";

/// What `k485 scene learn` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Where to write the scene, instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The moment at which the scene starts: start has what happened later as events, end has none
    #[arg(long, value_name = "MOMENT", default_value = "start")]
    as_of: Moment,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Moment {
    /// The captures' first exchange
    Start,
    /// The captures' last one
    End,
}

#[derive(Default)]
struct Pupil(Learner);

impl Sink for Pupil {
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if let Seen::Exchange(exchange) = seen {
            self.0.push(exchange);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn watch(&mut self, total: u64) -> Progress {
        Progress::of(total)
    }
}

/// Learns a scene and writes it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        args.input.refuse_output(output)?;
    }
    let mut pupil = Pupil::default();
    let skipped = args.input.read(&mut pupil)?;
    if pupil.0.exchanges() == 0 {
        bail!("nothing in it was answered, so there is no device to learn");
    }
    if let Moment::End = args.as_of {
        pupil.0.start_here();
    }
    let text = pupil.0.finish().to_toml();
    if let Err(errors) = Scene::from_toml(&text, &K2) {
        // Better no scene than one that cannot be played.
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        bail!("what was learned is no scene, please report it: {}", lines.join("; "));
    }
    let mut out = output::open(args.output.as_deref())?.out;
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::from(if skipped > 0 { 3 } else { 0 }))
}
