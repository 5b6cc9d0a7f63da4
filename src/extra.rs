//! `k485 extra`: the tracer inside Klipper, put there and taken away.
//!
//! What is done is one script for the printer's shell, whether that is this machine, a printer
//! behind ssh, or wherever a person carries it (`--print`). It holds the files.

mod files;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::output;

/// What the printer's shell does; what it is about is set before it.
const SCRIPT: &str = include_str!("extra/script.sh");
/// The line that ends a file in the script. No file has it (a test).
const END: &str = "K485_END_OF_FILE";
/// The exit code of ssh where it is ssh that failed.
const SSH_FAILED: i32 = 255;

/// What `k485 extra` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The tracer is one folder of Python, klippy/extras/trace_hooks. k485 has it inside. docs/trace-gcode.md tells \
what it needs and what it changes.

Examples:
  k485 extra install --ssh root@k2.local            on a printer, found by itself
  k485 extra install ~/klipper                      on this machine
  k485 extra status --ssh root@k2.local
  k485 extra uninstall --ssh root@k2.local")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Put the tracer into Klipper's extras
    Install(InstallArgs),
    /// Take it out
    Uninstall(InstallArgs),
    /// Say what is there
    Status(StatusArgs),
}

/// What `k485 extra install` and `uninstall` take.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is overwritten or removed that k485 did not put there as it is: another tracer's trace_hooks.py, a \
folder of the same name, files that were changed. What was written is compared with what was sent.

printer.cfg is not changed; what to write there is said. Klipper's service has to be restarted.

Exit codes: 0 done; 1 failed; 2 wrong command line; 6 refused, nothing was changed.

Examples:
  k485 extra install --ssh root@k2.local
  k485 extra install --ssh pi@voron.local:/home/pi/klipper
  k485 extra install /usr/share/klipper
  k485 extra install --print | ssh root@k2.local sh")]
struct InstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Overwrite or remove a folder trace_hooks that was changed, or is not k485's
    #[arg(long)]
    force: bool,
    /// Write the script that does it, instead of running it
    #[arg(long, conflicts_with = "ssh")]
    print: bool,
}

/// What `k485 extra status` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes one line: same, other (another version), changed, foreign (not put there by k485), single \
(another tracer's trace_hooks.py), link or none; where; and the version.

Exit codes: 0 as this k485 has it; 1 failed; 2 wrong command line; 4 anything else.

Examples:
  k485 extra status --ssh root@k2.local
  k485 extra status ~/klipper")]
struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where Klipper is.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// Klipper's folder, or klippy/extras in it
    #[arg(value_name = "DIR", conflicts_with = "ssh")]
    dir: Option<PathBuf>,
    /// On a printer, by ssh; its folder is found, or DIR
    #[arg(long, value_name = "USER@HOST[:DIR]", value_parser = ssh)]
    ssh: Option<Ssh>,
}

/// A printer behind ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ssh {
    host: String,
    dir: Option<String>,
}

fn ssh(text: &str) -> Result<Ssh, String> {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let (host, dir) = match text.split_once(':') {
        Some((host, dir)) => (host, Some(dir)),
        None => (text, None),
    };
    let strange = |c: char| !(c.is_ascii_alphanumeric() || "-._@%".contains(c));
    // What begins with a dash would be an option of ssh.
    if host.is_empty() || host.starts_with('-') || host.contains(strange) {
        return Err("write USER@HOST or USER@HOST:DIR; a port goes into ~/.ssh/config".to_owned());
    }
    let dir = dir.filter(|dir| !dir.is_empty()).map(str::to_owned);
    Ok(Ssh { host: host.to_owned(), dir })
}

/// What the script is asked to do.
#[derive(Debug, Clone, Copy)]
enum Job {
    Install,
    Uninstall,
    Status,
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Install(args) => change(Job::Install, args),
        What::Uninstall(args) => change(Job::Uninstall, args),
        What::Status(args) => at(Job::Status, &args.place, false),
    }
}

fn change(job: Job, args: &InstallArgs) -> anyhow::Result<ExitCode> {
    if !args.print {
        return at(job, &args.place, args.force);
    }
    let script = script(job, args.place.dir.as_deref(), args.force)?;
    let mut out = output::open(None)?.out;
    out.write_all(script.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the script where it belongs.
fn at(job: Job, place: &PlaceArgs, force: bool) -> anyhow::Result<ExitCode> {
    let (script, mut command) = match (&place.ssh, &place.dir) {
        (Some(ssh), _) => {
            let dir = ssh.dir.as_deref().map(Path::new);
            let mut command = Command::new("ssh");
            // `sh` reads the script from stdin, whatever the user's own shell is.
            command.args(["--", &ssh.host, "sh"]);
            (script(job, dir, force)?, command)
        }
        (None, Some(dir)) => (script(job, Some(dir), force)?, Command::new("sh")),
        (None, None) => bail!("say where: DIR, which is Klipper's folder, or --ssh USER@HOST"),
    };
    let program = command.get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}; --print writes the script"))?;
    let written = child.stdin.take().context("no pipe")?.write_all(script.as_bytes());
    let status = child.wait().with_context(|| program.clone())?;
    match status.code() {
        // A shell that ends early takes no more of it, and says why by its code.
        Some(0) => {
            written.with_context(|| format!("{program} did not take the script"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(SSH_FAILED) if place.ssh.is_some() => {
            bail!("ssh failed, see above; nothing was changed unless it said so")
        }
        Some(code @ (4 | 6)) => Ok(ExitCode::from(code as u8)),
        Some(1) => Ok(ExitCode::from(1)),
        _ => bail!("{program} ended with {status}; nothing is known of what it did"),
    }
}

/// The whole script. It does nothing before its last line, so one that was torn does nothing.
fn script(job: Job, dir: Option<&Path>, force: bool) -> anyhow::Result<String> {
    let dir = match dir {
        Some(dir) => dir.to_str().with_context(|| format!("{}: is no UTF-8", dir.display()))?,
        None => "",
    };
    let job = match job {
        Job::Install => "install",
        Job::Uninstall => "uninstall",
        Job::Status => "status",
    };
    let names: Vec<&str> = files::FILES.iter().map(|(name, _)| *name).collect();
    let sums: Vec<String> = files::FILES
        .iter()
        .map(|(name, text)| format!("{} {} {name}", files::cksum(text.as_bytes()), text.len()))
        .collect();
    let mut script = String::from("# k485 extra: the tracer of Klipper's calls\n");
    for (name, value) in [
        ("job", job),
        ("place", dir),
        ("force", if force { "yes" } else { "no" }),
        ("version", files::version()),
        ("names", &names.join("\n")),
        ("sums", &sums.join("\n")),
    ] {
        script += &format!("{name}={}\n", quoted(value));
    }
    script += "put_files() {\n";
    if matches!(job, "install") {
        for (name, text) in files::FILES {
            script += &format!("cat > \"$1/{name}\" << '{END}' || return 1\n{text}{END}\n");
        }
    } else {
        script += ":\n";
    }
    script += "}\n";
    script += SCRIPT;
    script += "\nmain\n";
    Ok(script)
}

/// A text as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printers_behind_ssh() {
        let place = |host: &str, dir: Option<&str>| {
            Ok(Ssh { host: host.into(), dir: dir.map(str::to_owned) })
        };
        assert_eq!(ssh("root@k2.local"), place("root@k2.local", None));
        assert_eq!(ssh("ssh://k2"), place("k2", None));
        assert_eq!(ssh("pi@v:/home/pi/a b"), place("pi@v", Some("/home/pi/a b")));
        for wrong in ["", "-oProxyCommand=x", "a b", "k2;reboot", ":dir"] {
            assert!(ssh(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_of_the_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
