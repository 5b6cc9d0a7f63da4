//! Port words: what the command line calls a bus, and the link behind it.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use k485_link::{
    Clock, Controls, Hear, Link, Listener, Pipe, Played, Pty, Rs485, Serial, Step, Tcp,
};
use k485_proto::record::Verdict;
use k485_sniffer::capture::Reading;

use crate::complaints::{Complaints, say};
use crate::emulate::embedded;
use crate::formats::{self, From};
use crate::input::printable;
use crate::progress::Progress;
use crate::source::{Kind, Source};

/// The kinds of port words, for messages.
const KINDS: &str = "a path (/dev/ttyUSB0), tcp:HOST:PORT, pty:PATH, file:PATH, emu: or - (stdin)";

/// A bus as the command line names it: `[NAME=]WORD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortWord {
    /// The word as given, without the name.
    word: String,
    name: Option<String>,
    place: Place,
}

/// Where a word leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A serial port or pseudo-terminal; or a capture, if a file is there when it is opened.
    Path(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
    /// Bytes of a wire.
    Stdin,
    /// A capture.
    File(PathBuf),
    /// A pseudo-terminal of our own, and the link file to its other end.
    Pty(PathBuf),
    /// An emulated bus inside the process, with a host on it; and its scene, where there is one.
    Emulated(Option<PathBuf>),
}

impl PortWord {
    /// The bus's name in records and on the screen: the one given, or else the word.
    pub(crate) fn bus(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.word)
    }

    /// Whether what is sent there can reach hardware. Told before anything is opened.
    pub(crate) fn reality(&self) -> Reality {
        match self.place {
            Place::Pty(_) | Place::Emulated(_) => Reality::Own,
            Place::Path(_) | Place::Tcp(_) | Place::Stdin | Place::File(_) => Reality::Real,
        }
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

impl FromStr for PortWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, word) = match text.split_once('=') {
            Some(("", _)) => return Err("the name before = is missing".to_owned()),
            // Else the = belongs to a path.
            Some((name, word)) if is_word(name) => (Some(name.to_owned()), word),
            _ => (None, text),
        };
        let (kind, rest) = match word.split_once(':') {
            Some((kind, rest)) if is_word(kind) => (kind, rest),
            _ => ("", word),
        };
        let path = |place: fn(PathBuf) -> Place| match rest {
            "" => Err(format!("the path is missing: {kind}:PATH")),
            rest => Ok(place(PathBuf::from(rest))),
        };
        let place = match kind {
            "" if word.is_empty() => return Err(format!("the port is missing: {KINDS}")),
            "" if word == "-" => Place::Stdin,
            "" => Place::Path(PathBuf::from(word)),
            "tcp" => {
                Tcp::check_address(rest).map_err(|error| error.to_string())?;
                Place::Tcp(rest.to_owned())
            }
            "pty" => path(Place::Pty)?,
            "file" => path(Place::File)?,
            "emu" => Place::Emulated((!rest.is_empty()).then(|| PathBuf::from(rest))),
            _ if Path::new(word).exists() => Place::Path(PathBuf::from(word)),
            _ => return Err(format!("no kind of port is called {kind}: {KINDS}")),
        };
        Ok(PortWord { word: word.to_owned(), name, place })
    }
}

/// Whether it can be a name, or a kind of port: a path's `/` and `.` are in neither.
fn is_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().all(inner)
}

/// How ports are opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// How a serial port is set.
    pub(crate) line: k485_link::Options,
    /// How many times as fast as its own times a capture is played; as fast as it is read without.
    pub(crate) pace: Option<f64>,
    /// A capture's format, where it is not to be told by its content.
    pub(crate) from: Option<From>,
}

/// What the command line says of how ports are opened.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Port")]
pub(crate) struct LineArgs {
    /// Play a capture at its own times, or so many times as fast
    #[arg(long, value_name = "SPEED", num_args = 0..=1, require_equals = true,
          default_missing_value = "1", value_parser = speed)]
    pace: Option<f64>,
    /// The format of a capture that is played
    #[arg(long, value_name = "FORMAT")]
    from: Option<From>,
    #[command(flatten)]
    serial: SerialArgs,
}

/// What the command line says of how serial ports are set.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Port")]
pub(crate) struct SerialArgs {
    /// Leave the driver's latency as it is (by default it is asked to hand over bytes at once)
    #[arg(long)]
    keep_latency: bool,
    /// Have the driver switch the transmitter by RTS, with so many milliseconds before and after
    /// what is sent. Untested on hardware
    #[arg(long, value_name = "BEFORE,AFTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "0,0", value_parser = delays)]
    rs485: Option<Rs485>,
}

impl LineArgs {
    /// The options for ports of this speed.
    pub(crate) fn options(&self, baud: u32) -> Options {
        Options { pace: self.pace, from: self.from, ..self.serial.options(baud) }
    }
}

impl SerialArgs {
    /// The options for ports of this speed.
    pub(crate) fn options(&self, baud: u32) -> Options {
        let line = k485_link::Options { baud, low_latency: !self.keep_latency, rs485: self.rs485 };
        Options { line, ..Options::default() }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.001..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("write how many times as fast, from 0.001 to 1000: --pace=2".to_owned()),
    }
}

fn delays(text: &str) -> Result<Rs485, String> {
    // More is a typing error: a box answers within milliseconds.
    let delay = |text: &str| text.trim().parse().ok().filter(|&ms| ms <= 100);
    let both = text.split_once(',').map(|(before, after)| (delay(before), delay(after)));
    match both {
        Some((Some(before), Some(after))) => {
            Ok(Rs485 { before: Duration::from_millis(before), after: Duration::from_millis(after) })
        }
        _ => Err("write two times in milliseconds, at most 100 each: --rs485=1,1".to_owned()),
    }
}

/// A port that is listened to.
pub(crate) struct Opened {
    /// The port. It cannot speak.
    pub(crate) hear: Box<dyn Hear>,
    /// What was opened, for people.
    what: String,
    /// How a serial port was opened.
    how: Option<&'static str>,
    /// What else the user should know.
    pub(crate) warning: Option<String>,
}

impl Opened {
    fn new(hear: impl Hear + 'static, what: String) -> Opened {
        Opened { hear: Box::new(hear), what, how: None, warning: None }
    }

    /// What was opened and how, for people: `/dev/ttyUSB0 at 230400 baud, read-only, …`.
    pub(crate) fn told(&self) -> String {
        match (self.how, self.hear.baud()) {
            (Some(how), Some(baud)) => format!("{} at {baud} baud, read-only, {how}", self.what),
            _ => self.what.clone(),
        }
    }
}

/// Opens a port to listen.
pub(crate) fn listen(word: &PortWord, options: &Options, clock: Clock) -> anyhow::Result<Opened> {
    match &word.place {
        Place::File(path) => play(path, options, clock),
        Place::Path(path) if is_file(path) => play(path, options, clock),
        Place::Path(path) => {
            let port = Listener::with(path, &options.line, clock)?;
            let how = Some(controls(port.controls()));
            let warning = port.echo_window().map(|window| echoed(path, window));
            Ok(Opened { how, warning, ..Opened::new(port, path.display().to_string()) })
        }
        Place::Tcp(address) => {
            let link = Tcp::connect(address, clock)?;
            let what = format!("{}, whose speed is the other side's", link.name());
            Ok(Opened::new(link, what))
        }
        Place::Stdin => {
            let pipe = Pipe::stdin(clock).context("stdin")?;
            Ok(Opened::new(pipe, "stdin, as bytes of a wire".to_owned()))
        }
        Place::Pty(link) => {
            let pty = Pty::with_link(link)?.timed_by(clock);
            let what = format!("{}, a pseudo-terminal of our own", link.display());
            Ok(Opened::new(pty, what))
        }
        Place::Emulated(scene) => {
            let (tap, what) = embedded::start(scene.as_deref(), clock)?;
            Ok(Opened::new(tap, what))
        }
    }
}

/// Whether what is sent can reach hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reality {
    /// This process made the line itself: a pseudo-terminal of its own.
    Own,
    /// A serial port, a pseudo-terminal of somebody else, a network: a printer may be behind it.
    Real,
}

/// Opens a port to speak.
pub(crate) fn speak(
    word: &PortWord,
    options: &Options,
    clock: Clock,
) -> anyhow::Result<Box<dyn Link>> {
    match &word.place {
        Place::Path(path) if !is_file(path) => {
            let port = Serial::open(path, &options.line, clock)?;
            if let Some(window) = port.echo_window() {
                say(&echoed(path, window));
            }
            Ok(Box::new(port))
        }
        Place::Tcp(address) => Ok(Box::new(Tcp::connect(address, clock)?)),
        Place::Pty(link) => Ok(Box::new(Pty::with_link(link)?.timed_by(clock))),
        Place::Path(path) | Place::File(path) => {
            bail!("{}: nothing can be sent to a file; give a port", printable(path))
        }
        Place::Emulated(_) => {
            bail!("emu: has a host of its own; run `k485 emulate`, and send there")
        }
        Place::Stdin => bail!("nothing can be sent to stdin; give a port"),
    }
}

fn controls(controls: Controls) -> &'static str {
    match controls {
        Controls::Set => "RTS and DTR at the receive level",
        Controls::NotSupported => "no RTS and DTR here",
    }
}

fn echoed(port: &Path, window: Duration) -> String {
    format!(
        "{} was found echoing, as a fresh port is, and was for up to {} us after it was opened: a \
         byte heard in that time may have gone back onto the bus. It does not echo any more, at \
         this or a later opening",
        port.display(),
        window.as_micros()
    )
}

/// Opens a capture to be heard as a bus.
fn play(path: &Path, options: &Options, clock: Clock) -> anyhow::Result<Opened> {
    let source = Source { path: path.to_owned(), kind: Kind::File };
    let reading = formats::open(&source, options.from, &Progress::none())?;
    let name = printable(path);
    let played = Played::new(name.clone(), Steps::of(reading), options.line.baud, clock);
    Ok(match options.pace {
        Some(1.0) => Opened::new(played.paced(1.0), format!("{name}, played at its own times")),
        Some(speed) => {
            let what = format!("{name}, played {speed} times as fast as it was");
            Opened::new(played.paced(speed), what)
        }
        None => Opened::new(played, format!("{name}, a capture, as fast as it is read")),
    })
}

/// The records of a capture as steps. All its buses are one, and directions are worked out anew.
struct Steps {
    reading: Reading,
    complaints: Complaints,
}

impl Steps {
    fn of(reading: Reading) -> Steps {
        Steps { reading, complaints: Complaints::new(false) }
    }
}

impl Iterator for Steps {
    type Item = io::Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reading.next() {
                Some(Ok(record)) => {
                    let bytes = match record.verdict {
                        Verdict::Frame => record.wire().map(Cow::into_owned),
                        Verdict::Noise(_) => Some(record.bytes),
                        Verdict::Gap(_) | Verdict::NoReply => None,
                    };
                    if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                        return Some(Ok(Step { at: record.time, bytes }));
                    }
                }
                Some(Err(complaint)) => {
                    if let Err(fatal) = self.complaints.tell(&complaint, say) {
                        return Some(Err(io::Error::other(format!("{fatal:#}"))));
                    }
                }
                None => {
                    self.complaints.finish(say);
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
