//! What no table by itself can know: duplicates, what does not go together, filters and faults.

use std::collections::BTreeMap;

use k485_link::fault::Rule;
use k485_proto::dialect::Dialect;
use k485_proto::filter::Filter;
use k485_proto::message::params;
use k485_proto::record::Time;
use k485_proto::slot::Letter;
use k485_proto::strict::Errors;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::key_of;
use super::{BoxScene, Layout, Scene};
use crate::plant::Geometry;

/// How many boxes a bus has addresses for.
pub(super) const BOXES: usize = 4;

/// Where something stands: `[[table]]` number `n`, and a key in it, which may be left out.
struct Place<'t>(&'t DeTable<'t>);

impl Place<'_> {
    fn item(&self, table: &str, n: usize) -> Option<&Spanned<DeValue<'_>>> {
        self.0.get(table)?.get_ref().as_array()?.get(n)
    }

    fn at(&self, table: &str, n: usize, key: &str) -> std::ops::Range<usize> {
        let Some(item) = self.item(table, n) else { return 0..0 };
        let value = item.get_ref().as_table().and_then(|table| table.get(key));
        value.map_or_else(|| item.span(), Spanned::span)
    }
}

pub(super) fn check(
    layout: &Layout,
    root: &DeTable<'_>,
    dialect: &'static Dialect,
    errors: &mut Errors<'_>,
) -> (Vec<Rule>, Vec<Option<Filter>>) {
    let place = Place(root);
    if layout.boxes.len() > BOXES {
        let many = layout.boxes.len();
        errors.add(
            place.at("box", BOXES, ""),
            format!("{many} boxes are too many: a bus has {BOXES}"),
        );
    }
    if let Some(wrong) = out_of_order(&layout.geometry) {
        errors.add(root.get("geometry").map_or(0..0, Spanned::span), wrong);
    }
    for (n, one) in layout.boxes.iter().enumerate() {
        filament_box(layout, n, one, &place, errors);
    }
    behind_joint(layout, &place, errors);
    let addresses = layout.boxes.iter().enumerate().map(|(n, one)| (n, one.address));
    duplicates("box", "address", addresses.collect(), &place, errors);
    let uniids = layout.boxes.iter().enumerate();
    let uniids = uniids.map(|(n, one)| (n, one.uniid.map(|uniid| uniid.0.0)));
    duplicates("box", "uniid", uniids.collect(), &place, errors);
    for (n, motor) in layout.motors.iter().enumerate() {
        needs_address("motor", n, motor.address, &place, errors);
        for param in &motor.params {
            if params::info(param.id).is_none() {
                let last = params::COUNT - 1;
                errors.add(
                    place.at("motor", n, "param"),
                    format!("a motor has no parameter {}; their numbers are 0 to {last}", param.id),
                );
            }
        }
    }
    let motors = layout.motors.iter().enumerate().map(|(n, motor)| (n, motor.address));
    duplicates("motor", "address", motors.collect(), &place, errors);
    for (n, belt) in layout.belts.iter().enumerate() {
        needs_address("belt", n, belt.address, &place, errors);
    }
    let belts = layout.belts.iter().enumerate().map(|(n, belt)| (n, belt.address));
    duplicates("belt", "address", belts.collect(), &place, errors);
    if let Some(rack) = &layout.rack
        && let Err(error) = rack.spec().spool()
    {
        let at = root.get("rack").map_or(0..0, Spanned::span);
        errors.add(at, error.to_string());
    }
    let printer = &layout.printer;
    let at = |key: &str| {
        let table = root.get("printer").and_then(|value| value.get_ref().as_table());
        table.and_then(|table| table.get(key)).map_or(0..0, Spanned::span)
    };
    if printer.slack > printer.travel {
        errors.add(at("slack"), format!("slack is above travel ({} mm)", printer.travel));
    }
    let filters = events(layout, &place, dialect, errors);
    (rules(layout, &place, dialect, errors), filters)
}

fn needs_address(
    table: &str,
    n: usize,
    address: Option<u8>,
    place: &Place<'_>,
    errors: &mut Errors<'_>,
) {
    if address.is_none() {
        errors.add(place.at(table, n, ""), "address is missing");
    }
}

/// An error for each value that was there before.
fn duplicates<T: Ord + Copy>(
    table: &str,
    key: &str,
    values: Vec<(usize, Option<T>)>,
    place: &Place<'_>,
    errors: &mut Errors<'_>,
) {
    let mut seen = BTreeMap::new();
    for (n, value) in values {
        let Some(value) = value else { continue };
        if let Some(first) = seen.insert(value, n) {
            let line = errors.line(&place.at(table, first, key));
            errors.add(
                place.at(table, n, key),
                format!(
                    "{table} {} has this {key} already (line {line}); give each its own",
                    first + 1
                ),
            );
        }
    }
}

fn filament_box(
    layout: &Layout,
    n: usize,
    one: &BoxScene,
    place: &Place<'_>,
    errors: &mut Errors<'_>,
) {
    let geometry = one.geometry.over(&layout.geometry);
    if !one.geometry.keys.is_empty()
        && let Some(wrong) = out_of_order(&geometry)
    {
        errors.add(place.at("box", n, "geometry"), wrong);
    }
    if one.plug_at.is_some() {
        let set = [
            ("address", one.address.is_some()),
            ("printing", one.printing.is_some()),
            ("odometer", one.odometer != 0.0),
        ];
        for (key, _) in set.into_iter().filter(|(_, set)| *set) {
            errors.add(
                place.at("box", n, key),
                format!("a box that is plugged in later (plug_at) starts without {key}"),
            );
        }
    }
    for (letter, slot) in Letter::ALL.into_iter().zip(one.slots()) {
        let Some(slot) = slot else { continue };
        let at = place.at("box", n, &letter.as_char().to_string());
        if let Err(error) = slot.spec().spool() {
            errors.add(at, error.to_string());
        } else if let Some(tip) = slot.tip
            && tip > geometry.extruder
        {
            let most = geometry.extruder;
            errors.add(at, format!("tip {tip} is behind the extruder, which is at {most} mm"));
        }
    }
}

/// Behind the joint, where the paths of all slots of all boxes meet, there is room for one filament.
fn behind_joint(layout: &Layout, place: &Place<'_>, errors: &mut Errors<'_>) {
    let mut first = None;
    for (n, one) in layout.boxes.iter().enumerate() {
        let joint = one.geometry.over(&layout.geometry).joint;
        for (letter, slot) in Letter::ALL.into_iter().zip(one.slots()) {
            if !slot.as_ref().and_then(|slot| slot.tip).is_some_and(|tip| tip > joint) {
                continue;
            }
            let name = format!("T{}{}", n + 1, letter.as_char());
            if let Some(first) = &first {
                errors.add(
                    place.at("box", n, &letter.as_char().to_string()),
                    format!("{first} is behind the joint already, where there is room for one"),
                );
            }
            first.get_or_insert(name);
        }
    }
}

/// What is wrong with the order of places, if anything.
fn out_of_order(geometry: &Geometry) -> Option<String> {
    let places = [
        ("hub", geometry.hub),
        ("wheel", geometry.wheel),
        ("joint", geometry.joint),
        ("toolhead", geometry.toolhead),
        ("cutter", geometry.cutter),
        ("extruder", geometry.extruder),
    ];
    let wrong = places.windows(2).find(|pair| pair[0].1 >= pair[1].1)?;
    let [(near, a), (far, b)] = [wrong[0], wrong[1]];
    Some(format!("{far} ({b} mm) is not behind {near} ({a} mm)"))
}

/// The events' filters; and whether each can be done.
fn events(
    layout: &Layout,
    place: &Place<'_>,
    dialect: &'static Dialect,
    errors: &mut Errors<'_>,
) -> Vec<Option<Filter>> {
    let mut filters = Vec::new();
    for (n, event) in layout.events.0.iter().enumerate() {
        let filter = event.due.when.as_deref().map(|text| Filter::parse(text, dialect));
        let filter = filter.transpose().unwrap_or_else(|error| {
            errors.add(place.at("event", n, "when"), format!("when: {error}"));
            None
        });
        filters.push(filter);
    }
    if errors.is_empty() {
        // What a hand cannot do it cannot do at any time.
        let plain = Layout { events: super::Events::default(), ..layout.clone() };
        let mut world = Scene { layout: plain, ..Scene::default() }.build(Time(0));
        for (n, event) in layout.events.0.iter().enumerate() {
            if let Err(error) = world.act(&event.hand) {
                errors.add(place.at("event", n, ""), error.to_string());
            }
        }
    }
    filters
}

fn rules(
    layout: &Layout,
    place: &Place<'_>,
    dialect: &'static Dialect,
    errors: &mut Errors<'_>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (n, draft) in layout.faults.0.iter().enumerate() {
        match draft.rule(dialect) {
            Ok(rule) => rules.push(rule),
            Err(error) => {
                let key = key_of(&error).unwrap_or_default();
                errors.add(place.at("fault", n, &key), error.to_string());
            }
        }
    }
    rules
}
