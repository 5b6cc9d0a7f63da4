//! `k485 flush collect`: changes of filament, one after the other, for a trace of their lengths.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use k485_proto::slot::Slot;
use k485_trace::flush::plan::{self, Loaded, Pair, Step, Wanted};
use k485_trace::flush::session::{self, Session};

use super::run::Run;
use super::slot;
use crate::length::Length;
use crate::output;
use crate::printer::PrinterArgs;
use crate::send::positive;
use crate::speak::REFUSED;

/// How long a change takes: 97 to 150 s were seen.
const CHANGE_S: u64 = 130;

/// What `k485 flush collect` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows its plan, and with --yes makes the printer change filament so often: each slot into an empty \
hotend, and from each slot to each other one. Trace it meanwhile (`k485 trace on HOST --deep box`, \
then `k485 trace capture HOST`); `k485 flush analyze` reads the lengths from that trace.

It does nothing while the printer prints, waits between changes until it is idle, and stops at an error \
(--on-error skip goes on with the next change). What is done is kept in a file, so that the same \
command goes on where it was stopped. At the end and after an error the heaters are turned off. You must \
be there: the hotend gets hot, and every change flushes filament.

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 done, but some changes failed; 5 no answer in \
time; 6 refused, nothing was sent.

Examples:
  k485 flush collect k2.local --dry-run
  k485 flush collect k2.local --tools T1A T1B T2C --yes
  k485 flush collect k2.local --tools T1A T1B --changes-only --yes --on-error skip")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) printer: PrinterArgs,
    /// The slots, T1A to T4D
    #[arg(long, value_name = "SLOT", num_args = 1.., value_delimiter = ',', value_parser = slot,
          default_values = ["T1A", "T1B", "T1C", "T1D"])]
    tools: Vec<Slot>,
    /// Only loads into an empty hotend
    #[arg(long, conflicts_with = "changes_only")]
    first_load_only: bool,
    /// Only changes from one slot to another
    #[arg(long)]
    changes_only: bool,
    /// Only show the plan: nothing is sent, nothing asked
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// What to do when a change fails
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub(super) on_error: OnError,
    /// Where it is kept what is done; flush-HOST.jsonl where left out
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The command that loads a slot, {tool} in its place
    #[arg(long, value_name = "GCODE", default_value = "Tn_action tool={tool}",
          value_parser = template)]
    load: String,
    /// The command that pulls back what is loaded
    #[arg(long, value_name = "GCODE", default_value = "UNLOAD_FILAMENT")]
    unload: String,
    /// How long to wait until the printer is idle
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = positive)]
    pub(super) idle: Length,
    /// Mark each change in the trace (TRACE_MARK)
    #[arg(long)]
    pub(super) mark: bool,
    /// Leave the heaters as they are
    #[arg(long)]
    pub(super) keep_hot: bool,
}

/// What to do when a change fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnError {
    /// Turn the heaters off and end
    Stop,
    /// Unload, and go on with the next one; end after three in a row
    Skip,
}

fn template(text: &str) -> Result<String, String> {
    if text.contains("{tool}") {
        Ok(text.to_owned())
    } else {
        Err("{tool} is not in it".to_owned())
    }
}

impl Args {
    /// The command of a step.
    pub(super) fn script(&self, step: Step) -> String {
        match step {
            Step::Unload => self.unload.clone(),
            Step::Load { slot, .. } => self.load.replace("{tool}", &slot.to_string()),
        }
    }

    fn wanted(&self) -> Wanted {
        match (self.first_load_only, self.changes_only) {
            (true, _) => Wanted::FirstLoads,
            (_, true) => Wanted::Changes,
            _ => Wanted::All,
        }
    }

    fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let host = self.printer.host.to_string();
            let name: String = host
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' })
                .collect();
            format!("flush-{name}.jsonl").into()
        })
    }
}

/// Shows the plan, and does it if it may.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let wanted = args.wanted();
    let pairs = plan::pairs(&args.tools, wanted);
    if pairs.is_empty() {
        bail!("a change needs two slots: --tools T1A T1B");
    }
    let state = args.state();
    let mut session = read(&state, &args.printer.host.to_string())?;
    let open: Vec<Pair> =
        pairs.iter().filter(|pair| !session.done().contains(pair)).copied().collect();
    let done = pairs.len() - open.len();
    show(args, &open, done)?;
    if done > 0 {
        eprintln!("{done} of {} are done already, by {}", pairs.len(), state.display());
    }
    if args.dry_run || open.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        eprintln!("k485: nothing was sent. Add --yes to do it, and stay with the printer");
        return Ok(ExitCode::from(REFUSED));
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&state);
    let mut file = file.with_context(|| format!("cannot write {}", state.display()))?;
    // A line that was torn would take the next one with it.
    if session.unreadable() > 0 {
        writeln!(file)?;
    }
    Run::new(args, &mut session, file)?.all(&args.tools, wanted, &open)
}

/// What the file says is done.
fn read(path: &std::path::Path, host: &str) -> anyhow::Result<Session> {
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Session::default()),
        Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
    };
    if size > session::LARGEST {
        bail!("{}: {size} bytes are no state of `k485 flush collect`", path.display());
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let session = Session::read(&String::from_utf8_lossy(&text));
    if let Some(other) = session.hosts().iter().find(|other| *other != host) {
        bail!("{}: it is of another printer, {other}. Give another file: --state", path.display());
    }
    if size > 0 && session.hosts().is_empty() {
        bail!("{}: no state of `k485 flush collect`. Give another file: --state", path.display());
    }
    Ok(session)
}

/// The plan, a line a command.
fn show(args: &Args, pairs: &[Pair], done: usize) -> anyhow::Result<()> {
    let mut out = output::open(None)?.out;
    let mut loaded = Loaded::Unknown;
    let mut lines = Vec::new();
    let mut loads = 0;
    for pair in pairs {
        let steps = plan::steps(loaded, *pair);
        let last = steps.len() - 1;
        for (at, step) in steps.into_iter().enumerate() {
            let what = match step {
                Step::Unload => String::new(),
                Step::Load { pair: Some(pair), .. } if at == last => pair.to_string(),
                Step::Load { .. } => "to have it loaded".to_owned(),
            };
            loads += u64::from(matches!(step, Step::Load { .. }));
            lines.push((args.script(step), what));
            loaded = step.leaves();
        }
    }
    let more = if done > 0 { "more " } else { "" };
    writeln!(
        out,
        "{}: {} {more}flushes, {} commands, about {} min",
        args.printer.host,
        pairs.len(),
        lines.len(),
        (loads * CHANGE_S).div_ceil(60)
    )?;
    let width = lines.iter().map(|(script, _)| script.chars().count()).max().unwrap_or(0);
    for (number, (script, what)) in lines.iter().enumerate() {
        let line = format!("{:>5}  {script:<width$}  {what}", number + 1);
        writeln!(out, "{}", line.trim_end())?;
    }
    if !args.keep_hot && !lines.is_empty() {
        writeln!(out, "       {}", super::run::COOL)?;
    }
    out.flush()?;
    Ok(())
}
