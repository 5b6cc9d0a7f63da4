//! What the vendor's host makes of replies, and what it sends for commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k485_proto::address::{Address, Class};
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::message::params::{self, COUNT};
use k485_proto::message::value::unescape_ascii;
use k485_proto::message::{Message, Misfit, Value};
use k485_proto::record::{Direction, Origin, Record, Verdict};
use k485_proto::status::Status;

use crate::common::bytes;
use crate::{Directions, Outcome, ensure, exchanges, json, observed, seen};

/// The request that a command of the vectors stands for.
fn request(command: &str) -> Option<(u8, &'static [u8])> {
    Some(match command {
        "GET_BOX_STATE" => (0x0a, &[]),
        "GET_BUFFER_STATE" => (0x05, &[]),
        "GET_FILAMENT_SENSOR_STATE MATERIAL" => (0x08, &[0]),
        "GET_FILAMENT_SENSOR_STATE CONNECTIONS" => (0x08, &[1]),
        "GET_BOX_MODE" => (0x0c, &[]),
        "GET_VERSION_SN" => (0x14, &[]),
        "GET_HARDWARE_STATUS" => (0x15, &[]),
        _ => return None,
    })
}

/// A field in the host's words.
fn shown(message: &Message<'_>, name: &str) -> Option<String> {
    Some(match message.get(name)? {
        Value::Slots { set, .. } => set.0.to_string(),
        value => value.as_number().map_or_else(|| value.to_string(), |n| n.to_string()),
    })
}

/// The host's attributes, and our fields.
fn attributes(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "GET_BOX_STATE" => &[
            ("T1.temperature", "temperature"),
            ("T1.dry_and_humidity", "humidity"),
            ("T1.mode", "state"),
        ],
        "GET_BUFFER_STATE" => &[("inner.buffer", "buffer")],
        "GET_FILAMENT_SENSOR_STATE MATERIAL" => &[("inner.T1.filament_sensor.material", "slots")],
        "GET_FILAMENT_SENSOR_STATE CONNECTIONS" => {
            &[("inner.T1.filament_sensor.connections", "slots")]
        }
        "GET_BOX_MODE" => &[("T1.mode", "mode")],
        _ => &[],
    }
}

/// Our fields of the parts, and the host's keys.
const PARTS: [(&str, &str); 6] = [
    ("eeprom", "key858"),
    ("humidity", "key853"),
    ("wheel", "key859"),
    ("buffer", "key860"),
    ("rfid_left", "key861"),
    ("rfid_right", "key862"),
];

/// Replies with their attributes in the host after them.
///
/// Two kinds of entries cannot agree, by design. Where the payload is too short, the host goes on
/// into the CRC and takes that for a value (or raises): there a misfit must be told, and it is.
/// Where STATUS is not 00, the host leaves the data unread; it is shown all the same, since the
/// firmware sends it, and under 30 it is not temperature and humidity.
pub(crate) fn box_replies(folder: &Path) -> Outcome {
    let vectors = json(&folder.join("vectors/box_decode.json"))?;
    // What the host held before the first reply.
    let mut held: BTreeMap<String, String> = [
        ("T1.temperature", "25"),
        ("T1.dry_and_humidity", "36"),
        ("inner.T1.filament_sensor.connections", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let (mut compared, mut short, mut long, mut unread) = (0, 0, 0, 0);
    for entry in vectors.as_array().ok_or("no list")? {
        let command = entry["cmd"].as_str().ok_or("no cmd")?;
        let (func, asked) = request(command).ok_or_else(|| format!("new command {command}"))?;
        let status = Status(u8::try_from(entry["status"].as_u64().ok_or("no status")?)?);
        let payload = bytes(entry["payload"].as_str().ok_or("no payload")?);
        for (name, value) in entry["diff"].as_object().ok_or("no diff")? {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            held.insert(name.clone(), value);
        }
        let asked = Frame::to_vec(Address(1), Status::REQUEST, func, asked)?;
        let asked = Frame::from_bytes(&asked)?;
        let reply = Frame::to_vec(Address(1), status, func, &payload)?;
        let reply = Frame::from_bytes(&reply)?;
        let message = K2.decode(&reply, Some(Direction::Response), Some(&asked));
        let at = || format!("{command} {entry}: {message:?}");

        if status != Status::OK {
            let form = if status.0 == 0x30 { "Changes" } else { "State" };
            ensure!(message.form == Some(form) && message.misfit.is_none(), "{}", at());
            ensure!(entry["diff"].as_object().is_some_and(serde_json::Map::is_empty), "{}", at());
            unread += 1;
            continue;
        }
        match message.misfit {
            Some(Misfit::Short { need, have, .. }) => {
                ensure!(have == payload.len() && need > have, "{}", at());
                short += 1;
                continue;
            }
            // The host takes what it wants from the front.
            Some(Misfit::Long { need, have, .. }) => {
                ensure!(have == payload.len() && message.rest == &payload[need..], "{}", at());
                long += 1;
            }
            Some(_) => return Err(at().into()),
            None => {}
        }
        for (attribute, field) in attributes(command) {
            let ours = shown(&message, field);
            ensure!(ours.as_ref() == held.get(*attribute), "{attribute} {held:?}: {}", at());
            compared += 1;
        }
        if command == "GET_VERSION_SN" {
            let text = |name: &str| {
                let Some(Value::Text(text)) = message.get(name) else { return None };
                unescape_ascii(text).ok()
            };
            let version = text("version").ok_or_else(at)?;
            // Printable characters have their dots already; the host puts them between any.
            let dotted: Vec<String> = version.iter().map(|b| char::from(*b).to_string()).collect();
            let dotted = if version.len() == 3 { dotted.join(".") } else { dotted.concat() };
            if let Some(host) = entry["diff"]["T1.version"].as_str() {
                ensure!(host == dotted, "{}", at());
                compared += 1;
            }
            let serial = text("serial").ok_or_else(at)?;
            let serial: String = serial.iter().map(|byte| char::from(*byte)).collect();
            ensure!(held.get("T1.sn") == Some(&serial), "{}", at());
            compared += 1;
        }
        if command == "GET_HARDWARE_STATUS" {
            let said = entry["msgs"].to_string();
            for (field, key) in PARTS {
                let Some(Value::Code { name, .. }) = message.get(field) else {
                    return Err(at().into());
                };
                ensure!((*name == Some("failed")) == said.contains(key), "{field}: {}", at());
                compared += 1;
            }
        }
    }
    ensure!(compared > 200, "{compared} compared");
    Ok(format!(
        "{compared} values; {short} payloads too short, {long} too long, {unread} that the host \
         leaves unread"
    ))
}

/// How the host converts a motor's parameter.
pub(crate) fn motor_values(folder: &Path) -> Outcome {
    let vectors = json(&folder.join("vectors/motor_result_to_value.json"))?;
    let (mut numbers, mut refused, mut types) = (0, 0, BTreeMap::new());
    for entry in vectors.as_array().ok_or("no list")? {
        let [kind, hex, expected] = [0, 1, 2].map(|i| entry[i].as_str().unwrap_or_default());
        let Some(id) = (0..COUNT as u8)
            .find(|id| params::info(*id).is_some_and(|(_, param)| param.name() == kind))
        else {
            *types.entry(format!("{kind} has no parameter")).or_insert(0) += 1;
            continue;
        };
        *types.entry(kind.to_owned()).or_insert(0) += 1;
        let asked = Frame::to_vec(Address(0x81), Status::OK, 6, &[2, id])?;
        let reply = Frame::to_vec(Address(0x81), Status::OK, 6, &bytes(hex))?;
        let reply = Frame::from_bytes(&reply)?;
        let asked = Frame::from_bytes(&asked)?;
        let message = K2.decode(&reply, Some(Direction::Response), Some(&asked));
        let value = message.get("value");
        let agrees = match (value, expected) {
            // Another size: the host gives up, here it stays bytes.
            (Some(Value::Bytes(raw)), "None") => *raw == bytes(hex),
            (None, "None") => message.misfit.is_some() && hex.len() > 2 * params::MAX_SIZE,
            (Some(Value::Float(x)), "nan") => x.is_nan(),
            (Some(Value::Float(x)), number) => f64::from(*x) == number.parse::<f64>()?,
            (Some(Value::Int(n)), number) => *n == number.parse::<i64>()?,
            _ => false,
        };
        ensure!(agrees, "{kind} {hex}: {value:?}, the host has {expected}");
        numbers += u32::from(expected != "None");
        refused += u32::from(expected == "None");
    }
    ensure!(numbers > 20, "{numbers} numbers");
    Ok(format!("{numbers} numbers, {refused} of another size; {types:?}"))
}

fn is_motor(frame: &Frame<'_>) -> bool {
    frame.addr().class() == Some(Class::Motor) || frame.addr() == Address::ALL
}

/// The function that a command of the printer uses, where it is plain.
fn function_of(gcode: &str) -> Option<&'static str> {
    let name = gcode.split([' ', '(']).next()?;
    Some(match name {
        "MOTOR_CONTROL" => "CONTROL",
        "MOTOR_GET" => "GET",
        "MOTOR_SYS_PARAM" | "_motor_sys_param" => "SYS_PARAM",
        "MOTOR_FLASH_PARAM" => "FLASH_PARAM",
        "MOTOR_REBOOT" => "REBOOT",
        "MOTOR_BOOT" => "BOOT",
        "MOTOR_VERSION" => "VERSION",
        "MOTOR_ENCODER_CALIBRATE_OFFICIAL" => "ENCODER_CALIBRATE_OFFICIAL",
        "MOTOR_ELEC_OFFSET_CALIBRATE" => "ELEC_OFFSET_CALIBRATE",
        "MOTOR_STALL_MODE" | "set_z_stall_mode" => "STALL_MODE",
        "MOTOR_SET_ADDR" | "MOTOR_READ_ADDR" => "ADDRESS_485",
        "MOTOR_AUTO_CHECK_PROTECTION" | "MOTOR_CLEAR_ERR_WARN_CODE" => "PROTECTION",
        "BOX_SET_PRE_LOADING" => "SET_PRE_LOADING",
        "BOX_COMMUNICATION_TEST" => "COMMUNICATION_TEST",
        "BOX_EXTRUDE_2_PROCESS" => "EXTRUDE_PROCESS_MODEL2",
        "BOX_CTRL_CONNECTION_MOTOR_ACTION" => "CTRL_CONNECTION_MOTOR_ACTION",
        "BOX_GET_BOX_MODE" => "GET_BOX_MODE",
        _ => return None,
    })
}

/// The DATA sizes of a motor's replies that the host accepts; `None` where it takes any.
fn sizes(function: &str, asked: &[u8]) -> Option<&'static [usize]> {
    Some(match (function, asked) {
        ("VERSION", _) => &[12],
        ("GET", _) => &[4],
        ("ELEC_OFFSET_CALIBRATE", _) => &[9],
        ("PROTECTION", _) => &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        ("CONTROL", [4]) => &[3],
        ("SYS_PARAM", [3]) | ("FLASH_PARAM", [5, ..]) => &[1],
        ("STALL_MODE" | "ENCODER_CALIBRATE_OFFICIAL" | "COMMUNICATION_TEST", _) => &[1],
        _ => return None,
    })
}

fn record(raw: Vec<u8>) -> Record {
    Record {
        time: None,
        bus: "".into(),
        dir: None,
        offset: 0,
        bytes: raw,
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    }
}

/// Commands of the printer, the frames that the host sent for each, and what a slave answered:
/// replies of right and of wrong sizes.
pub(crate) fn gcodes(folder: &Path) -> Outcome {
    let text = fs::read_to_string(folder.join("vectors/motor_and_box_gcodes.jsonl"))?;
    let mut directions = Directions::default();
    let mut other: BTreeMap<String, usize> = BTreeMap::new();
    let mut misfits: BTreeMap<String, usize> = BTreeMap::new();
    let (mut named, mut fitting) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        let place = format!("line {}", number + 1);
        let entry: serde_json::Value = serde_json::from_str(line)?;
        let gcode = entry["gcode"].as_str().unwrap_or_default();
        // A poll before, so that the sequence is known from the first frame on.
        let before = ["f70103ff0a5c", "f70107000a19240000e7"];
        let mut records: Vec<Record> = before.map(|hex| record(bytes(hex))).into();
        let mut truth = vec![Direction::Request, Direction::Response];
        let mut command = Some(function_of(gcode));
        for frame in entry["frames"].as_array().into_iter().flatten() {
            let (dir, hex) = frame.as_str().ok_or("no text")?.split_once(' ').ok_or("no hex")?;
            let raw = bytes(hex);
            let frame = crate::frame(&raw, hex)?;
            let is_command = dir == "H>" && gcode.starts_with("BOX") != is_motor(&frame);
            if let Some(wanted) = command.take_if(|_| is_command) {
                let ours = K2.find(frame.addr(), frame.func()).map(|f| f.name);
                if wanted.is_some() {
                    ensure!(ours == wanted, "{place} {gcode}: {ours:?} {frame:?}");
                    named += 1;
                } else {
                    let word = gcode.split([' ', '(']).next().unwrap_or_default();
                    *other.entry(format!("{word}: {}", ours.unwrap_or("?"))).or_default() += 1;
                }
            }
            truth.push(if dir == "H>" { Direction::Request } else { Direction::Response });
            records.push(record(raw));
        }
        let seen = seen(records);
        // Where a motor is silent the same frame follows, which only a time could tell from an
        // echo; there is none here.
        let silent = entry["reply"].as_object().is_some_and(|r| r.values().any(|v| v.is_null()));
        for (observed, dir) in observed(&seen).zip(&truth).filter(|_| !silent) {
            directions.add(&observed.frame(), observed.dir, *dir, &place);
        }
        for exchange in exchanges(&seen) {
            let (Some(request), Some(response)) = (&exchange.request, &exchange.response) else {
                continue;
            };
            let (asked, told) = (request.frame(), response.frame());
            let message = response.message();
            let name = message.function.map_or("", |function| function.name);
            let right = sizes(name, asked.data()).map(|sizes| sizes.contains(&told.data().len()));
            match (message.misfit, right) {
                (Some(misfit), Some(true)) => {
                    return Err(format!("{place}: {asked:?} {told:?}: {misfit}").into());
                }
                // A layout for whatever comes takes what is no reply of its own.
                (None, Some(false)) if matches!(message.form, Some("Ignored" | "Printed")) => {
                    *misfits.entry(format!("{name}: hidden by a looser layout")).or_default() += 1;
                }
                (None, Some(false)) => {
                    return Err(format!("{place}: {asked:?} {told:?}: no misfit").into());
                }
                (None, _) => fitting += 1,
                (Some(_), _) => *misfits.entry(name.to_owned()).or_default() += 1,
            }
        }
    }
    ensure!(directions.wrong.is_empty(), "{directions}");
    ensure!(named > 250, "only {named} commands");
    Ok(format!(
        "{named} names; {directions}; replies: {fitting} fit, misfits {misfits:?}; not compared: \
         {other:?}"
    ))
}
