//! Whose terminal a device is.
//!
//! A pseudo-terminal's number goes to the next program that asks for one: what was a bus may be
//! somebody's shell a moment later, and setting raw mode there would spoil it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// Whether the device is the controlling terminal of any process, as far as the system tells.
pub(crate) fn is_somebodys(port: &Path) -> bool {
    let Ok(device) = fs::metadata(port).map(|meta| meta.rdev()) else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let number = encoded(device);
    processes.flatten().any(|process| {
        let stat = fs::read_to_string(process.path().join("stat"));
        stat.is_ok_and(|stat| controlling(&stat) == Some(number))
    })
}

/// A device's number as the kernel writes it in `stat`: the minor's low byte, the major, the rest
/// of the minor.
fn encoded(device: u64) -> u32 {
    let (major, minor) = (major(device), minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The controlling terminal in a line of `/proc/PID/stat`. The program's name, in brackets, may
/// hold anything.
fn controlling(stat: &str) -> Option<u32> {
    let (_, behind) = stat.rsplit_once(')')?;
    // State, parent, group, session, terminal. The kernel prints it signed.
    let terminal: i32 = behind.split_whitespace().nth(4)?.parse().ok()?;
    Some(terminal.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pty;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    #[test]
    fn a_line_of_stat() {
        let line = "42 (odd) name) S 1 42 42 34816 42 4194304 0";
        assert_eq!(controlling(line), Some(34816));
        assert_eq!(controlling("42 (x) S 1 42"), None);
        assert_eq!(controlling(""), None);
    }

    #[test]
    fn a_shells_terminal_is_somebodys() {
        let pty = Pty::open().unwrap();
        assert!(!is_somebodys(pty.path()));
        let slave = fs::File::open(pty.path()).unwrap();
        let mut shell = Command::new("setsid")
            .args(["--ctty", "sleep", "30"])
            .stdin(slave)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !is_somebodys(pty.path()) {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(pty);
        let _ = shell.kill();
        let _ = shell.wait();
    }
}
