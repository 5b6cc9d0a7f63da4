//! A bus as a file describes it: what is on it, what is in the slots, how long things are and take,
//! what goes wrong and what happens when.
//!
//! The file is TOML, and its reference is `docs/scene.md`. Every table is declared once, in
//! `parts.rs` and where geometry and durations are; reading, the schema and the page are made of
//! that. Reading is strict: an unknown key, a value out of range, two devices at one address are
//! errors with line and column, all of them are told, and nothing is loaded.
//!
//! A scene holds causes only: there is no field for a reply.

mod build;
mod check;
mod event;
mod faults;
mod parts;
mod program;
mod schema;
#[cfg(test)]
mod tests;
mod timeline;
mod words;
mod write;

use k485_link::fault::{Draft, Rule};
use k485_proto::dialect::{Dialect, K2};
use k485_proto::filter::Filter;
use k485_proto::strict::{Errors, Section, TomlError};
use toml::de::DeTable;

use crate::device::boxes::Timings;
use crate::plant::Geometry;
use crate::table::{Table, names, table};

pub use event::{Arg, Event, Events, HANDS, HandInfo, When};
pub use faults::Drafts;
pub use parts::{
    BeltScene, BoxScene, BusScene, ClimateScene, MotorScene, ParamScene, PrinterScene, SlotScene,
    SpoolScene,
};
pub use program::{hand_from_json, hand_schema};
pub use schema::{json_schema, reference};
pub use timeline::Timeline;
pub use words::{
    FailedPart, Firmware, LetterWord, Loader, SerialNumber, SlotTag, Uniid, Version2Text,
    VersionText,
};
pub use write::Notes;
pub(crate) use write::write;

table! {
    /// The whole file. What is not in it is not on the bus and stays silent.
    pub struct Layout {
        /// What it shows, for people.
        title: Option<String> = None;
        /// The seed of all chance: the same seed gives the same bytes.
        seed: u64, in 0..=9_007_199_254_740_992_i64 = 1;
        /// The line.
        bus: BusScene = BusScene::default();
        /// The printer behind the boxes.
        printer: PrinterScene = PrinterScene::default();
        /// What boxes measure around them.
        climate: ClimateScene = ClimateScene::default();
        /// Where things are on every slot's path, from its inlet on, and speeds.
        geometry: Geometry = Geometry::default();
        /// How long things take in every box.
        timings: Timings = Timings::default();
        /// The filament boxes, four at most.
        boxes as "box": Vec<BoxScene> = Vec::new();
        /// The closed-loop motors.
        motors as "motor": Vec<MotorScene> = Vec::new();
        /// The belt modules.
        belts as "belt": Vec<BeltScene> = Vec::new();
        /// The filament rack's tag reader, with the spool on it; it answers only for a tag.
        rack: Option<SpoolScene> = None;
        /// What goes wrong on the line, as rules.
        faults as "fault": Drafts = Drafts::default();
        /// What happens when.
        events as "event": Events = Events::default();
    }
}

/// A scene that has been checked.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What the file says.
    pub layout: Layout,
    dialect: &'static Dialect,
    rules: Vec<Rule>,
    /// The events' filters, where they have one.
    filters: Vec<Option<Filter>>,
}

impl Default for Scene {
    /// An empty bus.
    fn default() -> Scene {
        Scene { layout: Layout::default(), dialect: &K2, rules: Vec::new(), filters: Vec::new() }
    }
}

impl Scene {
    /// Reads a scene. The dialect is for the names in its filters and faults.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn from_toml(text: &str, dialect: &'static Dialect) -> Result<Scene, Vec<TomlError>> {
        let mut errors = Errors::new(text);
        let (root, broken) = DeTable::parse_recoverable(text);
        for error in broken {
            errors.add(error.span().unwrap_or(0..0), error.message());
        }
        // What a broken text holds is only half of what was meant.
        errors.none_yet()?;
        let root = root.get_ref();
        let section = Section::new(root, 0..0, &names(Layout::info()), &mut errors);
        let layout = Layout::read_from(&section, &mut errors);
        errors.none_yet()?;
        let (rules, filters) = check::check(&layout, root, dialect, &mut errors);
        errors.none_yet()?;
        Ok(Scene { layout, dialect, rules, filters })
    }

    /// The dialect of its filters and faults.
    #[must_use]
    pub fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// Its faults.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A fault as it was written.
    #[must_use]
    pub fn drafts(&self) -> &[Draft] {
        &self.layout.faults.0
    }
}
