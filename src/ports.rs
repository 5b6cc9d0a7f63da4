//! `k485 ports`: the serial ports of this machine.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;
use k485_link::ports::{PortInfo, Usb, User, list};
use serde_json::json;

use crate::input::printable;
use crate::output;
use crate::table::Table;

/// What `k485 ports` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No port is opened: opening raises RTS and DTR, with which some adapters send. Who has a port is seen \
for your own processes, and for everybody's by root.

Examples:
  k485 ports
  sudo k485 ports                                 who has them, too
  k485 ports --to json | jq -r .path              a path a line
  k485 sniff $(k485 ports --to json | jq -rs '.[0].path')")]
pub(crate) struct Args {
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
}

/// How the list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A table
    Text,
    /// JSON, a line a port (docs/ports.md)
    Json,
}

/// Lists them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ports = list();
    let mut out = output::open(None)?.out;
    match args.to {
        To::Text => text(&ports, &mut out)?,
        To::Json => json_lines(&ports, &mut out)?,
    }
    out.flush()?;
    if ports.is_empty() {
        eprintln!("k485: no serial port was found: is the adapter plugged in?");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(ports: &[PortInfo], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(&["<node", "<driver", "<USB", "<adapter", "<serial", "<in use by"]);
    for port in ports {
        let usb = port.usb.as_ref();
        table.row([
            printable(&port.node),
            port.driver.clone().unwrap_or_default(),
            usb.map(numbers).unwrap_or_default(),
            usb.map(adapter).unwrap_or_default(),
            usb.and_then(|usb| usb.serial.as_deref().map(clean)).unwrap_or_default(),
            port.users.iter().map(user).collect::<Vec<_>>().join(", "),
        ]);
    }
    if !table.is_empty() {
        table.write(out, 0)?;
    }
    // Too long for a column, and to be copied whole.
    let lasting: Vec<_> = ports.iter().filter(|port| port.path != port.node).collect();
    if !lasting.is_empty() {
        writeln!(out, "\nNames that stay when an adapter is plugged in elsewhere:")?;
    }
    for port in lasting {
        writeln!(out, "  {} -> {}", printable(&port.path), printable(&port.node))?;
    }
    Ok(())
}

/// `0403:6010`, and the interface where it is not the only one that there can be.
fn numbers(usb: &Usb) -> String {
    let interface = usb.interface.map(|number| format!(".{number}")).unwrap_or_default();
    format!("{:04x}:{:04x}{interface}", usb.vendor, usb.product)
}

/// The names that the adapter gives itself.
fn adapter(usb: &Usb) -> String {
    let names = [usb.manufacturer.as_deref(), usb.name.as_deref()];
    names.into_iter().flatten().map(clean).collect::<Vec<_>>().join(" ")
}

/// `minicom (41)`.
fn user(user: &User) -> String {
    let program = user.program.as_deref().map_or_else(|| "process".to_owned(), clean);
    format!("{program} ({})", user.pid)
}

/// A text that an adapter or a process chose, without anything that would steer a terminal.
fn clean(text: &str) -> String {
    printable(text.as_ref())
}

fn json_lines(ports: &[PortInfo], out: &mut dyn Write) -> std::io::Result<()> {
    for port in ports {
        let usb = port.usb.as_ref().map(|usb| {
            json!({
                "vendor": format!("{:04x}", usb.vendor),
                "product": format!("{:04x}", usb.product),
                "manufacturer": usb.manufacturer,
                "name": usb.name,
                "serial": usb.serial,
                "interface": usb.interface,
            })
        });
        let user = |user: &User| json!({ "pid": user.pid, "program": user.program, "locked": user.locked });
        let line = json!({
            "path": port.path.to_string_lossy(),
            "node": port.node.to_string_lossy(),
            "driver": port.driver,
            "usb": usb,
            "users": port.users.iter().map(user).collect::<Vec<_>>(),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Vec<PortInfo> {
        let usb = Usb {
            vendor: 0x403,
            product: 0x6010,
            manufacturer: Some("FTDI".to_owned()),
            name: Some("Dual\u{1b}[31m RS485".to_owned()),
            serial: Some("FT1".to_owned()),
            interface: Some(1),
        };
        let user = User { pid: 41, program: Some("minicom".to_owned()), locked: true };
        let uart = PortInfo {
            path: "/dev/ttyS0".into(),
            node: "/dev/ttyS0".into(),
            driver: None,
            usb: None,
            users: vec![],
        };
        let adapter = PortInfo {
            path: "/dev/serial/by-id/usb-FTDI_Dual_FT1-if01-port0".into(),
            node: "/dev/ttyUSB1".into(),
            driver: Some("ftdi_sio".to_owned()),
            usb: Some(usb),
            users: vec![user],
        };
        vec![adapter, uart]
    }

    #[test]
    fn a_table_for_people() {
        let mut out = Vec::new();
        text(&ports(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "node          driver    USB          adapter               serial  in use by\n\
             /dev/ttyUSB1  ftdi_sio  0403:6010.1  FTDI Dual\u{fffd}[31m RS485  FT1     minicom (41)\n\
             /dev/ttyS0\n\
             \n\
             Names that stay when an adapter is plugged in elsewhere:\n  \
             /dev/serial/by-id/usb-FTDI_Dual_FT1-if01-port0 -> /dev/ttyUSB1\n"
        );
    }

    #[test]
    fn json_for_programs() {
        let mut out = Vec::new();
        json_lines(&ports(), &mut out).unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["usb"]["vendor"], "0403");
        assert_eq!(lines[0]["users"][0], json!({"pid": 41, "program": "minicom", "locked": true}));
        assert_eq!(lines[1]["path"], "/dev/ttyS0");
        assert_eq!(lines[1]["usb"], serde_json::Value::Null);
    }
}
