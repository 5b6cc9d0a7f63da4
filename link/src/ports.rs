//! The serial ports of this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of serial ports begin, behind `/dev/`.
const PREFIXES: [&str; 6] = ["ttyUSB", "ttyACM", "ttyAMA", "ttyS", "cu.", "rfcomm"];

/// The paths of the serial ports of this machine, without opening any: opening raises RTS and DTR.
///
/// A USB adapter is listed under its lasting name in `/dev/serial/by-id/` where it has one. A
/// `ttyS` that no UART is behind is left out. Nothing that cannot be read is an error; the list is
/// then shorter.
#[must_use]
pub fn available() -> Vec<PathBuf> {
    scan(Path::new("/dev"), Path::new("/sys/class/tty"))
}

/// [`available`], over other trees.
fn scan(dev: &Path, sys: &Path) -> Vec<PathBuf> {
    let by_id = entries(&dev.join("serial/by-id"));
    let named: BTreeSet<PathBuf> = by_id.iter().filter_map(|p| fs::canonicalize(p).ok()).collect();
    let is_named = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|real| named.contains(&real));
    let nodes = entries(dev).into_iter().filter(|path| is_port(path, sys) && !is_named(path));
    by_id.iter().filter(|path| path.exists()).cloned().chain(nodes).collect()
}

/// What is in a directory, sorted.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Whether a path is named like a serial port and has a UART, as far as the system tells.
fn is_port(path: &Path, sys: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    // The kernel makes more ttyS nodes than there are UARTs; type 0 is "none found".
    let empty = || fs::read_to_string(sys.join(name).join("type")).is_ok_and(|t| t.trim() == "0");
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_listed_once_by_their_lasting_names_and_without_empty_uarts() {
        let root = tempfile::tempdir().unwrap();
        let (dev, sys) = (root.path().join("dev"), root.path().join("sys"));
        fs::create_dir_all(dev.join("serial/by-id")).unwrap();
        for name in ["ttyUSB0", "ttyUSB1", "ttyACM0", "ttyS0", "ttyS1", "tty1", "null"] {
            fs::write(dev.join(name), "").unwrap();
        }
        for (name, kind) in [("ttyS0", "4\n"), ("ttyS1", "0\n")] {
            fs::create_dir_all(sys.join(name)).unwrap();
            fs::write(sys.join(name).join("type"), kind).unwrap();
        }
        let lasting = dev.join("serial/by-id/usb-FTDI-if00");
        std::os::unix::fs::symlink("../../ttyUSB1", &lasting).unwrap();
        std::os::unix::fs::symlink("../../ttyUSB9", dev.join("serial/by-id/usb-gone")).unwrap();
        assert_eq!(
            scan(&dev, &sys),
            [lasting, dev.join("ttyACM0"), dev.join("ttyS0"), dev.join("ttyUSB0")]
        );
    }

    #[test]
    fn a_machine_without_the_directories_has_no_ports() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(scan(&root.path().join("dev"), &root.path().join("sys")), [] as [PathBuf; 0]);
    }
}
