//! Hands as programs write them, in JSON: read, and described, by the declaration of a scene's
//! events.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::event::program_name;
use super::schema::property;
use super::{HANDS, HandInfo};
use crate::hand::Hand;
use crate::table::{Key, Shape};

/// The other spelling of a spool's key.
const COLOR: &str = "color";

/// Reads a hand as programs write it. Arguments are held to the same ranges as in a scene, and none
/// is `null`.
///
/// # Errors
///
/// What is wrong, in words.
pub fn hand_from_json(value: &Json) -> Result<Hand, String> {
    let Some(map) = value.as_object() else {
        return Err("a hand is an object, such as {\"do\": \"cut\"}".to_owned());
    };
    let Some(Json::String(done)) = map.get("do") else {
        return Err("do is missing: what is done, such as {\"do\": \"cut\"}".to_owned());
    };
    let Some(info) = HANDS.iter().find(|hand| hand.name == done) else {
        let names: Vec<&str> = HANDS.iter().map(|hand| hand.name).collect();
        return Err(format!("nothing that is done is called {done:?}; there are {}", list(&names)));
    };
    let names: Vec<&str> = info.args.iter().map(|arg| name(info, arg.key.name)).collect();
    for (key, value) in map.iter().filter(|(key, _)| *key != "do") {
        let Some(place) = names.iter().position(|name| name == key) else {
            let there = if names.is_empty() { "none".to_owned() } else { list(&names) };
            return Err(format!("{done} has no argument {key:?}; there are {there}"));
        };
        check(key, value, &info.args[place].key)?;
    }
    let required = info.args.iter().zip(&names).filter(|(arg, _)| arg.required);
    for (arg, name) in required {
        if !map.contains_key(*name) {
            return Err(format!("{name} is missing. {}", arg.key.doc.join(" ").trim()));
        }
    }
    Hand::deserialize(value).map_err(|error| error.to_string())
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn name(info: &HandInfo, key: &'static str) -> &'static str {
    program_name(info.name, key)
}

/// Whether a value is in its range; of what kind it must be is left to whoever reads it.
fn check(name: &str, value: &Json, key: &Key) -> Result<(), String> {
    if value.is_null() {
        return Err(format!("{name} cannot be null; leave it out"));
    }
    match (key.shape)() {
        Shape::Integer(least, most) => {
            let (least, most) = (least as f64, most as f64);
            within(name, value, least, most, key.unit)
        }
        Shape::Number(least, most) => within(name, value, least, most, key.unit),
        Shape::Word(words) => match value.as_str() {
            Some(text) if !words.contains(&text) => {
                Err(format!("{name} cannot be {text:?}; write one of {}", list(words)))
            }
            _ => Ok(()),
        },
        Shape::Table(info) => {
            // A list is taken for one by `serde`, its values in the order of the keys.
            let Some(table) = value.as_object() else {
                return Err(format!("{name} is an object with the keys of a spool"));
            };
            for (inner, value) in table {
                // An unknown one is told by whoever reads it.
                let known = if inner == COLOR { "colour" } else { inner };
                if let Some(key) = info().keys.iter().find(|key| key.name == known) {
                    check(inner, value, key)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn within(name: &str, value: &Json, least: f64, most: f64, unit: &str) -> Result<(), String> {
    let Some(number) = value.as_f64() else { return Ok(()) };
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    Err(format!("{name} cannot be {number}; write a number from {least} to {most}{unit}"))
}

/// The JSON Schema of what [`hand_from_json`] reads.
#[must_use]
pub fn hand_schema() -> Json {
    json!({ "oneOf": HANDS.iter().map(schema).collect::<Vec<_>>() })
}

fn schema(info: &HandInfo) -> Json {
    let mut properties = Map::new();
    properties.insert("do".to_owned(), json!({ "const": info.name }));
    let mut required = vec!["do"];
    for arg in info.args {
        let name = name(info, arg.key.name);
        let mut schema = property(&arg.key);
        if arg.key.name == "slot" {
            schema["pattern"] = json!("^[Tt][1-4][A-Da-d]$");
        }
        properties.insert(name.to_owned(), schema);
        if arg.required {
            required.push(name);
        }
    }
    json!({
        "type": "object",
        "title": info.name,
        "description": info.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Json) -> Result<Hand, String> {
        hand_from_json(&json)
    }

    #[test]
    fn hands_are_read_as_programs_write_them() {
        assert_eq!(read(json!({ "do": "cut" })), Ok(Hand::Cut));
        let jam = read(json!({ "do": "jam", "slot": "t1a", "at": 700 })).unwrap();
        assert!(matches!(jam, Hand::Jam { at: Some(700.0), .. }), "{jam:?}");
        let spool = json!({ "material": "PLA", "color": "ff0000" });
        let insert = read(json!({ "do": "insert", "slot": "T1A", "spool": spool })).unwrap();
        let Hand::Insert { spool, .. } = insert else { panic!() };
        assert_eq!(spool.colour.as_deref(), Some("ff0000"));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (json, said) in [
            (json!([]), "a hand is an object, such as {\"do\": \"cut\"}"),
            (json!({ "slot": "T1A" }), "do is missing: what is done, such as {\"do\": \"cut\"}"),
            (json!({ "do": "cut", "at": 1 }), "cut has no argument \"at\"; there are none"),
            (
                json!({ "do": "jam" }),
                "slot is missing. Which slot: T1A to T4D, by the box's place in \
                                      the file.",
            ),
            (
                json!({ "do": "jam", "slot": "T1A", "at_mm": 7 }),
                "jam has no argument \"at_mm\"; there are `slot`, `at`",
            ),
            (json!({ "do": "jam", "slot": "T1A", "at": null }), "at cannot be null; leave it out"),
            (
                json!({ "do": "climate", "box": 1, "temperature": -41 }),
                "temperature cannot be -41; write a number from -40 to 120",
            ),
            (
                json!({ "do": "toolhead", "shows": "off " }),
                "shows cannot be \"off \"; write one of `truth`, `on`, `off`",
            ),
            (
                json!({ "do": "rack", "spool": { "remain": 101 } }),
                "remain cannot be 101; write a number from 0 to 100 %",
            ),
            (json!({ "do": "rack", "spool": { "tag": null } }), "tag cannot be null; leave it out"),
        ] {
            assert_eq!(read(json.clone()), Err(said.to_owned()), "{json}");
        }
        for json in [
            json!({ "do": "rack", "spool": 3 }),
            json!({ "do": "rack", "spool": [null, null] }),
            json!({ "do": "rack", "spool": { "smell": 3 } }),
            json!({ "do": "slip", "box": 1, "on": "yes" }),
            json!({ "do": "slip", "box": 1.5 }),
            json!({ "do": "jam", "slot": 3 }),
        ] {
            assert!(read(json.clone()).is_err(), "{json}");
        }
        assert!(read(json!({ "do": "jma" })).unwrap_err().contains("`jam`"));
    }

    #[test]
    fn every_hand_of_the_declaration_is_one() {
        // With the least that each argument may be.
        for info in HANDS {
            let mut map = Map::from_iter([("do".to_owned(), json!(info.name))]);
            for arg in info.args {
                let value = match (arg.key.shape)() {
                    Shape::Integer(least, _) => json!(least),
                    Shape::Number(least, _) => json!(least),
                    Shape::Boolean => json!(true),
                    Shape::Word(words) => json!(words[0]),
                    Shape::Table(_) => json!({}),
                    _ => json!("T1A"),
                };
                map.insert(name(info, arg.key.name).to_owned(), value);
            }
            let hand = read(Json::Object(map)).unwrap_or_else(|why| panic!("{}: {why}", info.name));
            let written = serde_json::to_value(&hand).unwrap();
            assert_eq!(read(written.clone()), Ok(hand), "{written}");
        }
    }
}
