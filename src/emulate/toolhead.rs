//! The toolhead's filament sensor, for programs that have no other way to it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, bail};
use rustix::fs::{Access, access};

/// A file that holds `1` while the sensor shows filament, else `0`. It is removed at the end.
pub(super) struct ToolheadFile(PathBuf);

impl ToolheadFile {
    /// Takes the place, unless something else is there.
    pub(super) fn new(path: &Path) -> anyhow::Result<ToolheadFile> {
        match fs::read(path) {
            Ok(old) if matches!(&old[..], b"0\n" | b"1\n") => {}
            Ok(_) => bail!(
                "{}: is there already and holds something else; choose another name",
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        let file = ToolheadFile(path.to_owned());
        write(path, false).with_context(|| path.display().to_string())?;
        Ok(file)
    }

    /// What writes it.
    pub(super) fn keeper(&self) -> impl FnMut(bool) + 'static {
        let path = self.0.clone();
        move |filament| {
            if let Err(error) = write(&path, filament) {
                eprintln!("k485: {}: {error}", path.display());
            }
        }
    }
}

impl Drop for ToolheadFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// At once, so that nobody reads half of it.
fn write(path: &Path, filament: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    fs::write(&new, if filament { "1\n" } else { "0\n" })?;
    fs::rename(&new, path)
}

/// What runs a program with `1` or `0`, one run after the other, on a thread of its own.
///
/// # Errors
///
/// There is no such program, or no thread.
pub(super) fn runner(program: &Path) -> anyhow::Result<impl FnMut(bool) + 'static> {
    if !is_there(program) {
        bail!(
            "--on-toolhead {}: there is no such program, or it may not be run",
            program.display()
        );
    }
    let (sender, changes) = channel();
    let program = program.to_owned();
    let run = move || {
        for filament in changes {
            let mut command = Command::new(&program);
            // stdout is for the first line alone.
            command.arg(if filament { "1" } else { "0" }).stdin(Stdio::null()).stdout(io::stderr());
            match command.status() {
                Ok(status) if status.success() => {}
                Ok(status) => eprintln!("k485: {}: {status}", program.display()),
                Err(error) => eprintln!("k485: {}: cannot run it: {error}", program.display()),
            }
        }
    };
    let thread = thread::Builder::new().name("on-toolhead".to_owned()).spawn(run);
    thread.context("cannot start a thread for --on-toolhead")?;
    Ok(move |filament| {
        // The thread never ends before the sender.
        let _ = sender.send(filament);
    })
}

/// Whether a program can be run, by its path or, as a bare name, from one of the folders of `PATH`.
fn is_there(program: &Path) -> bool {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.components().count() > 1 || program.is_absolute() {
        return runs(program);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| runs(&folder.join(program)))
}
