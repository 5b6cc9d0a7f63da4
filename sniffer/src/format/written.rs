//! The formats that captures are written in, by name.

use std::io::Write;
use std::path::Path;

use crate::format::compressed::Packing;
use crate::format::write::CaptureWriter;
use crate::format::{hex, interceptty, jsonl, log, pcapng, raw};

/// A format that captures are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Written {
    /// Hex text, a span a line, with times (`.hex`).
    Hex,
    /// The bytes of the wire (`.raw`, `.bin`).
    Raw,
    /// As interceptty dumps (`.interceptty`).
    Interceptty,
    /// A span a line, in the manner of candump (`.log`).
    Log,
    /// k485's JSON lines (`.jsonl`).
    Jsonl,
    /// Packets, for Wireshark (`.pcapng`).
    Pcapng,
}

impl Written {
    /// Every one of them.
    pub const ALL: [Written; 6] = [
        Written::Hex,
        Written::Raw,
        Written::Interceptty,
        Written::Log,
        Written::Jsonl,
        Written::Pcapng,
    ];

    /// Its name, one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Written::Hex => "hex",
            Written::Raw => "raw",
            Written::Interceptty => "interceptty",
            Written::Log => "log",
            Written::Jsonl => "jsonl",
            Written::Pcapng => "pcapng",
        }
    }

    /// The format that a file name's end says, before that of a packing.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Written> {
        let name = match Packing::of_name(path) {
            Some(_) => Path::new(path.file_stem()?),
            None => path,
        };
        match name.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "bin" => Some(Written::Raw),
            end => Written::ALL.into_iter().find(|format| format.name() == end),
        }
    }

    /// Whether it is no text.
    #[must_use]
    pub fn is_binary(self) -> bool {
        matches!(self, Written::Raw | Written::Pcapng)
    }

    /// A writer of this format. What `about` says, only pcapng has a place for.
    pub fn writer<'a>(
        self,
        out: impl Write + Send + 'a,
        about: pcapng::Options,
    ) -> Box<dyn CaptureWriter + Send + 'a> {
        match self {
            Written::Hex => Box::new(hex::Writer::new(out)),
            Written::Raw => Box::new(raw::Writer::new(out)),
            Written::Interceptty => Box::new(interceptty::Writer::new(out)),
            Written::Log => Box::new(log::Writer::new(out)),
            Written::Jsonl => Box::new(jsonl::Writer::new(out)),
            Written::Pcapng => Box::new(pcapng::Writer::new(out, about)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_a_names_end() {
        for (name, format) in [
            ("a.pcapng", Some(Written::Pcapng)),
            ("a.b/c.LOG.zst", Some(Written::Log)),
            ("a.bin", Some(Written::Raw)),
            ("a.raw.gz", Some(Written::Raw)),
            ("a.txt", None),
            ("log", None),
            (".gz", None),
        ] {
            assert_eq!(Written::of_name(Path::new(name)), format, "{name}");
        }
    }
}
