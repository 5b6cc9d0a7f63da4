//! The flushes of a trace as a report: for people and as JSON.

use std::io::{self, Write};

use k485_proto::material::{Colour, MaterialCode};
use k485_proto::record::Time;
use k485_proto::slot::Slot;
use k485_trace::flush::fit::{self, Errors, Fitted, Model, Point};
use k485_trace::flush::{Flushes, Pair, Sample, volume};
use serde::Serialize;

use crate::table::Table;

/// A model is chosen where so many pairs at least were held out.
const JUDGED: usize = 3;

/// What a trace tells of flushes.
#[derive(Serialize)]
pub(super) struct Report {
    pairs: Vec<Row>,
    spools: Vec<SpoolRow>,
    models: Vec<ModelRow>,
    /// The model with the least error over held-out pairs.
    best: Option<&'static str>,
    volumes: VolumeRow,
    /// Lengths whose call is not in the trace.
    without_call: u64,
    /// Lengths that were left out since there were too many.
    crowded_out: u64,
}

/// A pair, with what was seen of it. Its lengths are those of the same colours and material.
#[derive(Serialize)]
struct Row {
    prev: Option<String>,
    next: String,
    /// How often it was seen.
    count: usize,
    /// The mean, in mm.
    length_mm: f64,
    shortest_mm: f64,
    longest_mm: f64,
    prev_colour: Option<Colour>,
    next_colour: Option<Colour>,
    prev_material: Option<String>,
    next_material: Option<String>,
    /// The speed that goes with the material, in mm/min.
    speed: Option<f64>,
    /// The means, in seconds.
    flush_s: Option<f64>,
    change_s: Option<f64>,
    /// What the host's own function gives for the colours, in mm.
    host_mm: Option<f64>,
    #[serde(skip)]
    pair: Pair,
}

#[derive(Serialize)]
struct SpoolRow {
    slot: String,
    colour: Option<Colour>,
    material: Option<String>,
}

#[derive(Serialize)]
struct ModelRow {
    model: &'static str,
    pairs: usize,
    /// The factor on the host's volume, or the one length.
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    own: Option<ErrorRow>,
    held_out: Option<ErrorRow>,
}

#[derive(Serialize)]
struct ErrorRow {
    pairs: usize,
    mean_mm: f64,
    most_mm: f64,
}

/// Volumes that the host told, against its function as it is known here.
#[derive(Serialize)]
struct VolumeRow {
    told: u64,
    equal: u64,
}

impl Report {
    pub(super) fn of(flushes: &Flushes) -> Report {
        let pairs = rows(flushes);
        let points: Vec<Point> = pairs
            .iter()
            .map(|row| Point {
                pair: row.pair,
                colours: row.prev_colour.zip(row.next_colour),
                length: row.length_mm,
            })
            .collect();
        let fitted = Model::ALL.map(|model| model.fit(&points));
        let best = fit::best(&fitted, JUDGED).map(|fitted| fitted.model.name());
        let spools = flushes.spools().known().map(|(slot, spool)| SpoolRow {
            slot: slot.to_string(),
            colour: spool.colour,
            material: spool.material.map(|code| code.to_string()),
        });
        let volumes = flushes.volumes();
        Report {
            spools: spools.collect(),
            models: fitted.iter().map(ModelRow::of).collect(),
            best,
            volumes: VolumeRow { told: volumes.told, equal: volumes.equal },
            without_call: flushes.without_call(),
            crowded_out: flushes.crowded_out(),
            pairs,
        }
    }

    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.volumes.told == 0
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.pairs.is_empty() {
            writeln!(out, "Flushes")?;
            self.table().write(out, 2)?;
        }
        self.matrix(out)?;
        if !self.spools.is_empty() {
            writeln!(out, "\nSpools")?;
            let mut table = Table::new(&["<slot", "<colour", "<material"]);
            for spool in &self.spools {
                let material = spool.material.clone().unwrap_or_default();
                table.row([spool.slot.clone(), shown(spool.colour), material]);
            }
            table.write(out, 2)?;
        }
        self.models(out)?;
        self.notes(out)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            "<from",
            "<to",
            "times",
            "length mm",
            "spread",
            "host mm",
            "<colours",
            "<material",
            "mm/min",
            "flush s",
            "change s",
        ]);
        for row in &self.pairs {
            let number = |value: Option<f64>| value.map(|v| format!("{v:.2}")).unwrap_or_default();
            let spread = row.longest_mm - row.shortest_mm;
            let colours = match (row.prev_colour, row.next_colour) {
                (None, None) => String::new(),
                (prev, next) => format!("{} > {}", shown(prev), shown(next)),
            };
            table.row([
                row.prev.clone().unwrap_or_else(|| "none".to_owned()),
                row.next.clone(),
                row.count.to_string(),
                format!("{:.2}", row.length_mm),
                if spread > 0.0 { format!("{spread:.2}") } else { String::new() },
                number(row.host_mm),
                colours,
                row.next_material.clone().unwrap_or_default(),
                row.speed.map(|speed| format!("{speed:.0}")).unwrap_or_default(),
                number(row.flush_s),
                number(row.change_s),
            ]);
        }
        table
    }

    /// Lengths from what (down) to what (across), where that is more than a line.
    fn matrix(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut prevs: Vec<Option<Slot>> = self.pairs.iter().map(|row| row.pair.prev).collect();
        let mut nexts: Vec<Slot> = self.pairs.iter().map(|row| row.pair.next).collect();
        prevs.sort_unstable();
        prevs.dedup();
        nexts.sort_unstable();
        nexts.dedup();
        if prevs.len() < 2 || nexts.len() < 2 {
            return Ok(());
        }
        write!(out, "\nLengths in mm, from (down) to (across)\n      ")?;
        for next in &nexts {
            write!(out, "{next:>7}")?;
        }
        writeln!(out)?;
        for prev in prevs {
            let mut line = prev.map_or("  none".to_owned(), |prev| format!("  {prev:<4}"));
            for next in &nexts {
                let is = |row: &&Row| row.pair == Pair { prev, next: *next };
                // Where a spool was changed, that seen last.
                line += &match self.pairs.iter().rfind(is) {
                    Some(row) => format!("{:>7.1}", row.length_mm),
                    None => format!("{:>7}", "-"),
                };
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn models(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nModels (errors in mm)")?;
        let mut table = Table::new(&[
            "<model",
            "pairs",
            "factor",
            "mean error",
            "largest",
            "held out",
            "mean error",
            "largest",
            "<",
        ]);
        for row in &self.models {
            let error = |error: &Option<ErrorRow>| match error {
                Some(row) => [row.pairs.to_string(), places(row.mean_mm), places(row.most_mm)],
                None => ["0".to_owned(), "-".to_owned(), "-".to_owned()],
            };
            let [_, own, own_most] = error(&row.own);
            let [held_out, held, held_most] = error(&row.held_out);
            let mark = if self.best == Some(row.model) { "the best" } else { "" };
            table.row([
                row.model.to_owned(),
                row.pairs.to_string(),
                row.factor.map(|factor| format!("{factor:.3}")).unwrap_or_default(),
                own,
                own_most,
                held_out,
                held,
                held_most,
                mark.to_owned(),
            ]);
        }
        table.write(out, 2)
    }

    fn notes(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut notes = Vec::new();
        if !self.pairs.is_empty() && self.best.is_none() {
            notes.push(format!(
                "no model is chosen: fewer than {JUDGED} pairs could be foretold from others"
            ));
        }
        let colours = self.pairs.iter().filter(|row| row.host_mm.is_some()).count();
        if colours < self.pairs.len() {
            notes.push(format!(
                "of {} of {} pairs not both colours are known (a first load has none before): \
                 --spool tells a slot's",
                self.pairs.len() - colours,
                self.pairs.len()
            ));
        }
        let VolumeRow { told, equal } = self.volumes;
        if told > 0 {
            notes
                .push(format!("{equal} of {told} volumes that the host told are as computed here"));
        }
        if self.without_call > 0 {
            notes.push(format!(
                "{} lengths began before the trace: between which slots is not known",
                self.without_call
            ));
        }
        if self.crowded_out > 0 {
            notes.push(format!("{} lengths were too many and left out", self.crowded_out));
        }
        if !notes.is_empty() {
            writeln!(out, "\nNotes")?;
        }
        notes.iter().try_for_each(|note| writeln!(out, "  {note}"))
    }
}

impl ModelRow {
    fn of(fitted: &Fitted) -> ModelRow {
        let errors = |errors: Errors| ErrorRow {
            pairs: errors.points,
            mean_mm: errors.mean,
            most_mm: errors.most,
        };
        ModelRow {
            model: fitted.model.name(),
            pairs: fitted.points,
            factor: fitted.factor,
            own: fitted.own.map(errors),
            held_out: fitted.held_out.map(errors),
        }
    }
}

fn shown(colour: Option<Colour>) -> String {
    // Without the zero that the host writes before it.
    colour.map_or("?".to_owned(), |colour| colour.to_string().split_off(1))
}

fn places(value: f64) -> String {
    format!("{value:.2}")
}

/// The samples of each pair with its colours and material in one row, by pair.
fn rows(flushes: &Flushes) -> Vec<Row> {
    type Key = (Pair, Option<Colour>, Option<Colour>, Option<MaterialCode>);
    let mut groups: std::collections::BTreeMap<Key, Vec<&Sample>> = Default::default();
    let spools = flushes.spools();
    for sample in flushes.samples() {
        let Pair { prev, next } = sample.pair;
        let colour = |slot: Slot| spools.at(slot, sample.time).colour;
        groups
            .entry((sample.pair, prev.and_then(colour), colour(next), sample.material))
            .or_default()
            .push(sample);
    }
    groups
        .into_iter()
        .map(|((pair, prev_colour, next_colour, asked), samples)| {
            let lengths = || samples.iter().map(|sample| sample.length);
            let seconds = |of: fn(&Sample) -> Option<i64>| {
                let all: Vec<f64> = samples
                    .iter()
                    .filter_map(|sample| Some(of(sample)? as f64 / Time::SECOND as f64))
                    .collect();
                (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
            };
            let last = samples[samples.len() - 1];
            let material = |slot: Slot| spools.at(slot, last.time).material;
            Row {
                prev: pair.prev.map(|slot| slot.to_string()),
                next: pair.next.to_string(),
                count: samples.len(),
                length_mm: lengths().sum::<f64>() / samples.len() as f64,
                shortest_mm: lengths().fold(f64::INFINITY, f64::min),
                longest_mm: lengths().fold(f64::NEG_INFINITY, f64::max),
                prev_colour,
                next_colour,
                prev_material: pair.prev.and_then(material).map(|code| code.to_string()),
                next_material: asked.or(material(pair.next)).map(|code| code.to_string()),
                speed: samples.iter().rev().find_map(|sample| sample.speed),
                flush_s: seconds(|sample| sample.flush),
                change_s: seconds(|sample| sample.change),
                host_mm: prev_colour.zip(next_colour).map(|(from, to)| volume::length(from, to)),
                pair,
            }
        })
        .collect()
}
