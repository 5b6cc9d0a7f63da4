//! `[[event]]`: when something happens, and what ([`Hand`]).

use k485_proto::slot::Slot;
use k485_proto::strict::{Errors, kind};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::parts::SpoolScene;
use crate::hand::Hand;
use crate::table::{ANY, Info, Key, Length, Limits, Parsed, Shape, Table, Value, table, tables_of};

table! {
    /// When an event is due: at a time, or when the bus carries something.
    pub struct When {
        /// How long after the start.
        at: Option<Parsed<Length>> = None;
        /// A filter: once an exchange, a frame or noise fits it.
        when: Option<String> = None;
        /// How long after what fits the filter.
        after: Parsed<Length> = Parsed(Length(0));
        /// Which of those that fit the filter, from 1; 0 is each of them.
        nth: u32, in 0..=1_000_000_000 = 1;
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it is due.
    pub due: When,
    /// What happens.
    pub hand: Hand,
}

/// What a hand is, for errors, the schema and the page.
#[derive(Debug, Clone, Copy)]
pub struct HandInfo {
    /// Its name, what `do` says.
    pub name: &'static str,
    /// What happens.
    pub doc: &'static str,
    /// Its arguments.
    pub args: &'static [Arg],
}

/// An argument of a hand.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// The key.
    pub key: Key,
    /// Whether it must be there.
    pub required: bool,
}

macro_rules! arg {
    ($name:literal, $type:ty, $limits:expr, $required:literal, $default:literal, $doc:literal) => {
        Arg {
            key: Key {
                name: $name,
                doc: &[$doc],
                shape: || <$type as Value>::shape($limits),
                default: || (!$default.is_empty()).then(|| $default.to_owned()),
                unit: "",
            },
            required: $required,
        }
    };
    ($name:literal, word $words:expr, $doc:literal) => {
        Arg {
            key: Key {
                name: $name,
                doc: &[$doc],
                shape: || Shape::Word($words),
                default: || None,
                unit: "",
            },
            required: true,
        }
    };
}

const fn limits(least: f64, most: f64) -> Limits {
    Limits { least, most }
}

const PLACE: Limits = limits(0.0, 1e6);
const BOX: Limits = limits(1.0, 4.0);
const SHOWS: &[&str] = &["truth", "on", "off"];

const SLOT: Arg = Arg {
    key: Key {
        name: "slot",
        doc: &["Which slot: T1A to T4D, by the box's place in the file."],
        shape: || Shape::Text("a slot, T1A to T4D"),
        default: || None,
        unit: "",
    },
    required: true,
};
const UNIT: Arg = arg!("box", u32, BOX, true, "", "Which box, by its place in the file, from 1.");
const ON: Arg = arg!("on", bool, ANY, false, "true", "Whether it begins or ends.");
const SPOOL: Arg = arg!("spool", SpoolScene, ANY, false, "{}", "The spool.");

/// Every hand.
pub const HANDS: &[HandInfo] = &[
    HandInfo {
        name: "insert",
        doc: "A spool's end is put into a slot's inlet, so far that the feeder grips it.",
        args: &[SLOT, SPOOL],
    },
    HandInfo {
        name: "pull_out",
        doc: "What hangs on a slot's spool is pulled out.",
        args: &[SLOT],
    },
    HandInfo {
        name: "place",
        doc: "A slot's filament is where it would have been fed to.",
        args: &[
            SLOT,
            SPOOL,
            arg!("tip", f64, PLACE, true, "", "Where its tip is, in mm from the inlet."),
        ],
    },
    HandInfo { name: "clear", doc: "All filament is taken out of a slot's path.", args: &[SLOT] },
    HandInfo {
        name: "run_out",
        doc: "The spool comes to its end.",
        args: &[
            SLOT,
            arg!("left", f64, PLACE, false, "0.0", "How much is left outside the inlet, in mm."),
        ],
    },
    HandInfo {
        name: "break",
        doc: "The filament breaks.",
        args: &[SLOT, arg!("at_mm", f64, PLACE, true, "", "At which place, in mm from the inlet.")],
    },
    HandInfo {
        name: "jam",
        doc: "A slot's filament holds fast; with a place, no tip passes it.",
        args: &[
            SLOT,
            arg!(
                "at_mm",
                f64,
                PLACE,
                false,
                "",
                "The place that no tip passes, in mm from the inlet."
            ),
        ],
    },
    HandInfo {
        name: "unjam",
        doc: "The slot's jam is freed, and its box's hub grips and turns.",
        args: &[SLOT],
    },
    HandInfo { name: "slip", doc: "A box's hub gear turns without gripping.", args: &[UNIT, ON] },
    HandInfo {
        name: "block",
        doc: "A part of a box cannot turn.",
        args: &[UNIT, arg!("part", word & ["hub", "wheel"], "Which part."), ON],
    },
    HandInfo {
        name: "sensor",
        doc: "A photo sensor of a slot shows the same whatever is there, or works again.",
        args: &[
            SLOT,
            arg!("sensor", word & ["inlet", "hub"], "Which of the slot's two."),
            arg!("shows", word SHOWS, "What it shows."),
        ],
    },
    HandInfo {
        name: "extrude",
        doc: "The extruder turns.",
        args: &[
            arg!("mm", f64, limits(-1e6, 1e6), true, "", "How far, in mm; negative is back."),
            arg!(
                "speed",
                f64,
                limits(0.001, 1000.0),
                false,
                "",
                "How fast, in mm/s; left out, at once."
            ),
        ],
    },
    HandInfo {
        name: "extruder",
        doc: "The extruder goes on turning; 0 stops it.",
        args: &[arg!(
            "speed",
            f64,
            limits(-1000.0, 1000.0),
            true,
            "",
            "How fast, in mm/s; negative is back."
        )],
    },
    HandInfo { name: "cut", doc: "The cutter closes and opens again.", args: &[] },
    HandInfo {
        name: "toolhead",
        doc: "What the toolhead's sensor shows, whatever is there.",
        args: &[arg!("shows", word SHOWS, "What it shows.")],
    },
    HandInfo {
        name: "hold_buffer",
        doc: "Something holds the buffer.",
        args: &[arg!("buffer", word & ["full", "middle", "empty"], "Where.")],
    },
    HandInfo { name: "free_buffer", doc: "The buffer is free again.", args: &[] },
    HandInfo {
        name: "unplug",
        doc: "A box's plug is pulled: it hears nothing and does nothing.",
        args: &[UNIT],
    },
    HandInfo {
        name: "plug",
        doc: "The plug is put in again: the box starts anew, without an address.",
        args: &[UNIT],
    },
    HandInfo { name: "reset", doc: "A box is switched off and on at once.", args: &[UNIT] },
    HandInfo {
        name: "climate",
        doc: "What a box measures around it; without both values its sensor does not answer.",
        args: &[
            UNIT,
            arg!("temperature", i8, limits(-40.0, 120.0), false, "", "In degrees Celsius."),
            arg!("humidity", i8, limits(0.0, 100.0), false, "", "In percent."),
        ],
    },
    HandInfo {
        name: "motor",
        doc: "A motor's protection words.",
        args: &[
            arg!("address", u8, limits(128.0, 136.0), true, "", "Its address, 0x80 to 0x88."),
            arg!("errors", u32, ANY, false, "0", "The errors as bits; bit n is key781+n."),
            arg!("warnings", u32, ANY, false, "0", "The warnings as bits; bit n is key795+n."),
        ],
    },
    HandInfo {
        name: "belt",
        doc: "A belt module's sensor reads this.",
        args: &[
            arg!("address", u8, limits(33.0, 34.0), true, "", "Its address, 0x21 or 0x22."),
            arg!("adc", u32, ANY, true, "", "The reading."),
        ],
    },
    HandInfo {
        name: "rack",
        doc: "A spool is put before the rack's tag reader; without one it is taken away.",
        args: &[arg!("spool", SpoolScene, ANY, false, "", "The spool.")],
    },
];

/// Arguments that a scene writes otherwise than a program does, since `at` is the event's time.
const RENAMED: [(&str, &str, &str); 3] =
    [("break", "at_mm", "at"), ("jam", "at_mm", "at"), ("hold_buffer", "buffer", "at")];

/// The events of a scene.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events(pub Vec<Event>);

impl Value for Events {
    fn shape(_: Limits) -> Shape {
        Shape::Events
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        tables_of(what, value, errors, event).map(Events)
    }

    fn write(&self) -> Option<String> {
        None
    }
}

fn event(item: &Spanned<DeValue<'_>>, errors: &mut Errors<'_>) -> Option<Event> {
    let Some(table) = item.get_ref().as_table() else {
        errors.add(item.span(), format!("event holds tables, not {}", kind(item)));
        return None;
    };
    let names: Vec<&str> = HANDS.iter().map(|hand| hand.name).collect();
    let Some(done) = table.get("do") else {
        errors.add(item.span(), "do is missing: what happens, such as do = \"cut\"");
        return None;
    };
    let Some(name) = done.get_ref().as_str() else {
        errors.add(done.span(), format!("do is a text in quotes, not {}", kind(done)));
        return None;
    };
    let Some(info) = HANDS.iter().find(|hand| hand.name == name) else {
        errors.add_unknown(
            done.span(),
            format!("nothing that happens is called {name:?}"),
            name,
            &names,
        );
        return None;
    };
    let when = When::info().keys.iter().map(|key| key.name);
    let args = info.args.iter().map(|arg| arg.key.name);
    let keys: Vec<&str> = ["do"].into_iter().chain(when).chain(args).collect();
    let section = k485_proto::strict::Section::new(table, item.span(), &keys, errors);
    let due = When::read_from(&section, errors);
    match (&due.at, &due.when) {
        (None, None) if table.get("at").is_none() && table.get("when").is_none() => {
            errors.add(
                item.span(),
                "at or when is missing: write at = \"10s\", or when = \"FILTER\"",
            );
        }
        (Some(_), Some(_)) => {
            errors.add(item.span(), "an event has a time (at) or a filter (when), not both");
        }
        _ => {}
    }
    for key in ["after", "nth"] {
        if let (Some(value), None) = (table.get(key), table.get("when")) {
            errors.add(value.span(), format!("{key} goes with a filter: write when = \"FILTER\""));
        }
    }
    hand(info, table, item, errors).map(|hand| Event { due, hand })
}

/// An argument's name as programs write it.
pub(super) fn program_name(hand: &str, name: &'static str) -> &'static str {
    let own = |(of, key, _): &&(&str, &str, &'static str)| *of == hand && *key == name;
    RENAMED.iter().find(own).map_or(name, |(.., program)| program)
}

/// Reads what happens.
fn hand(
    info: &HandInfo,
    table: &DeTable<'_>,
    item: &Spanned<DeValue<'_>>,
    errors: &mut Errors<'_>,
) -> Option<Hand> {
    let mut json = Map::new();
    json.insert("do".to_owned(), Json::from(info.name));
    let mut whole = true;
    for arg in info.args {
        let name = arg.key.name;
        match table.get(name) {
            Some(value) => match argument(name, value, (arg.key.shape)(), errors) {
                Some(value) => {
                    let own =
                        |(hand, key, _): &&(&str, &str, &str)| *hand == info.name && *key == name;
                    let name = RENAMED.iter().find(own).map_or(name, |(.., program)| program);
                    json.insert(name.to_owned(), value);
                }
                None => whole = false,
            },
            None if arg.required => {
                let doc = arg.key.doc.join(" ");
                errors.add(item.span(), format!("{name} is missing. {}", doc.trim()));
                whole = false;
            }
            None => {}
        }
    }
    if !whole {
        return None;
    }
    match Hand::deserialize(Json::Object(json)) {
        Ok(hand) => Some(hand),
        Err(error) => {
            errors.add(item.span(), error.to_string());
            None
        }
    }
}

/// An argument as JSON, once it is known to be what it should be.
fn argument(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    shape: Shape,
    errors: &mut Errors<'_>,
) -> Option<Json> {
    match shape {
        Shape::Integer(least, most) => {
            let limits = limits(least as f64, most as f64);
            match least < 0 {
                true => i8::read(name, value, limits, errors).map(Json::from),
                false => u64::read(name, value, limits, errors).map(Json::from),
            }
        }
        Shape::Number(least, most) => {
            f64::read(name, value, limits(least, most), errors).map(Json::from)
        }
        Shape::Boolean => bool::read(name, value, ANY, errors).map(Json::from),
        Shape::Word(words) => {
            let text = String::read(name, value, ANY, errors)?;
            if !words.contains(&text.as_str()) {
                errors.add_unknown(value.span(), format!("{name} is not {text:?}"), &text, words);
                return None;
            }
            Some(Json::from(text))
        }
        Shape::Table(_) => {
            let spool = SpoolScene::read(name, value, ANY, errors)?;
            Some(spool.json())
        }
        _ => {
            let text = String::read(name, value, ANY, errors)?;
            if let Err(error) = text.parse::<Slot>() {
                errors.add(value.span(), error.to_string());
                return None;
            }
            Some(Json::from(text))
        }
    }
}

impl Event {
    /// Its keys as a scene writes them.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let due = self.due.rows().into_iter().map(|(key, text)| (key.to_owned(), text));
        let mut rows: Vec<(String, String)> = due.collect();
        let Ok(Json::Object(hand)) = serde_json::to_value(&self.hand) else { return rows };
        let done = hand.get("do").and_then(Json::as_str).unwrap_or_default().to_owned();
        rows.push(("do".to_owned(), inline(&Json::from(done.as_str()))));
        for (key, value) in hand.iter().filter(|(key, value)| *key != "do" && !value.is_null()) {
            let own = |(hand, _, program): &&(&str, &str, &str)| *hand == done && program == key;
            let key = RENAMED.iter().find(own).map_or(key.as_str(), |(_, scene, _)| scene);
            rows.push((key.to_owned(), inline(value)));
        }
        rows
    }
}

/// JSON as TOML on one line.
fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => crate::table::quoted(text),
        Json::Object(map) => {
            let rows: Vec<String> =
                map.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", rows.join(", "))
        }
        other => other.to_string(),
    }
}

/// The declaration of [`When`], and `do`, for the schema and the page.
#[must_use]
pub(super) fn when_info() -> &'static Info {
    When::info()
}
