//! How a fact about the bus is known.

use core::fmt;

/// Where a fact comes from. Every table of this crate says so, entry by entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum Evidence {
    /// Seen in captures of a real bus.
    Wire,
    /// Read in, or observed of, the box firmware.
    Firmware,
    /// Observed of, or read in, the vendor's live host.
    Host,
    /// Only a document says so.
    Document,
    /// Reasoned from facts of the other kinds.
    Inferred,
}

impl Evidence {
    /// All of them, the strongest first.
    pub const ALL: [Evidence; 5] = [
        Evidence::Wire,
        Evidence::Firmware,
        Evidence::Host,
        Evidence::Document,
        Evidence::Inferred,
    ];

    /// One lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Wire => "wire",
            Evidence::Firmware => "firmware",
            Evidence::Host => "host",
            Evidence::Document => "document",
            Evidence::Inferred => "inferred",
        }
    }

    /// What the word stands for, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Evidence::Wire => "seen in captures of a real bus",
            Evidence::Firmware => "read in, or observed of, the box firmware 1.1.3",
            Evidence::Host => "observed of, or read in, the vendor's live host",
            Evidence::Document => "a document says so and nothing else",
            Evidence::Inferred => "reasoned from other facts, not seen",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn serializes_as_its_name() {
        for evidence in Evidence::ALL {
            let json = serde_json::to_string(&evidence).unwrap();
            assert_eq!(json, format!("\"{}\"", evidence.name()));
            assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), evidence);
        }
    }
}
