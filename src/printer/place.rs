//! Where a printer's API is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Moonraker's port.
const MOONRAKER: u16 = 7125;

/// Where a printer's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Moonraker, at a name or address and a port.
    Moonraker {
        /// A name or an address; one of IPv6 without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// Klipper's own API socket on this machine.
    Socket(PathBuf),
}

/// `HOST`, `HOST:PORT`, `http://HOST`, `ws://HOST`, `unix:PATH`, `/PATH`.
impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, such as unix:/tmp/klippy_uds".to_owned()),
                path => Ok(Place::Socket(path.into())),
            };
        }
        if text.starts_with(['/', '.']) {
            return Ok(Place::Socket(text.into()));
        }
        let rest = match text.split_once("://") {
            Some(("http" | "ws", rest)) => rest.trim_end_matches('/'),
            Some(("https" | "wss", _)) => {
                return Err("there is no TLS here; give http://, most printers have nothing else"
                    .to_owned());
            }
            Some((scheme, _)) => {
                return Err(format!(
                    "{scheme}:// is no way to a printer's API; give a host's \
                                    name, HOST:PORT or unix:PATH"
                ));
            }
            None => text,
        };
        let (host, port) = split(rest)?;
        let strange = |c: char| !(c.is_ascii_alphanumeric() || "-._:%".contains(c));
        if host.is_empty() || host.contains(strange) {
            return Err(format!(
                "{host:?} is no name or address of a host; a path begins with / \
                                or unix:"
            ));
        }
        Ok(Place::Moonraker { host: host.to_owned(), port })
    }
}

/// Host and port. An address of IPv6 has brackets where a port follows.
fn split(text: &str) -> Result<(&str, u16), String> {
    let number = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{text:?} is no port (1 to 65535)"))
    };
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if rest.is_empty() => Ok((host, MOONRAKER)),
            None => Err(format!("{rest:?} behind the address is no port")),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, number(port)?)),
        _ => Ok((text, MOONRAKER)),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Moonraker { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Moonraker { host, port } => write!(f, "{host}:{port}"),
            Place::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moonraker(host: &str, port: u16) -> Result<Place, String> {
        Ok(Place::Moonraker { host: host.into(), port })
    }

    #[test]
    fn hosts_and_paths() {
        let read = |text: &str| text.parse::<Place>();
        assert_eq!(read("k2.local"), moonraker("k2.local", 7125));
        assert_eq!(read("192.168.1.7:80"), moonraker("192.168.1.7", 80));
        assert_eq!(read("http://k2/"), moonraker("k2", 7125));
        assert_eq!(read("fe80::1"), moonraker("fe80::1", 7125));
        assert_eq!(read("ws://[fe80::1]:81"), moonraker("fe80::1", 81));
        for path in ["/tmp/klippy_uds", "unix:/tmp/klippy_uds"] {
            assert_eq!(read(path), Ok(Place::Socket("/tmp/klippy_uds".into())));
        }
        for wrong in ["", "unix:", "k2:0", "k2:x", "https://k2", "ssh://k2", "a b", "[::1]x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let all = ["k2:7125", "[fe80::1]:7125", "/tmp/x"];
        assert_eq!(all.map(|text| read(text).unwrap().to_string()), all);
    }
}
