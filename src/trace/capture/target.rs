//! Where a tracer's stream is: a port of a host, directly or through ssh.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use k485_link::{Clock, Event, Hear, Link, LinkError, OpenError, Pipe, Tcp};
use k485_proto::record::Time;

/// The port of a tracer, where none is named.
pub(super) const PORT: u16 = 9876;

/// Where a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A host, and its port if it is named.
    Tcp { host: String, port: Option<u16> },
    /// A host of ssh as its command line takes it, and ssh's port.
    Ssh { destination: String, port: Option<u16> },
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            Err("write a host (k2.local, 192.168.1.7, [fe80::1]), with its port if it is not 9876 \
                 (k2.local:9000), or ssh://root@HOST"
                .to_owned())
        };
        let (rest, is_ssh) = match text.strip_prefix("ssh://") {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), true),
            None => (text, false),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) if is_ssh => (Some(user), place),
            _ => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            // An IPv6 address alone has more than one colon.
            Some((host, _)) if host.contains(':') && !host.ends_with(']') => (place, None),
            Some((host, port)) => match port.parse() {
                Ok(port @ 1..) => (host, Some(port)),
                _ => return wrong(),
            },
            None => (place, None),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let is_safe = |text: &str| {
            // Nothing that ssh would take for an option.
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_alphanumeric() || ".-_:%".contains(c))
        };
        if !is_safe(host) || !user.is_none_or(is_safe) {
            return wrong();
        }
        Ok(if is_ssh {
            let at = user.map(|user| format!("{user}@")).unwrap_or_default();
            Target::Ssh { destination: format!("{at}{host}"), port }
        } else {
            Target::Tcp { host: host.to_owned(), port }
        })
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens there.
    Refused(String),
    /// Anything else.
    Other(String),
}

impl Target {
    /// What it is called.
    pub(super) fn name(&self, stream_port: Option<u16>) -> String {
        match self {
            Target::Tcp { .. } => self.address(stream_port),
            Target::Ssh { destination, .. } => format!("ssh://{destination}"),
        }
    }

    fn address(&self, stream_port: Option<u16>) -> String {
        let Target::Tcp { host, port } = self else { return String::new() };
        let port = port.or(stream_port).unwrap_or(PORT);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Connects; it may take some seconds.
    pub(super) fn open(
        &self,
        stream_port: Option<u16>,
        clock: Clock,
    ) -> Result<Box<dyn Link>, Failure> {
        match self {
            Target::Tcp { host, .. } => {
                let address = self.address(stream_port);
                match Tcp::connect(&address, clock) {
                    Ok(tcp) => Ok(Box::new(tcp)),
                    Err(OpenError::Connect { source, .. })
                        if source.kind() == io::ErrorKind::ConnectionRefused =>
                    {
                        Err(Failure::Refused(format!(
                            "{address} refuses connections. k485's tracer listens on the printer \
                             itself only, unless `bind` below [trace_hooks] says otherwise; through \
                             ssh it is reached: k485 trace capture ssh://root@{host}. Or the stream \
                             is not started: TRACE_STREAM_START in the printer's console, or \
                             `auto_start: True` below [trace_hooks] in printer.cfg"
                        )))
                    }
                    Err(OpenError::Connect { source, .. }) => {
                        Err(Failure::Other(format!("{address}: cannot connect: {source}")))
                    }
                    Err(error) => Err(Failure::Other(error.to_string())),
                }
            }
            Target::Ssh { destination, port } => {
                let stream_port = stream_port.unwrap_or(PORT);
                let ssh = Ssh::open(destination, *port, stream_port, clock);
                let link =
                    ssh.map_err(|error| Failure::Other(format!("cannot run ssh: {error}")))?;
                Ok(Box::new(link))
            }
        }
    }
}

/// A stream through `ssh -W`: ssh's own stdin and stdout are the connection.
struct Ssh {
    name: String,
    child: Child,
    stdin: ChildStdin,
    pipe: Pipe,
    clock: Clock,
}

impl Ssh {
    fn open(
        destination: &str,
        port: Option<u16>,
        stream_port: u16,
        clock: Clock,
    ) -> io::Result<Ssh> {
        let mut command = Command::new("ssh");
        command.args(["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5"]);
        command.args(["-o", "ServerAliveCountMax=3", "-W"]).arg(format!("127.0.0.1:{stream_port}"));
        if let Some(port) = port {
            command.arg("-p").arg(port.to_string());
        }
        // What ssh has to say, and a password that it asks for, are the user's and its own business.
        let mut child = command
            .arg("--")
            .arg(destination)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let name = format!("ssh://{destination}");
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let pipe = Pipe::new(name.clone(), stdout, clock)?;
        Ok(Ssh { name, child, stdin, pipe, clock })
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Hear for Ssh {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        self.pipe.read(buf, timeout)
    }
}

impl Link for Ssh {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let sent = self.stdin.write_all(bytes).and_then(|()| self.stdin.flush());
        sent.map_err(|_| LinkError::Gone { name: self.name.clone() })?;
        Ok(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_every_spelling() {
        let tcp = |host: &str, port| Ok(Target::Tcp { host: host.to_owned(), port });
        let ssh = |to: &str, port| Ok(Target::Ssh { destination: to.to_owned(), port });
        assert_eq!("k2.local".parse(), tcp("k2.local", None));
        assert_eq!("10.0.0.7:9000".parse(), tcp("10.0.0.7", Some(9000)));
        assert_eq!("[fe80::1%eth0]:9000".parse(), tcp("fe80::1%eth0", Some(9000)));
        assert_eq!("::1".parse(), tcp("::1", None));
        assert_eq!("ssh://root@k2".parse(), ssh("root@k2", None));
        assert_eq!("ssh://k2:2222/".parse(), ssh("k2", Some(2222)));
        for wrong in ["", "k2:0", "k2:x", "-oProxyCommand=x", "ssh://-x", "ssh://a b@c", "root@k2"]
        {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
        let name = |text: &str| text.parse::<Target>().unwrap().name(Some(1234));
        assert_eq!([name("k2"), name("::1"), name("k2:9")], ["k2:1234", "[::1]:1234", "k2:9"]);
    }
}
