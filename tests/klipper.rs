//! `k485 extra`, `trace gcode` and `flush collect` at a real Klipper.
//!
//! It is not part of the project: `K485_KLIPPER` names a checkout with `klippy/` and, built for a
//! Linux process, `out/klipper.elf`; `K485_KLIPPER_PYTHON` the Python that has what Klipper needs
//! (unset, the checkout's `.venv` or `../klippy-env` beside it). Without it the tests report as
//! ignored.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use common::k485;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const VARIABLE: &str = "K485_KLIPPER";
/// Far longer than any step takes.
const LONG: Duration = Duration::from_secs(60);

type Test = fn(&mut Klipper) -> Result<(), Failed>;

const TESTS: [(&str, Test); 3] = [
    ("commands_and_what_they_print", commands),
    ("tracing_on_and_off", tracing),
    ("changes_one_after_the_other", changes),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let checkout = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let trials = TESTS.map(|(name, test)| match checkout.clone() {
        Some(checkout) => Trial::test(name, move || test(&mut Klipper::start(&checkout)?)),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// A running Klipper in a folder of its own, with the tracer as `k485 extra install` put it there.
struct Klipper {
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl Klipper {
    fn start(checkout: &Path) -> Result<Klipper, Failed> {
        let folder = common::folder();
        let root = folder.path().join("klipper");
        fs::create_dir(&root)?;
        let copied =
            Command::new("cp").arg("-a").arg(checkout.join("klippy")).arg(&root).status()?;
        check(copied.success(), "klippy is copied")?;
        let root = text(&root);
        let run = k485(["extra", "install", &root]);
        check(run.code == Some(0), &run.err)?;
        k485(["extra", "status", &root]).clean_or("status")?;
        let mut klipper = Klipper { folder, children: Vec::new() };
        let config = format!(
            "[mcu]\nserial: {mcu}\n[printer]\nkinematics: none\nmax_velocity: 300\n\
             max_accel: 3000\n[virtual_sdcard]\npath: {folder}\n[trace_hooks]\n\
             stream_port: {port}\nauto_start: False\n\
             [gcode_macro TN_ACTION]\ngcode:\n  {{% if params.TOOL == 'T1C' %}}\n  \
             {{action_raise_error('key835 blocked')}}\n  {{% endif %}}\n  \
             {{action_respond_info('loaded ' + params.TOOL)}}\n\
             [gcode_macro UNLOAD_FILAMENT]\ngcode:\n  G4 P10\n",
            mcu = klipper.path("mcu"),
            folder = text(klipper.folder.path()),
            port = free_port()?,
        );
        fs::write(klipper.path("printer.cfg"), config)?;
        let mut mcu = Command::new(checkout.join("out/klipper.elf"));
        klipper.spawn(mcu.args(["-I", &klipper.path("mcu")]))?;
        klipper.wait(|klipper| Path::new(&klipper.path("mcu")).exists())?;
        let mut klippy = Command::new(python(checkout)?);
        klippy.arg(format!("{root}/klippy/klippy.py")).arg(klipper.path("printer.cfg"));
        klippy.args(["-a", &klipper.socket(), "-l", &klipper.path("klippy.log")]);
        klippy.args(["-I", &klipper.path("tty")]);
        klipper.spawn(&mut klippy)?;
        klipper.wait(|klipper| {
            // A file that is there only once Klipper is ready cannot be had; a command can.
            Path::new(&klipper.socket()).exists()
                && k485(["trace", "gcode", &klipper.socket(), "G4 P1"]).code == Some(0)
        })?;
        Ok(klipper)
    }

    fn spawn(&mut self, command: &mut Command) -> Result<(), Failed> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push(command.spawn()?);
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }

    fn socket(&self) -> String {
        self.path("klippy_uds")
    }

    fn wait(&self, is: impl Fn(&Klipper) -> bool) -> Result<(), Failed> {
        let began = Instant::now();
        while !is(self) {
            if began.elapsed() > LONG {
                let log = fs::read_to_string(self.path("klippy.log")).unwrap_or_default();
                let end = log.len().saturating_sub(3000);
                return Err(
                    format!("not within {LONG:?}: {}", log.get(end..).unwrap_or(&log)).into()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn gcode(&self, command: &str) -> common::Run {
        k485(["trace", "gcode", &self.socket(), command])
    }
}

impl Drop for Klipper {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn python(checkout: &Path) -> Result<PathBuf, Failed> {
    let named = std::env::var_os("K485_KLIPPER_PYTHON").map(PathBuf::from);
    let usual = [checkout.join(".venv/bin/python"), checkout.join("../klippy-env/bin/python")];
    let found = named.into_iter().chain(usual).find(|path| path.exists());
    found.ok_or_else(|| "no Python for Klipper: set K485_KLIPPER_PYTHON".into())
}

fn free_port() -> Result<u16, Failed> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn check(is: bool, what: &str) -> Result<(), Failed> {
    if is { Ok(()) } else { Err(what.into()) }
}

impl common::Run {
    fn clean_or(self, what: &str) -> Result<String, Failed> {
        check(self.code == Some(0), &format!("{what}: {:?}: {}", self.code, self.err))?;
        Ok(self.out)
    }
}

fn commands(klipper: &mut Klipper) -> Result<(), Failed> {
    let out = klipper.gcode("TRACE_STATUS").clean_or("TRACE_STATUS")?;
    check(out.contains("active traces: 0"), &out)?;
    let run = klipper.gcode("NO_SUCH_COMMAND");
    check(run.code == Some(4) && run.err.contains("does not know NO_SUCH_COMMAND"), &run.err)?;
    let run = klipper.gcode("RESTORE_GCODE_STATE NAME=none");
    check(run.code == Some(4), "an error")?;
    check(run.err.matches("Unknown g-code state: none").count() == 1, &run.err)?;
    let run = klipper.gcode("TRACE_ALL OBJECT=no_such_object");
    check(run.code == Some(4) && run.err.contains("TRACE_ALL: "), &run.err)?;
    let socket = klipper.socket();
    let run = k485(["trace", "gcode", &socket, "G4 P3000", "--timeout", "500ms"]);
    check(run.code == Some(5) && run.err.contains("no answer within 0.5 s"), &run.err)?;
    // Shut down, it refuses commands and still answers those of the tracer.
    let run = klipper.gcode("M112");
    check(run.code == Some(4) || run.code == Some(0), &run.err)?;
    let run = klipper.gcode("G4 P1");
    check(run.code == Some(4) && run.err.contains("not ready (shutdown)"), &run.err)?;
    klipper.gcode("TRACE_STATUS").clean_or("TRACE_STATUS after a shutdown")?;
    // It restarts in the same process; whoever asked is told.
    let run = klipper.gcode("FIRMWARE_RESTART");
    check(matches!(run.code, Some(0 | 1)), &run.err)?;
    klipper.wait(|klipper| klipper.gcode("G4 P1").code == Some(0))
}

fn tracing(klipper: &mut Klipper) -> Result<(), Failed> {
    let socket = klipper.socket();
    let run = |args: &[&str]| k485([&["trace"], args].concat());
    let out = run(&["on", &socket, "--attrs", "print_stats", "gcode_macro TN_ACTION"]);
    let out = out.clean_or("on")?;
    check(out.contains("Streaming on") && out.contains("methods of print_stats"), &out)?;
    let status = run(&["status", &socket]).clean_or("status")?;
    check(status.contains("print_stats: ") && status.contains("gcode_macro TN_ACTION"), &status)?;
    check(status.contains("Attribute traces: 2"), &status)?;
    run(&["off", &socket, "print_stats"]).clean_or("off one")?;
    let status = run(&["status", &socket]).clean_or("status")?;
    check(!status.contains("print_stats: "), &status)?;
    run(&["on", &socket, "--deep", "--attrs", "print_stats"]).clean_or("on again")?;
    run(&["off", &socket]).clean_or("off")?;
    let status = run(&["status", &socket]).clean_or("status")?;
    check(status.contains("active traces: 0"), &status)?;
    check(status.contains("Attribute traces: 0"), &status)?;
    check(status.contains("The stream is stopped"), &status)
}

fn changes(klipper: &mut Klipper) -> Result<(), Failed> {
    let (socket, state) = (klipper.socket(), klipper.path("state.jsonl"));
    let collect = |more: &[&str]| {
        let all =
            ["flush", "collect", &socket, "--state", &state, "--yes", "--tools", "T1A", "T1B"];
        k485([&all[..], more].concat())
    };
    let run = collect(&[]);
    check(run.code == Some(0) && run.err.contains("4 flushes done, 0 failed"), &run.err)?;
    let lines = fs::read_to_string(&state)?;
    let last: Value = serde_json::from_str(lines.lines().last().ok_or("a line")?)?;
    check(last["output"][0] == "// loaded T1A" && last["prev"] == "T1B", &lines)?;
    // A third slot, whose loads fail.
    let run = collect(&["T1C", "--on-error", "skip", "--first-load-only"]);
    check(run.code == Some(3) && run.err.contains("key835 blocked\n0 flushes done, 1"), &run.err)
}
