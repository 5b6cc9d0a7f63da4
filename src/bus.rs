//! What a port word means: the link that it names.

use k485_link::{Clock, Link, Options, Pty, Serial, Tcp};

/// Opens a port to take part on the bus: a path, `tcp:HOST:PORT`, `pty:PATH`.
pub(crate) fn speak(word: &str, baud: u32, clock: Clock) -> anyhow::Result<Box<dyn Link>> {
    if let Some(link) = word.strip_prefix("pty:") {
        return Ok(Box::new(Pty::with_link(link)?.timed_by(clock)));
    }
    if let Some(to) = word.strip_prefix("tcp:") {
        return Ok(Box::new(Tcp::connect(to, clock)?));
    }
    let options = Options { baud, ..Options::default() };
    Ok(Box::new(Serial::open(word, &options, clock)?))
}
