//! `k485 extra` through the binary: in folders as a printer has them, in each shell that is here,
//! and through an `ssh` that runs the command on this machine.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Run, command, folder, k485};

/// A folder with Klipper in it, and where its extras are.
fn klipper() -> (tempfile::TempDir, PathBuf) {
    let folder = folder();
    let extras = folder.path().join("klipper/klippy/extras");
    fs::create_dir_all(&extras).unwrap();
    fs::write(extras.join("../klippy.py"), "").unwrap();
    (folder, extras)
}

/// Runs `k485 extra` with a home of its own: what it finds there is the test's.
fn extra(home: &Path, args: &[&str]) -> Run {
    let output = command(["extra"].iter().chain(args))
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The installed folder holds what the project's has, and the list.
#[track_caller]
fn is_whole(extras: &Path) {
    let own = common::project("extra/trace_hooks");
    let mut expected = names(&own);
    expected.retain(|name| name != "__pycache__");
    expected.push("k485.manifest".to_owned());
    expected.sort();
    assert_eq!(names(&extras.join("trace_hooks")), expected);
    for name in expected.iter().filter(|name| *name != "k485.manifest") {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert_eq!(read(&own), read(&extras.join("trace_hooks")), "{name}");
    }
    // Nothing is left beside it.
    assert!(names(extras).iter().all(|name| !name.starts_with('.')), "{:?}", names(extras));
}

#[test]
fn install_status_uninstall() {
    let (folder, extras) = klipper();
    // Klipper's folder, klippy in it, and the extras themselves are all the place.
    for place in [folder.path().join("klipper"), extras.join(".."), extras.clone()] {
        let place = place.to_str().unwrap();
        let home = folder.path();
        let run = extra(home, &["status", place]);
        assert_eq!((run.code, run.out.split(' ').next()), (Some(4), Some("none")));
        let run = extra(home, &["install", place]);
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert!(run.err.contains("[trace_hooks]") && run.err.contains("restart klipper"));
        is_whole(&extras);
        let run = extra(home, &["status", place]);
        assert_eq!((run.code, run.out.starts_with("same ")), (Some(0), true), "{}", run.out);
        // Python puts this there.
        fs::create_dir(extras.join("trace_hooks/__pycache__")).unwrap();
        let run = extra(home, &["install", place]);
        assert!(run.err.contains("already, unchanged"), "{}", run.err);
        let run = extra(home, &["uninstall", place]);
        assert_eq!((run.code, run.err.contains("removed ")), (Some(0), true), "{}", run.err);
        assert!(names(&extras).is_empty());
        let run = extra(home, &["uninstall", place]);
        assert_eq!((run.code, run.err.contains("there is no trace_hooks")), (Some(0), true));
    }
}

#[test]
fn the_section_in_printer_cfg_is_looked_for() {
    let (folder, extras) = klipper();
    let config = folder.path().join("printer_data/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("printer.cfg"), "[mcu]\n[trace_hooks]\n").unwrap();
    let place = extras.to_str().unwrap();
    let run = extra(folder.path(), &["install", place]);
    assert!(run.err.contains("printer.cfg has its section"), "{}", run.err);
    assert!(!run.err.contains("Add to printer.cfg"), "{}", run.err);
    let run = extra(folder.path(), &["uninstall", place]);
    assert!(run.err.contains("still has [trace_hooks]"), "{}", run.err);
}

#[test]
fn another_tracer_is_left_alone() {
    let (folder, extras) = klipper();
    let place = extras.to_str().unwrap();
    fs::write(extras.join("trace_hooks.py"), "# another\n").unwrap();
    for job in ["install", "uninstall"] {
        for force in [&[][..], &["--force"]] {
            let run = extra(folder.path(), &[&[job, place], force].concat());
            assert_eq!(run.code, Some(6));
            assert!(run.err.contains("trace_hooks.py is another tracer"), "{}", run.err);
        }
    }
    assert_eq!(names(&extras), ["trace_hooks.py"]);
    let run = extra(folder.path(), &["status", place]);
    assert_eq!((run.code, run.out.starts_with("single ")), (Some(4), true));
}

#[test]
fn folders_that_are_not_ours_or_not_as_they_were() {
    let (folder, extras) = klipper();
    let place = extras.to_str().unwrap();
    let home = folder.path();
    let tracer = extras.join("trace_hooks");
    fs::create_dir(&tracer).unwrap();
    fs::write(tracer.join("__init__.py"), "# another\n").unwrap();
    for job in ["install", "uninstall"] {
        let run = extra(home, &[job, place]);
        assert_eq!((run.code, run.err.contains("--force")), (Some(6), true), "{}", run.err);
    }
    assert_eq!(extra(home, &["install", place, "--force"]).code, Some(0));
    is_whole(&extras);
    // A file that was changed, and one that somebody put there.
    for (name, state) in [("hooks.py", "changed "), ("mine.py", "changed ")] {
        fs::write(tracer.join(name), "# changed\n").unwrap();
        let run = extra(home, &["status", place]);
        assert_eq!((run.code, run.out.starts_with(state)), (Some(4), true), "{}", run.out);
        for job in ["install", "uninstall"] {
            let run = extra(home, &[job, place]);
            assert_eq!((run.code, run.err.contains("--force")), (Some(6), true), "{}", run.err);
        }
        assert_eq!(extra(home, &["install", place, "--force"]).code, Some(0));
        is_whole(&extras);
    }
    fs::remove_dir_all(&tracer).unwrap();
    symlink("/tmp", &tracer).unwrap();
    let run = extra(home, &["install", place, "--force"]);
    assert_eq!((run.code, run.err.contains("is a link")), (Some(6), true), "{}", run.err);
}

#[test]
fn another_version_is_replaced() {
    let (folder, extras) = klipper();
    let place = extras.to_str().unwrap();
    let tracer = extras.join("trace_hooks");
    fs::create_dir(&tracer).unwrap();
    fs::write(tracer.join("old.py"), "x = 1\n").unwrap();
    let sum = Command::new("cksum").arg("old.py").current_dir(&tracer).output().unwrap();
    let list = [b"trace_hooks 0.9\n", &*sum.stdout].concat();
    fs::write(tracer.join("k485.manifest"), list).unwrap();
    let run = extra(folder.path(), &["status", place]);
    assert_eq!(run.code, Some(4));
    assert!(run.out.starts_with("other ") && run.out.ends_with(" 0.9\n"), "{}", run.out);
    let run = extra(folder.path(), &["install", place]);
    assert_eq!((run.code, run.err.contains("takes the place of 0.9")), (Some(0), true));
    is_whole(&extras);
}

#[test]
fn places_that_are_none() {
    let folder = folder();
    let place = folder.path().to_str().unwrap();
    let run = extra(folder.path(), &["install", place]);
    assert_eq!((run.code, run.err.contains("neither Klipper nor")), (Some(1), true), "{}", run.err);
    let run = extra(folder.path(), &["install"]);
    assert_eq!((run.code, run.err.contains("--ssh")), (Some(1), true), "{}", run.err);
    assert_eq!(extra(folder.path(), &["install", "--ssh", "-x"]).code, Some(2));
}

/// The shells that are here: a printer's may be any of them.
fn shells() -> Vec<Vec<&'static str>> {
    [vec!["dash"], vec!["bash", "--posix"], vec!["busybox", "sh"]]
        .into_iter()
        .filter(|shell| {
            let mut probe = Command::new(shell[0]);
            probe.args(&shell[1..]).args(["-c", ":"]).stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        })
        .collect()
}

fn piped(shell: &[&str], home: &Path, script: &[u8]) -> Option<i32> {
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A shell that stops at an error takes no more.
    let _ = child.stdin.take().unwrap().write_all(script);
    child.wait().unwrap().code()
}

#[test]
fn the_printed_script_in_every_shell() {
    let shells = shells();
    assert!(!shells.is_empty());
    for shell in shells {
        let (folder, extras) = klipper();
        // Klipper is found in the home.
        let script = k485(["extra", "install", "--print"]).clean();
        assert_eq!(piped(&shell, folder.path(), script.as_bytes()), Some(0), "{shell:?}");
        is_whole(&extras);
        let script = k485(["extra", "uninstall", "--print"]).clean();
        assert_eq!(piped(&shell, folder.path(), script.as_bytes()), Some(0), "{shell:?}");
        assert!(names(&extras).is_empty());
    }
}

#[test]
fn a_script_that_is_torn_does_nothing() {
    let (folder, extras) = klipper();
    let script = k485(["extra", "install", "--print"]).clean();
    // Anywhere before its last word.
    for part in 1..20 {
        let end = (script.len() - "main\n".len()) * part / 19;
        for shell in shells() {
            piped(&shell, folder.path(), &script.as_bytes()[..end]);
            assert!(names(&extras).is_empty(), "{shell:?} at {end}");
        }
    }
}

#[test]
fn without_cksum_the_sizes_are_compared() {
    let (folder, extras) = klipper();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in ["sh", "cat", "mkdir", "mv", "rm", "sed", "wc", "grep", "id"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(tool))
            .find(|path| path.exists())
            .unwrap();
        symlink(found, bin.join(tool)).unwrap();
    }
    for (job, code) in [("install", 0), ("status", 0), ("uninstall", 0)] {
        let place = extras.to_str().unwrap();
        let status = command(["extra", job, place])
            .env("PATH", &bin)
            .env("HOME", folder.path())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{job}");
        if job == "install" {
            is_whole(&extras);
        }
    }
}

#[test]
fn behind_ssh() {
    let (folder, extras) = klipper();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    // What sshd does with a command, without a network.
    let ssh = "#!/bin/sh\n[ \"$1\" = -- ] || exit 9\n[ \"$2\" = root@k2 ] || exit 255\nshift 2\n\
               exec sh -c \"$*\"\n";
    fs::write(bin.join("ssh"), ssh).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let run = |job: &str, host: &str| {
        let output = command(["extra", job, "--ssh", host])
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), err)
    };
    let (code, err) = run("install", "root@k2");
    assert_eq!(code, Some(0), "{err}");
    is_whole(&extras);
    let named = format!("root@k2:{}", extras.display());
    assert_eq!(run("status", &named).0, Some(0));
    assert_eq!(run("uninstall", "root@k2").0, Some(0));
    assert!(names(&extras).is_empty());
    let (code, err) = run("install", "root@other");
    assert_eq!((code, err.contains("ssh failed")), (Some(1), true), "{err}");
}
