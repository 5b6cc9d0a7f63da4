//! A scene's schema, as JSON Schema for editors and as the tables of the page.

use std::fmt::Write;

use k485_link::fault::{FIELDS, KINDS, KindInfo, Takes};
use serde_json::{Map, Value as Json, json};

use super::check::BOXES;
use super::event::{Arg, when_info};
use super::{BeltScene, BoxScene, HANDS, Layout, MotorScene, ParamScene, SlotScene, SpoolScene};
use super::{BusScene, ClimateScene, PrinterScene};
use crate::device::boxes::Timings;
use crate::plant::Geometry;
use crate::table::{Info, Key, Shape, Table};

/// The draft of JSON Schema that it is.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A length of time with its unit.
const LENGTH: &str = "^([0-9]+(\\.[0-9]+)?(us|ms|s|m|h|d))+$";

/// A scene's JSON Schema.
#[must_use]
pub fn json_schema() -> Json {
    let mut schema = object(Layout::info());
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("k485 scene");
    schema
}

fn text(doc: &[&str]) -> String {
    doc.concat().trim().to_owned()
}

fn object(info: &Info) -> Json {
    let properties: Map<String, Json> =
        info.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "description": text(info.doc),
        "properties": properties,
        "additionalProperties": false,
    })
}

pub(super) fn property(key: &Key) -> Json {
    let mut schema = of(&(key.shape)());
    let unit = if key.unit.is_empty() { String::new() } else { format!(" In {}.", key.unit) };
    schema["description"] = json!(format!("{}{unit}", text(key.doc)));
    schema
}

fn of(shape: &Shape) -> Json {
    match shape {
        Shape::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Number(least, most) => {
            let mut schema = json!({ "type": "number" });
            if least.is_finite() {
                schema["minimum"] = json!(least);
            }
            if most.is_finite() {
                schema["maximum"] = json!(most);
            }
            schema
        }
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Text(_) => json!({ "type": "string" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Length => json!({ "type": "string", "pattern": LENGTH }),
        Shape::List(item, least, most) => {
            json!({ "type": "array", "items": of(&item()), "minItems": least, "maxItems": most })
        }
        Shape::Table(info) => object(info()),
        Shape::Tables(info) => {
            let mut schema = json!({ "type": "array", "items": object(info()) });
            if std::ptr::eq(info(), BoxScene::info()) {
                schema["maxItems"] = json!(BOXES);
            }
            schema
        }
        Shape::Events => {
            let hands: Vec<Json> =
                HANDS.iter().map(|hand| event(hand.name, hand.doc, hand.args)).collect();
            json!({ "type": "array", "items": { "oneOf": hands } })
        }
        Shape::Faults => {
            let kinds: Vec<Json> = KINDS.iter().map(fault).collect();
            json!({ "type": "array", "items": { "oneOf": kinds } })
        }
    }
}

fn event(name: &str, doc: &str, args: &[Arg]) -> Json {
    let mut properties: Map<String, Json> =
        when_info().keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    properties.insert("do".to_owned(), json!({ "const": name, "description": doc }));
    let mut required = vec!["do"];
    for arg in args {
        properties.insert(arg.key.name.to_owned(), property(&arg.key));
        if arg.required {
            required.push(arg.key.name);
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "oneOf": [{ "required": ["at"] }, { "required": ["when"] }],
        "additionalProperties": false,
    })
}

fn fault(kind: &KindInfo) -> Json {
    let field = |takes: Takes| match takes {
        Takes::Kind => json!({ "const": kind.name }),
        Takes::Direction => json!({ "enum": ["request", "response", "both"] }),
        Takes::Probability => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Takes::Count(least, most) if most > i64::MAX as u64 => {
            json!({ "type": "integer", "minimum": least })
        }
        Takes::Count(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Takes::Length => json!({ "type": "string", "pattern": LENGTH }),
        Takes::Filter => json!({ "type": "string" }),
        Takes::Status | Takes::Function | Takes::Device => json!({ "type": ["string", "integer"] }),
    };
    let fields =
        || FIELDS.iter().filter(|one| one.kinds.is_empty() || one.kinds.contains(&kind.name));
    let properties: Map<String, Json> = fields()
        .map(|one| {
            let mut schema = field(one.takes);
            schema["description"] = json!(one.doc);
            (one.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = std::iter::once("kind").chain(kind.needs).collect();
    json!({
        "type": "object",
        "description": kind.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A scene's reference: a table of keys for each table of the file, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    let tables: [(&str, &Info); 13] = [
        ("The file", Layout::info()),
        ("`[bus]`", BusScene::info()),
        ("`[printer]`", PrinterScene::info()),
        ("`[climate]`, `[box.climate]`", ClimateScene::info()),
        ("`[geometry]`, `[box.geometry]`", Geometry::info()),
        ("`[timings]`, `[box.timings]`", Timings::info()),
        ("`[[box]]`", BoxScene::info()),
        ("`[box.A]` to `[box.D]`", SlotScene::info()),
        ("`[[motor]]`", MotorScene::info()),
        ("`[[motor.param]]`", ParamScene::info()),
        ("`[[belt]]`", BeltScene::info()),
        ("`[rack]`, and `spool` of an event", SpoolScene::info()),
        ("`[[event]]`", when_info()),
    ];
    for (title, info) in tables {
        let _ = write!(out, "### {title}\n\n{}\n\n", text(info.doc));
        out.push_str("| key | holds | default | what it says |\n| --- | --- | --- | --- |\n");
        for key in info.keys {
            row(&mut out, key);
        }
        out.push('\n');
    }
    out.push_str("### What happens: `do` of an event\n\n");
    out.push_str("| `do` | its keys | what happens |\n| --- | --- | --- |\n");
    for hand in HANDS {
        let args: Vec<String> = hand.args.iter().map(argument).collect();
        let _ = writeln!(out, "| `{}` | {} | {} |", hand.name, args.join("; "), hand.doc);
    }
    out.push_str("\n### `[[fault]]`\n\n| key | holds | of the kinds | default | what it says |\n");
    out.push_str("| --- | --- | --- | --- | --- |\n");
    for field in FIELDS {
        let kinds = if field.kinds.is_empty() { "all".to_owned() } else { field.kinds.join(", ") };
        let _ = writeln!(
            out,
            "| `{}` | {} | {kinds} | {} | {} |",
            field.name,
            field.takes.words(),
            field.default,
            field.doc
        );
    }
    out.push_str("\n| kind | what it does |\n| --- | --- |\n");
    for kind in KINDS {
        let _ = writeln!(out, "| `{}` | {} |", kind.name, kind.doc);
    }
    out
}

fn row(out: &mut String, key: &Key) {
    let default = (key.default)().map_or_else(String::new, |text| format!("`{text}`"));
    let holds = holds(&(key.shape)(), key.unit);
    let _ = writeln!(out, "| `{}` | {holds} | {default} | {} |", key.name, text(key.doc));
}

/// An argument of a hand, `key`, and in brackets where it may be left out.
fn argument(arg: &Arg) -> String {
    let key = &arg.key;
    let holds = holds(&(key.shape)(), key.unit);
    let left_out = if arg.required { "" } else { ", may be left out" };
    format!("`{}`: {holds}{left_out}", key.name)
}

fn holds(shape: &Shape, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    match shape {
        Shape::Integer(least, most) if *most >= i64::from(u32::MAX) => {
            format!("whole number from {least}{unit}")
        }
        Shape::Integer(least, most) => format!("{least} to {most}{unit}"),
        Shape::Number(least, most) if least.is_finite() => format!("{least} to {most}{unit}"),
        Shape::Number(..) => format!("number{unit}"),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Text(what) => (*what).to_owned(),
        Shape::Word(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::Length => "length of time".to_owned(),
        Shape::List(item, least, most) if least == most => {
            format!("list of {least}: {}", holds(&item(), ""))
        }
        Shape::List(item, ..) => format!("list: {}", holds(&item(), "")),
        Shape::Table(_) => "table".to_owned(),
        Shape::Tables(_) | Shape::Events | Shape::Faults => "tables".to_owned(),
    }
}
