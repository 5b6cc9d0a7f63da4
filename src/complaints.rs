//! What is said about places of an input that cannot be read.

use anyhow::bail;
use k485_proto::record::Complaint;

/// How many are told one by one.
const TOLD: u64 = 20;

/// Tells of places that cannot be read, and counts them.
#[derive(Debug)]
pub(crate) struct Complaints {
    strict: bool,
    count: u64,
}

impl Complaints {
    /// With `strict` the first one is an error.
    pub(crate) fn new(strict: bool) -> Self {
        Complaints { strict, count: 0 }
    }

    /// Tells of one by `say`, or fails where nothing is read behind it.
    pub(crate) fn tell(&mut self, complaint: &Complaint, say: impl Fn(&str)) -> anyhow::Result<()> {
        if complaint.fatal || self.strict {
            bail!("{complaint}");
        }
        self.count += 1;
        match self.count {
            ..TOLD => say(&complaint.to_string()),
            TOLD => say(&format!("{complaint}; what follows is only counted")),
            _ => {}
        }
        Ok(())
    }

    /// Tells how many there were, where they were not told one by one; gives that number.
    pub(crate) fn finish(&self, say: impl Fn(&str)) -> u64 {
        if self.count > TOLD {
            say(&format!("{} places of the input were skipped", self.count));
        }
        self.count
    }

    /// Fails where not a single record was read.
    pub(crate) fn nothing_found(&self) -> anyhow::Error {
        let above = if self.count > 0 { ", see above" } else { "" };
        anyhow::anyhow!("no frame and no byte found{above}")
    }
}

/// Says it on stderr.
pub(crate) fn say(what: &str) {
    eprintln!("k485: {what}");
}
