//! What a face tells, as lines for people. A real bus tells less than an emulated one: what is not
//! known is not said, or is `?`.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// How everything is.
pub(super) fn state(state: &Value, out: &mut impl Write) -> io::Result<()> {
    let bus = &state["bus"];
    if !state["clock"].is_null() {
        writeln!(out, "clock     {}", clock(&state["clock"]))?;
    }
    if let Some(name) = state["scene"]["name"].as_str() {
        writeln!(out, "scene     {name}")?;
    }
    for endpoint in state["endpoints"].as_array().into_iter().flatten() {
        let keys = ["link", "address", "path"];
        let place = keys.iter().find_map(|key| endpoint[*key].as_str()).unwrap_or_default();
        writeln!(out, "endpoint  {place}")?;
    }
    if let Some(filament) = bus["toolhead"].as_bool() {
        let forced = if flag(&bus["toolhead_forced"]) { " (set by hand)" } else { "" };
        let filament = if filament { "filament" } else { "no filament" };
        let extruder = number(&bus["extruder"]);
        writeln!(out, "toolhead  {filament}{forced}, extruder {extruder} mm/s")?;
    }
    let buffer = &bus["buffer"];
    if let (Some(full), Some(empty)) = (buffer["full"].as_bool(), buffer["empty"].as_bool()) {
        let at = match (full, empty) {
            (true, _) => "full",
            (_, true) => "empty",
            _ => "between",
        };
        write!(out, "buffer    {at}")?;
        if !buffer["travel"].is_null() {
            write!(out, ", {} of {} mm", number(&buffer["slack"]), number(&buffer["travel"]))?;
        }
        writeln!(out, "{}", if flag(&buffer["held"]) { ", held" } else { "" })?;
    }
    for one in bus["boxes"].as_array().into_iter().flatten() {
        filament_box(one, out)?;
    }
    for fault in state["faults"].as_array().into_iter().flatten() {
        let (id, rule) = (&fault["id"], fault["rule"].as_str().unwrap_or_default());
        writeln!(out, "fault {id}   struck {} of {}  {rule}", fault["struck"], fault["met"])?;
    }
    Ok(())
}

fn filament_box(one: &Value, out: &mut impl Write) -> io::Result<()> {
    let place = match (one["plugged"].as_bool(), one["address"].as_u64()) {
        (Some(false), _) => "unplugged".to_owned(),
        (_, Some(254)) => "no address".to_owned(),
        (_, address) => format!("at {:02X}", address.unwrap_or_default()),
    };
    let climate = match (&one["climate"][0], &one["climate"][1]) {
        (Value::Number(temperature), Value::Number(humidity)) => {
            format!("{temperature} °C {humidity} %")
        }
        _ => "no climate".to_owned(),
    };
    let text = |key: &str| one[key].as_str().unwrap_or("?").to_owned();
    let number_of = &one["box"];
    let silent = if one["answers"] == false { ", does not answer" } else { "" };
    let slips = if flag(&one["slips"]) { ", hub slips" } else { "" };
    writeln!(
        out,
        "box {number_of}     {place}{silent}, {}, firmware {}, {climate}, odometer {} mm{slips}",
        text("state"),
        text("version"),
        number(&one["odometer"])
    )?;
    if let Some(meaning) = one["trouble"]["meaning"].as_str() {
        let name = one["trouble"]["name"].as_str().unwrap_or_default();
        let keys = one["trouble"]["keys"].as_array().into_iter().flatten();
        let keys: Vec<&str> = keys.filter_map(|key| key["key"].as_str()).collect();
        writeln!(
            out,
            "  {name}: {meaning}{}{}",
            if keys.is_empty() { "" } else { "; " },
            keys.join(" ")
        )?;
    }
    for slot in one["slots"].as_array().into_iter().flatten() {
        writeln!(out, "  T{number_of}{}", slot_line(slot))?;
    }
    Ok(())
}

fn slot_line(slot: &Value) -> String {
    let mut words = vec![slot["slot"].as_str().unwrap_or_default().to_owned() + "    "];
    match &slot["spool"] {
        // Of a real bus no tag was read, or nothing but darkness is known.
        Value::Null if slot.get("guess").is_some() => {
            words.extend(slot["tag"].as_str().map(str::to_owned));
        }
        Value::Null => words.push("no spool".to_owned()),
        spool => {
            let known = |key: &str| spool[key].as_str().map(str::to_owned);
            words.push(known("material").unwrap_or_else(|| "untagged".to_owned()));
            words.extend(known("colour"));
            words.extend(spool["left"].as_f64().map(|left| format!("{:.1} m left", left / 1000.0)));
        }
    }
    if let Some(piece) = slot["filament"].as_array().and_then(|pieces| pieces.last()) {
        let about = if flag(&slot["guess"]) { "about " } else { "" };
        words.push(format!("tip at {about}{} mm", number(&piece[1])));
    }
    for (key, what) in [("inlet", "inlet"), ("hub", "hub"), ("jammed", "JAMMED")] {
        match slot[key] {
            Value::Bool(true) => words.push(what.to_owned()),
            Value::Null if slot.get(key).is_some() => words.push(format!("{what} ?")),
            _ => {}
        }
    }
    words.join(" ")
}

/// How the bus's time goes.
pub(super) fn clock(clock: &Value) -> String {
    let elapsed = clock["elapsed"].as_f64().unwrap_or_default();
    let speed = number(&clock["speed"]);
    let goes = match (flag(&clock["paused"]), flag(&clock["virtual"])) {
        (true, true) => "goes on by requests and steps".to_owned(),
        (true, false) => "paused".to_owned(),
        (false, true) => format!("goes on by requests and steps, else at {speed}x"),
        (false, false) => format!("goes at {speed}x"),
    };
    format!("{elapsed:.3} s, {goes}")
}

/// What the bus carried, a line each: its number, its time, the line of a screen.
pub(super) fn exchange(json: &str, out: &mut impl Write) -> io::Result<()> {
    let Ok(said) = serde_json::from_str::<Value>(json) else { return Ok(()) };
    // Milliseconds do for a look; --json has all of it.
    let millis = said["time"].as_f64().map(|time| (time * 1e3) as i64);
    let time = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let time = time.map(|time| time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f"));
    let time = time.map(|time| time.to_string()).unwrap_or_default();
    let text = said["text"].as_str().unwrap_or_default();
    writeln!(out, "{:>7}  {time}  {text}", said["seq"].to_string())
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// With one digit behind the point where there is something behind it.
fn number(value: &Value) -> String {
    let Some(number) = value.as_f64() else { return "?".to_owned() };
    if number.fract().abs() < 0.05 { format!("{number:.0}") } else { format!("{number:.1}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::state;

    /// What the face of a real bus tells of it.
    #[test]
    fn of_a_real_bus_only_what_is_known_is_told() {
        let slot = |name: &str, inlet: Option<bool>, filament: serde_json::Value| {
            json!({ "slot": name, "inlet": inlet, "hub": null, "guess": true, "moves": false,
                    "spool": null, "tag": null, "filament": filament })
        };
        let slots = [
            slot("A", Some(true), json!([[-1.0, 60.0]])),
            slot("B", Some(false), json!([])),
            slot("C", None, json!([])),
        ];
        let one = json!({ "box": 1, "address": 1, "answers": true, "state": "idle", "version": null,
                          "climate": [25, 30], "odometer": null, "slots": slots });
        let silent = json!({ "box": 2, "address": 2, "answers": false, "state": null,
                             "version": "1.1.3", "climate": null, "odometer": -12.0, "slots": [] });
        let bus = json!({ "boxes": [one, silent], "buffer": null, "toolhead": null });
        let mut out = Vec::new();
        state(&json!({ "bus": bus, "endpoints": [{ "path": "/dev/ttyUSB0" }] }), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "endpoint  /dev/ttyUSB0\n\
             box 1     at 01, idle, firmware ?, 25 °C 30 %, odometer ? mm\n  \
               T1A     tip at about 60 mm inlet hub ?\n  \
               T1B     hub ?\n  \
               T1C     inlet ? hub ?\n\
             box 2     at 02, does not answer, ?, firmware 1.1.3, no climate, odometer -12 mm\n"
        );
    }
}
