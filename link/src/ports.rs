//! The serial ports of this machine, told without opening any: opening raises RTS and DTR.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How the names of serial ports begin, behind `/dev/`.
const PREFIXES: [&str; 6] = ["ttyUSB", "ttyACM", "ttyAMA", "ttyS", "cu.", "rfcomm"];

/// A serial port of this machine, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    /// The path to give: the lasting name where there is one, else the node.
    pub path: PathBuf,
    /// The node, `/dev/ttyUSB0`.
    pub node: PathBuf,
    /// The driver's name, as `ftdi_sio`.
    pub driver: Option<String>,
    /// The adapter, where it is one on USB.
    pub usb: Option<Usb>,
    /// Who has it open or locked. Only root sees all: whoever else may miss some.
    pub users: Vec<User>,
}

/// What a USB adapter tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usb {
    /// The vendor's number, `idVendor`.
    pub vendor: u16,
    /// The product's number, `idProduct`.
    pub product: u16,
    /// The vendor's name.
    pub manufacturer: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// The serial number: the only thing that tells two adapters of a kind apart.
    pub serial: Option<String>,
    /// The interface's number; an adapter of several ports has one for each.
    pub interface: Option<u8>,
}

/// A process that has a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Its number.
    pub pid: u32,
    /// Its program's name, where that can be read.
    pub program: Option<String>,
    /// Whether it has locked the port (`flock`).
    pub locked: bool,
}

/// The serial ports of this machine, in the order of [`available`].
///
/// Nothing that cannot be read is an error; less is told then. On other systems than Linux only
/// the paths are.
#[must_use]
pub fn list() -> Vec<PortInfo> {
    Trees { dev: Path::new("/dev"), sys: Path::new("/sys/class/tty"), proc: Path::new("/proc") }
        .list()
}

/// Where it is looked for.
struct Trees<'a> {
    dev: &'a Path,
    sys: &'a Path,
    proc: &'a Path,
}

impl Trees<'_> {
    fn list(&self) -> Vec<PortInfo> {
        let holders = Holders::read(self.proc);
        let port = |path: PathBuf| {
            let node = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let device = node.file_name().map(|name| self.sys.join(name).join("device"));
            // The device's own folder, by which those above it are found.
            let device = device.and_then(|device| fs::canonicalize(device).ok());
            let driver = device.as_ref().and_then(|device| {
                let driver = fs::read_link(device.join("driver")).ok()?;
                Some(driver.file_name()?.to_string_lossy().into_owned())
            });
            let usb = device.and_then(|device| usb(&device));
            let users = holders.of(&node);
            PortInfo { path, node, driver, usb, users }
        };
        scan(self.dev, self.sys).into_iter().map(port).collect()
    }
}

/// What a file of sysfs says, without the line's end; nothing where it is empty.
fn say(path: PathBuf) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The USB device that a port's device belongs to: the nearest folder above it that has the
/// numbers. The interface's folder lies between.
fn usb(device: &Path) -> Option<Usb> {
    let hex = |path| u16::from_str_radix(&say(path)?, 16).ok();
    let mut interface = None;
    for folder in device.ancestors() {
        if interface.is_none() {
            interface = say(folder.join("bInterfaceNumber"))
                .and_then(|number| u8::from_str_radix(&number, 16).ok());
        }
        if let (Some(vendor), Some(product)) =
            (hex(folder.join("idVendor")), hex(folder.join("idProduct")))
        {
            let manufacturer = say(folder.join("manufacturer"));
            let name = say(folder.join("product"));
            let serial = say(folder.join("serial"));
            return Some(Usb { vendor, product, manufacturer, name, serial, interface });
        }
    }
    None
}

/// Which processes hold what.
struct Holders<'a> {
    proc: &'a Path,
    /// Process and path of open files below the folder of devices, as far as they can be read.
    open: Vec<(u32, PathBuf)>,
    /// Process, file system and inode of `flock`s.
    locks: Vec<(u32, String)>,
}

impl Holders<'_> {
    fn read(proc: &Path) -> Holders<'_> {
        let process = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
        let mut open = Vec::new();
        for folder in entries(proc) {
            let Some(pid) = process(&folder) else { continue };
            let files = entries(&folder.join("fd")).into_iter();
            open.extend(files.filter_map(|file| Some((pid, fs::read_link(file).ok()?))));
        }
        // `1: FLOCK  ADVISORY  WRITE 20965 fe:00:6799440 0 EOF`; of a process that waits for the
        // lock there is a `->` behind the number.
        let lock = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [_, "FLOCK", _, _, pid, file, ..] => Some((pid.parse().ok()?, file.to_owned())),
                _ => None,
            }
        };
        let locks = fs::read_to_string(proc.join("locks")).unwrap_or_default();
        Holders { proc, open, locks: locks.lines().filter_map(lock).collect() }
    }

    /// Who has this node.
    fn of(&self, node: &Path) -> Vec<User> {
        let file = fs::metadata(node).map(|meta| lock_name(meta.dev(), meta.ino()));
        let locked: BTreeSet<u32> = self
            .locks
            .iter()
            .filter(|(_, locked)| file.as_ref().is_ok_and(|file| file == locked))
            .map(|(pid, _)| *pid)
            .collect();
        let opened = self.open.iter().filter(|(_, path)| path == node).map(|(pid, _)| *pid);
        let pids: BTreeSet<u32> = opened.chain(locked.iter().copied()).collect();
        let user = |pid: u32| {
            let program = say(self.proc.join(pid.to_string()).join("comm"));
            User { pid, program, locked: locked.contains(&pid) }
        };
        pids.into_iter().map(user).collect()
    }
}

/// A file as `/proc/locks` names it: `fe:00:6799440`.
fn lock_name(device: u64, inode: u64) -> String {
    // As glibc's major and minor take it apart.
    let major = ((device >> 32) & 0xffff_f000) | ((device >> 8) & 0xfff);
    let minor = ((device >> 12) & 0xffff_ff00) | (device & 0xff);
    format!("{major:02x}:{minor:02x}:{inode}")
}

/// The paths of the serial ports of this machine.
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

    /// As a machine with a two-port USB adapter, a board that is a USB device itself and a UART
    /// shows them.
    #[test]
    fn a_port_is_described_by_what_is_above_it() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let (dev, sys, proc) = (root.join("dev"), root.join("class/tty"), root.join("proc"));
        let link = |target: &Path, path: PathBuf| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        let file = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in ["ttyUSB1", "ttyACM0", "ttyS0"] {
            file(dev.join(name), "");
        }
        link(Path::new("../../ttyUSB1"), dev.join("serial/by-id/usb-FTDI_Dual_FT1-if01-port0"));
        let bus = root.join("devices/pci/usb1");
        // The hub that all hang on has numbers too.
        file(bus.join("idVendor"), "1d6b\n");
        file(bus.join("idProduct"), "0002\n");
        for (name, text) in [
            ("idVendor", "0403\n"),
            ("idProduct", "6010\n"),
            ("manufacturer", "FTDI\n"),
            ("product", "Dual RS485\n"),
            ("serial", "FT1\n"),
            ("1-1:1.1/bInterfaceNumber", "01\n"),
        ] {
            file(bus.join("1-1").join(name), text);
        }
        let ports = bus.join("1-1/1-1:1.1/ttyUSB1");
        link(Path::new("/sys/bus/usb-serial/drivers/ftdi_sio"), ports.join("driver"));
        link(&ports, sys.join("ttyUSB1/device"));
        file(bus.join("1-2/idVendor"), "1d50");
        file(bus.join("1-2/idProduct"), "614e");
        file(bus.join("1-2/serial"), "\n");
        file(bus.join("1-2/1-2:1.0/bInterfaceNumber"), "00");
        link(Path::new("../cdc_acm"), bus.join("1-2/1-2:1.0/driver"));
        link(&bus.join("1-2/1-2:1.0"), sys.join("ttyACM0/device"));
        file(sys.join("ttyS0/type"), "4\n");
        // Three processes: one has it open, one has it locked and cannot be looked into.
        link(&dev.join("ttyUSB1"), proc.join("41/fd/3"));
        link(Path::new("/dev/null"), proc.join("41/fd/0"));
        file(proc.join("41/comm"), "minicom\n");
        file(proc.join("42/comm"), "k485\n");
        link(Path::new("/dev/null"), proc.join("43/fd/0"));
        let meta = fs::metadata(dev.join("ttyUSB1")).unwrap();
        let locked = lock_name(meta.dev(), meta.ino());
        file(
            proc.join("locks"),
            &format!(
                "1: POSIX  ADVISORY  WRITE 43 {locked} 0 EOF\n\
                 2: FLOCK  ADVISORY  WRITE 42 {locked} 0 EOF\n\
                 2: -> FLOCK  ADVISORY  WRITE 43 {locked} 0 EOF\n\
                 3: FLOCK  ADVISORY  WRITE 43 00:05:1 0 EOF\nwhat is this\n"
            ),
        );
        let list = Trees { dev: &dev, sys: &sys, proc: &proc }.list();
        let text = |text: &str| Some(text.to_owned());
        let adapter = Usb {
            vendor: 0x0403,
            product: 0x6010,
            manufacturer: text("FTDI"),
            name: text("Dual RS485"),
            serial: text("FT1"),
            interface: Some(1),
        };
        let board = Usb { vendor: 0x1d50, product: 0x614e, interface: Some(0), ..Usb::default() };
        let expected = [
            PortInfo {
                path: dev.join("serial/by-id/usb-FTDI_Dual_FT1-if01-port0"),
                node: dev.join("ttyUSB1"),
                driver: text("ftdi_sio"),
                usb: Some(adapter),
                users: vec![
                    User { pid: 41, program: text("minicom"), locked: false },
                    User { pid: 42, program: text("k485"), locked: true },
                ],
            },
            PortInfo {
                path: dev.join("ttyACM0"),
                node: dev.join("ttyACM0"),
                driver: text("cdc_acm"),
                usb: Some(board),
                users: vec![],
            },
            PortInfo {
                path: dev.join("ttyS0"),
                node: dev.join("ttyS0"),
                driver: None,
                usb: None,
                users: vec![],
            },
        ];
        assert_eq!(list, expected);
    }

    /// The names of locks are those of the kernel, and so is the process's own.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_real_lock_is_seen() {
        let pty = crate::Pty::open().unwrap();
        let user = |locked| {
            let users = Holders::read(Path::new("/proc")).of(pty.path());
            let own = users.iter().find(|user| user.pid == std::process::id()).unwrap();
            assert!(own.program.is_some());
            assert_eq!(own.locked, locked);
        };
        user(false);
        let _listener = crate::Listener::open(pty.path(), 230_400, crate::Clock::new()).unwrap();
        user(true);
    }

    #[test]
    fn a_machine_without_the_directories_has_no_ports() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(scan(&root.path().join("dev"), &root.path().join("sys")), [] as [PathBuf; 0]);
    }
}
