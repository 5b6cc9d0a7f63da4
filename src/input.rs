//! What every command that reads captures has in common: which inputs, in which format, and what
//! is said about places that cannot be read.

use std::path::{Path, PathBuf};

use anyhow::bail;
use k485_proto::exchange::{Pairer, Seen};
use k485_sniffer::capture::Reading;
use k485_sniffer::format::hex::read_hex_text;

use crate::formats::{self, From};

/// How many skipped places are told one by one.
const COMPLAINTS: u64 = 20;

/// Which captures to read, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InputArgs {
    /// Captures; `-` is stdin, a folder is read as traces
    #[arg(value_name = "FILE", required_unless_present = "hex")]
    pub(crate) files: Vec<PathBuf>,
    /// Frames as hex text, instead of a file
    #[arg(long, value_name = "HEX", conflicts_with_all = ["files", "from"])]
    hex: Vec<String>,
    /// The format, instead of detecting it
    #[arg(long)]
    from: Option<From>,
}

/// Who is given what the inputs hold.
pub(crate) trait Sink {
    /// The next input begins; told only where there are several.
    fn heading(&mut self, name: &str) -> anyhow::Result<()>;
    /// A frame, an exchange or noise.
    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()>;
    /// Something is about to be said on stderr: what was shown so far goes out first.
    fn flush(&mut self) -> anyhow::Result<()>;
}

impl InputArgs {
    /// Gives everything that the inputs hold to the sink, one input after the other. Returns how
    /// many places were skipped; each of the first was told on stderr.
    pub(crate) fn read(&self, sink: &mut dyn Sink) -> anyhow::Result<u64> {
        let mut reader = Reader { sink, records: 0, complaints: 0 };
        for text in &self.hex {
            reader.read(read_hex_text("--hex", text))?;
        }
        for file in &self.files {
            let reading = formats::open(file, self.from)?;
            if self.files.len() > 1 {
                reader.sink.heading(&file.display().to_string())?;
            }
            reader.read(reading)?;
        }
        reader.sink.flush()?;
        if reader.complaints > COMPLAINTS {
            eprintln!("k485: {} places of the input were skipped", reader.complaints);
        }
        if reader.records == 0 {
            let above = if reader.complaints > 0 { ", see above" } else { "" };
            bail!("no frame and no byte found{above}");
        }
        Ok(reader.complaints)
    }

    /// Refuses an output that is one of the inputs: it would be gone before its first byte is read.
    pub(crate) fn refuse_output(&self, output: &Path) -> anyhow::Result<()> {
        match self.files.iter().find(|file| same_file(file, output)) {
            Some(file) => bail!("{} is both input and output", file.display()),
            None => Ok(()),
        }
    }
}

/// Whether two paths name one existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

struct Reader<'a> {
    sink: &'a mut dyn Sink,
    records: u64,
    complaints: u64,
}

impl Reader<'_> {
    fn read(&mut self, reading: Reading) -> anyhow::Result<()> {
        let mut pairer = Pairer::new();
        for item in reading {
            match item {
                Ok(record) => {
                    self.records += 1;
                    pairer.push(record);
                }
                Err(complaint) if complaint.fatal => {
                    self.sink.flush()?;
                    bail!("{complaint}");
                }
                Err(complaint) => {
                    self.complaints += 1;
                    self.sink.flush()?;
                    match self.complaints {
                        ..COMPLAINTS => eprintln!("k485: {complaint}"),
                        COMPLAINTS => eprintln!("k485: {complaint}; what follows is only counted"),
                        _ => {}
                    }
                }
            }
            pull(&mut pairer, self.sink)?;
        }
        pairer.finish();
        pull(&mut pairer, self.sink)
    }
}

/// Gives what the pairer has to the sink.
pub(crate) fn pull(pairer: &mut Pairer, sink: &mut dyn Sink) -> anyhow::Result<()> {
    while let Some(seen) = pairer.pull() {
        sink.seen(&seen)?;
    }
    Ok(())
}
