//! `-w`: what is heard, kept in files.

use std::path::PathBuf;

use k485_link::Clock;
use k485_proto::exchange::Seen;
use k485_proto::record::Time;
use k485_sniffer::format::pcapng;
use k485_sniffer::format::write::Item;
use k485_sniffer::keep::{self, Keeper, Rotation};
use k485_sniffer::trigger::{Out, Trigger};

use crate::length::{Limit, Size};

/// What an item takes in memory beside its bytes, about.
const ITEM: usize = 512;

/// What is kept, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keeping")]
pub(crate) struct KeepArgs {
    /// Write all that is heard to this file: pcapng, or the format of the name's end (.log, .jsonl,
    /// .hex, .raw)
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Begin a new file at this size (100M) or after this time (1h); may be given twice, for both
    #[arg(long, value_name = "SIZE|TIME", requires = "write")]
    rotate: Vec<Limit>,
    /// Keep only so many files, the newest
    #[arg(long, value_name = "N", requires = "rotate", value_parser = clap::value_parser!(u32).range(1..))]
    ring: Option<u32>,
    /// Stop writing (with --ring: delete the oldest file) before less than this is free on the disk
    #[arg(long, value_name = "SIZE", requires = "write")]
    min_free: Option<Size>,
    /// Have it on the disk once a second, for machines that may lose power
    #[arg(long, requires = "write")]
    sync: bool,
}

impl KeepArgs {
    /// Begins the capture, if there is to be one: what cannot be written fails before anything is
    /// heard. With a trigger only what it lets out is written.
    pub(super) fn begin(
        &self,
        baud: Option<u32>,
        trigger: Option<Trigger<Item>>,
        clock: Clock,
    ) -> Result<Option<Keeping>, keep::KeepError> {
        let Some(path) = &self.write else { return Ok(None) };
        let mut rotation = Rotation::default();
        for limit in &self.rotate {
            match *limit {
                Limit::Size(size) => rotation.size = Some(size),
                Limit::Time(nanos) => rotation.every = Some(nanos),
            }
        }
        let program = concat!("k485 ", env!("CARGO_PKG_VERSION")).to_owned();
        let options = keep::Options {
            path: path.clone(),
            format: None,
            rotation,
            ring: self.ring.and_then(|ring| usize::try_from(ring).ok()),
            min_free: self.min_free.map_or(0, |Size(size)| size),
            sync: self.sync,
            about: pcapng::Options { baud, program },
        };
        let keeper = Keeper::create(options, clock.now())?;
        Ok(Some(Keeping { keeper, trigger, clock }))
    }
}

/// A capture that is being kept.
pub(super) struct Keeping {
    keeper: Keeper,
    trigger: Option<Trigger<Item>>,
    clock: Clock,
}

impl Keeping {
    /// Takes what was seen; `matches` if it is what the trigger waits for.
    pub(super) fn seen(&mut self, seen: &Seen, matches: bool) {
        let now = self.clock.now();
        let item = match seen {
            Seen::Frame(frame) => Some(Item::Frame(frame.clone())),
            Seen::Noise(record) => Some(Item::Noise(record.clone())),
            Seen::Gap(record) => Some(Item::Gap(record.clone())),
            // Its frames were seen one by one.
            Seen::Exchange(_) | Seen::Lone(_) => None,
        };
        let Some(trigger) = &mut self.trigger else {
            if let Some(item) = item {
                self.keeper.write(&item, now);
            }
            return;
        };
        if let Some(item) = item {
            trigger.push(now, ITEM + 2 * item.record().bytes.len(), item);
        }
        if matches {
            trigger.fire(now);
        }
        self.let_out(now);
    }

    /// Tells the time.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        if let Some(trigger) = &mut self.trigger {
            trigger.tick(now);
            self.let_out(now);
        }
        self.keeper.tick(now);
    }

    fn let_out(&mut self, now: Time) {
        let Some(trigger) = &mut self.trigger else { return };
        while let Some(out) = trigger.pull() {
            // Where a stretch begins and ends the times of the records tell.
            if let Out::Item(item) = out {
                self.keeper.write(&item, now);
            }
        }
    }

    /// How it stands: how much is in files.
    pub(super) fn status(&self) -> String {
        format!("written: {}", self.keeper.summary())
    }

    /// What there is to say, one thing a call.
    pub(super) fn event(&mut self) -> Option<String> {
        self.keeper.event().map(|event| event.to_string())
    }

    /// Ends the capture: what to say, and whether everything was kept.
    pub(super) fn finish(mut self) -> (Vec<String>, bool) {
        let format = self.keeper.format();
        let summary = self.keeper.finish(self.clock.now()).clone();
        let mut said: Vec<String> = std::iter::from_fn(|| self.event()).collect();
        if !summary.losses.is_empty() {
            said.push(format!(
                "{} cannot hold everything; not kept: {}",
                format.name(),
                summary.losses
            ));
        }
        said.push(format!("written: {summary}"));
        (said, summary.is_complete())
    }
}
