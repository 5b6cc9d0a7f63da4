//! The JSON lines against their schema, `docs/jsonl.schema.json`, and what a schema cannot say:
//! that times are exact.

mod common;

use common::{file, folder, k485, k485_with, project, sample};
use jsonschema::Validator;
use k485_proto::address::Address;
use k485_proto::frame::{Frame, Hex};
use k485_proto::message;
use k485_proto::status::Status;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn schema() -> Value {
    let text = std::fs::read_to_string(project("docs/jsonl.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("the schema is one itself")
}

/// Every line as a value; fails with the first line that the schema does not allow.
#[track_caller]
fn valid(validator: &Validator, out: &str) -> Vec<Value> {
    let check = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{line}\n{}", errors.join("\n"));
        value
    };
    assert!(out.ends_with('\n'));
    out.lines().map(check).collect()
}

/// A frame in hex.
fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> String {
    let raw = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
    Hex(&raw).to_string()
}

#[test]
fn the_sample() {
    let (validator, sample) = (validator(), sample());
    for args in [&[][..], &["--frames"]] {
        let run = k485(["decode", "--to", "json", sample.to_str().unwrap()].iter().chain(args));
        assert!(valid(&validator, &run.clean()).len() > 100);
    }
}

/// What is odd on a wire, frame by frame.
#[test]
fn nasty_bytes() {
    let validator = validator();
    let nan = |bytes: u32| bytes.to_be_bytes();
    let poll = frame(1, 0xff, 0x10, &[1, 5, 0]);
    let mut lines = vec![
        "00 01 02".to_owned(),
        // A bad length, a bad CRC, a frame in noise.
        "f7 01 02 f7 01 03 ff 0a 5d".to_owned(),
        format!("55 55 {} aa", frame(1, 0xff, 0x05, &[])),
        // No function of anybody's, with data and without; no device.
        frame(1, 0xff, 0x12, &[]),
        frame(1, 0x00, 0x7e, &[1, 2, 3]),
        frame(0x41, 0xff, 0x0a, &[]),
        frame(0x60, 0x00, 0x60, &[0xff; 252]),
        // A status that nobody knows, with data and without.
        frame(1, 0x99, 0x0a, &[]),
        frame(1, 0x99, 0x05, &[2]),
        // Bare frames, asked and answered.
        "0103ff05".to_owned(),
        "0104000502".to_owned(),
        // Too short, too long, values without names.
        frame(1, 0xff, 0x0a, &[]),
        frame(1, 0x00, 0x0a, &[25]),
        frame(1, 0xff, 0x0a, &[]),
        frame(1, 0x00, 0x0a, &[25, 36, 0xff, 0x77, 1, 2]),
        frame(1, 0xff, 0x04, &[0xf0, 9]),
        frame(1, 0x00, 0x04, &[]),
        // One reply too many.
        frame(1, 0x00, 0x04, &[]),
        // To nobody and from everybody.
        frame(0xff, 0x00, 0x0b, &[1]),
        // Motors: words of flags, with unnamed ones; a parameter of unknown number.
        frame(0x81, 0x00, 0x0c, &[0x0b]),
        frame(0x81, 0x00, 0x0c, &[0xff; 8]),
        frame(0x81, 0x00, 0x06, &[2, 250]),
        frame(0x81, 0x00, 0x06, &[1, 2, 3, 4]),
        frame(0x81, 0x00, 0x08, &[1]),
        frame(0x81, 0x00, 0x08, &f32::NEG_INFINITY.to_le_bytes()),
        // Nobody answers, and then the capture ends.
        frame(4, 0x00, 0xa2, &[]),
        frame(3, 0xff, 0x0a, &[]),
    ];
    for bytes in [0x7fc0_0000, 0x7f80_0000, 0xff80_0000, 0x0000_0001, 0x7f7f_ffff] {
        lines.push(poll.clone());
        lines.push(frame(1, 0x00, 0x10, &nan(bytes)));
    }
    let tags: [&[u8]; 6] = [
        b"A:none;B:busy;C:unknown;D:K4850TEST01011002026EEEE0330000042000000;",
        b"A:none",
        b"",
        b"A:\x00\xff\x1b[31m;",
        b"E:none;rest",
        b"A:\xc3\xa4;",
    ];
    for tag in tags {
        lines.push(frame(1, 0xff, 0x02, &[15]));
        lines.push(frame(1, 0x00, 0x02, tag));
    }
    lines.push(frame(0x11, 0xff, 0x02, &[]));
    lines.push(frame(0x11, 0x00, 0x02, b"K4850TEST01011002026EEEE0330000042000000"));
    let text = lines.join("\n") + "\n";

    for args in [&[][..], &["--frames"]] {
        let is_frames = !args.is_empty();
        let args = ["decode", "--to", "json", "--from", "hex", "-"].iter().chain(args);
        let run = k485_with(args, text.as_bytes());
        assert_eq!(run.code, Some(0), "{}", run.err);
        let values = valid(&validator, &run.out);
        let has = |wanted: &dyn Fn(&Value) -> bool| {
            let inside = |v: &Value| wanted(v) || wanted(&v["request"]) || wanted(&v["response"]);
            values.iter().any(inside)
        };
        // All that is odd is really there.
        for reason in ["garbage", "bad_length", "bad_crc"] {
            assert!(has(&|v| v["reason"] == reason), "{reason}");
        }
        assert!(has(&|v| v["bare"] == true && v["crc_ok"].is_null()));
        assert!(has(&|v| v["implausible_addr"] == true));
        assert!(has(&|v| v["function"].is_null() && v["rest"] == "010203"));
        assert!(has(&|v| v["misfit"].is_string()));
        assert!(has(&|v| v["fields"].get("odometer") == Some(&Value::Null)));
        assert!(has(&|v| v["fields"]["odometer"].as_f64().is_some_and(|x| x as f32 == f32::MAX)));
        assert!(has(&|v| v["fields"]["errors_set"][13] == "other"));
        assert!(has(&|v| v["fields"]["ran_set"][5] == "bit5"));
        assert!(has(&|v| v["fields"]["state"] == 0x77 && v["fields"]["state_name"].is_null()));
        assert!(has(&|v| v["fields"]["tags"]["D"]["material"] == "011002"));
        assert!(has(&|v| v["fields"]["tags"]["A"]["raw"] == r"\x00\xff\x1b[31m"));
        assert!(has(&|v| v["fields"]["tags"]["rest"] == "A:none"));
        assert!(has(&|v| v["fields"]["tag"]["colour"] == "026EEEE"));
        let outcomes = ["answered", "timeout", "no_reply_expected", "unsolicited"];
        for outcome in outcomes.iter().filter(|_| !is_frames) {
            assert!(has(&|v| v["outcome"] == *outcome), "{outcome}");
        }
    }
}

const SEND: &str = r#""object": "serial_485 serial485", "class": "Serial_485_Wrapper", "method": "cmd_send_data_with_response""#;

/// A trace has what a wire has not: calls that overlap, returns without a call, calls without a
/// return, a return with two frames, with half a one, with nothing.
#[test]
fn nasty_traces() {
    let validator = validator();
    let call = |id: u32, time: &str, args: &str| {
        format!(
            "{{\"type\": \"call\", \"id\": {id}, \"time\": {time}, {SEND}, \"args\": \"{{'_bytes': '{args}'}}, 2\"}}\n"
        )
    };
    let end = |id: u32, time: &str, result: &str| {
        format!(
            "{{\"type\": \"return\", \"id\": {id}, \"time\": {time}, {SEND}, \"result\": {result}, \"duration_ms\": 15.53034782409668}}\n"
        )
    };
    let bytes = |hex: &str| format!("{{\"_bytes\": \"{hex}\"}}");
    let text = [
        end(1, "1767293742.1", "null"),
        end(2, "1767293742.2", &bytes("f7010400050019")),
        call(3, "1767293742.3", "0103ff05"),
        call(4, "1767293742.4", "0203ff0a"),
        end(3, "1767293742.5", &bytes("f7010400050019")),
        end(4, "1767293742.6", "null"),
        call(5, "1767293742.7", "0103ff05"),
        end(5, "1767293742.8", &bytes("f7010400050019f7010400050217")),
        call(6, "1767293742.9", "0103ff05"),
        end(6, "1767293743.0", &bytes("f70104000500")),
        call(7, "1767293743.1", "0103ff05"),
        end(7, "1767293743.2", &bytes("")),
        call(8, "1767293743.3", "0103ff0a"),
    ]
    .concat();
    let folder = folder();
    let path = file(&folder, "t.jsonl", text.as_bytes());
    let run = k485(["decode", "--to", "json", &path]);
    let values = valid(&validator, &run.out);
    let outcomes: Vec<&str> = values.iter().filter_map(|v| v["outcome"].as_str()).collect();
    for outcome in ["answered", "timeout", "request_not_seen", "unfinished"] {
        assert!(outcomes.contains(&outcome), "{outcome} is not in {outcomes:?}");
    }
    let empty = values.iter().find(|v| v["request"].is_null() && v["response"].is_null());
    let empty = empty.expect("a return without a reply, whose call is missing");
    assert_eq!(empty["outcome"], "request_not_seen");
    assert!(values.iter().any(|v| v["latency_source"] == "call"));
    let frames = k485(["decode", "--to", "json", "--frames", &path]);
    assert!(valid(&validator, &frames.out).iter().any(|v| v["dir_source"] == "given"));
}

/// The schema holds a line to something: what is changed in a good line is found.
#[test]
fn bad_lines_are_found() {
    let validator = validator();
    let args = ["decode", "--to", "json", sample().to_str().unwrap()].map(str::to_owned);
    let out = k485(args).clean();
    let lines = valid(&validator, &out);
    let exchange = lines.iter().find(|v| v["outcome"] == "answered").unwrap();
    let noise = lines.iter().find(|v| v["type"] == "noise").unwrap();
    let frame = &exchange["request"];
    let mut changed = 0;
    let mut refused = |line: &Value, key: &str, value: Value| {
        let mut bad = line.clone();
        bad[key] = value.clone();
        assert!(!validator.is_valid(&bad), "{key} may be {value} in a line of {}", line["type"]);
        changed += 1;
    };
    for line in [exchange, noise, frame] {
        assert!(validator.is_valid(line));
        refused(line, "type", json!("other"));
        refused(line, "v", json!("1"));
        refused(line, "v", json!(2));
        refused(line, "time", json!("1767293742.696913"));
        refused(line, "bus", json!(null));
        refused(line, "surplus", json!(1));
        // Nothing in these lines may be missing.
        for key in line.as_object().unwrap().keys() {
            let mut bad = line.clone();
            bad.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&bad), "{key} may be missing in {}", line["type"]);
        }
    }
    for (key, value) in [
        ("dir", json!("out")),
        ("dir", json!(null)),
        ("dir_source", json!("unknown")),
        ("addr", json!("0x01")),
        ("addr", json!(256)),
        ("func", json!(-1)),
        ("function", json!(3)),
        ("function", json!(null)),
        ("data", json!("0F")),
        ("data", json!("f")),
        ("raw", json!("F70103FF0A5C")),
        ("raw", json!("0103ff0a")),
        ("rest", json!("")),
        ("crc_ok", json!(false)),
        ("bare", json!(false)),
        ("bare", json!(true)),
        ("offset", json!(-1)),
        ("fields", json!([])),
        ("fields", json!({"Temperature": 1})),
        ("fields", json!({"temperature": true})),
        ("fields", json!({"state_name": 1})),
        ("fields", json!({"slot_mask": 256})),
        ("fields", json!({"ran_set": "A"})),
        ("fields", json!({"tags": {"E": {"raw": "none"}}})),
        ("fields", json!({"tags": {"A": "none"}})),
        ("fields", json!({"tag": {"material": "011002", "raw": ""}})),
    ] {
        refused(frame, key, value);
    }
    for (key, value) in [
        ("reason", json!("none")),
        ("bytes", json!("")),
        ("bytes", json!("0 1")),
        ("offset", json!(1.5)),
        ("dir", json!("in")),
    ] {
        refused(noise, key, value);
    }
    for (key, value) in [
        ("outcome", json!("lost")),
        ("outcome", json!("timeout")),
        ("outcome", json!("request_not_seen")),
        ("request", json!(null)),
        ("response", noise.clone()),
        ("latency_ms", json!("2.5")),
        ("latency_ms", json!(null)),
        ("latency_source", json!(null)),
        ("attempts", json!(0)),
        ("attempts", json!(1.5)),
    ] {
        refused(exchange, key, value);
    }
    assert!(changed > 50);
}

/// Every key is explained, and nothing is let through unnamed.
#[test]
fn the_schema_is_complete() {
    fn walk(at: &str, value: &Value, resolve: &dyn Fn(&str) -> Value, keys: &mut usize) {
        let Some(object) = value.as_object() else { return };
        for table in ["properties", "patternProperties", "$defs"] {
            for (name, part) in object.get(table).and_then(Value::as_object).into_iter().flatten() {
                let explained = match part.get("$ref").and_then(Value::as_str) {
                    Some(target) if part.get("title").is_none() => resolve(target),
                    _ => part.clone(),
                };
                // What only narrows a key that is explained elsewhere needs no words.
                if !at.ends_with(" allOf") {
                    for word in ["title", "description"] {
                        let text = explained[word].as_str().unwrap_or_default();
                        assert!(!text.is_empty(), "{at} {name} has no {word}");
                    }
                    *keys += 1;
                }
                walk(&format!("{at} {name}"), part, resolve, keys);
            }
        }
        if object.contains_key("properties") && !at.ends_with("allOf") {
            assert_eq!(object.get("additionalProperties"), Some(&json!(false)), "{at}");
        }
    }
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema.get("$id"), None);
    let resolve = |target: &str| schema.pointer(target.trim_start_matches('#')).unwrap().clone();
    let mut keys = 0;
    walk("schema", &schema, &resolve, &mut keys);
    assert!(keys > 60, "{keys} keys");

    // A field's own name must not look like one of those that go beside another.
    for function in message::all_functions() {
        for field in function.request.iter().chain(function.reply).flat_map(|form| form.fields) {
            for suffix in ["_name", "_set", "_mask"] {
                assert!(!field.name.ends_with(suffix), "{function:?}: {}", field.name);
            }
        }
    }
}

/// The numbers of a line as they are written.
#[derive(Deserialize)]
struct Times<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    latency_ms: Option<&'a RawValue>,
    raw: Option<String>,
}

fn times(line: &str) -> Times<'_> {
    serde_json::from_str(line).unwrap()
}

#[test]
fn times_are_exact() {
    let text = std::fs::read_to_string(sample()).unwrap();
    let given = text.lines().filter_map(|line| line.strip_prefix('(')?.split_once(')'));
    let (given, hex): (Vec<&str>, Vec<&str>) = given.unzip();
    let out = k485(["decode", "--to", "json", "--frames", sample().to_str().unwrap()]).clean();
    let shown: Vec<Times> = out.lines().map(times).collect();
    // Every line of the sample is one frame or one stretch of noise.
    assert_eq!(shown.len(), given.len());
    for ((shown, given), hex) in shown.iter().zip(&given).zip(&hex) {
        assert_eq!(shown.time.map(RawValue::get), Some(*given));
        let lower: String = hex.split_whitespace().collect::<String>().to_lowercase();
        assert!(shown.raw.as_ref().is_none_or(|raw| *raw == lower), "{lower}");
    }

    // The latency is the difference of the two, to the nanosecond.
    let nanos = |time: &str| -> i128 { time.replace('.', "").parse().unwrap() };
    let of = |hex: &str| {
        let at = text.lines().position(|line| line.ends_with(hex)).unwrap();
        nanos(text.lines().nth(at).unwrap()[1..].split_once(')').unwrap().0)
    };
    let took =
        of("F7 01 11 00 A3 01 00 4B 34 38 35 01 53 41 4D 50 4C 45 01 A1") - of("F7 01 03 00 A3 DD");
    let out = k485(["decode", "--to", "json", sample().to_str().unwrap()]).clean();
    let line = out.lines().find(|line| line.contains(r#""latency_ms":2"#)).unwrap();
    let latency = times(line).latency_ms.unwrap().get();
    assert_eq!(nanos(latency), took);
    assert_eq!(latency.split_once('.').unwrap().1.len(), 6, "{latency}");
}

#[test]
fn nine_digits_whatever_was_given() {
    for (given, shown) in [
        ("1700000000.5", "1700000000.500000000"),
        ("1700000000", "1700000000.000000000"),
        ("1767293742.696913001", "1767293742.696913001"),
        ("0.000000001", "0.000000001"),
        ("12.75", "12.750000000"),
    ] {
        let text = format!("({given}) f70103ff0571\n");
        let run = k485_with(["decode", "--to", "json", "--from", "hex", "-"], text.as_bytes());
        let out = run.clean();
        assert_eq!(times(&out).time.unwrap().get(), shown);
    }
    // A trace's times are decimal text too, with as many digits as Python gave them.
    let folder = folder();
    let text = format!(
        "{{\"type\": \"call\", \"id\": 1, \"time\": 1767293742.7175698, {SEND}, \"args\": \"{{'_bytes': '0103ff05'}}, 2\"}}\n\
         {{\"type\": \"return\", \"id\": 1, \"time\": 1767293742.7342, {SEND}, \"result\": null, \"duration_ms\": 15.53034782409668}}\n"
    );
    let path = file(&folder, "t.jsonl", text.as_bytes());
    let out = k485(["decode", "--to", "json", &path]).clean();
    let line = times(&out);
    assert_eq!(line.time.unwrap().get(), "1767293742.717569800");
    // Rounded to the nanosecond.
    assert_eq!(line.latency_ms.unwrap().get(), "15.530348");
}
