//! `k485 encode`, `explain`, `unzip`, `zip`: from words to bytes and back.

mod common;

use common::{bytes, k485};
use k485_proto::address::{Address, Class};
use k485_proto::message::params::{self, ParamType};
use k485_proto::message::{self, Form, Function};
use serde_json::Value;

fn words(line: &str) -> common::Run {
    k485(line.split_whitespace())
}

#[test]
fn requests() {
    // Frames as captured, or as the vendor's host was seen to send them.
    for (line, frame) in [
        ("box1 GET_BOX_STATE", "f70103ff0a5c"),
        ("box1 0x0a", "f70103ff0a5c"),
        ("0x01 get_box_state", "f70103ff0a5c"),
        ("box2 EXTRUDE_PROCESS slot=A stage=0", "f70206ff10010000c3"),
        ("box2 EXTRUDE_PROCESS slot=T2A stage=feed_poll", "f70206ff1001050082"),
        ("box2 EXTRUDE_PROCESS slot=0x01 stage=push param=3", "f70206ff10010703a1"),
        ("box1 SET_BOX_MODE mode=idle", "f70105ff04000190"),
        ("box1 SET_BOX_MODE slot=D mode=print", "f70105ff0408003f"),
        ("box1 SET_PRE_LOADING action=run", "f70105ff0d0f0260"),
        ("box1 RETRUDE_PROCESS slot=none stage=buffer", "f70105ff110000f5"),
        ("box1 GET_RFID", "f70104ff020f74"),
        ("box1 EXTRUDE_PROCESS_MODEL2 slot=A target=buffer", "f70105ff13010131"),
        ("box1 EXTRUDE_PROCESS_MODEL2 slot=A", "f70104ff13011c"),
        ("unassigned GET_SLAVE_INFO", "f7fe0500a1fefef8"),
        ("box1 ONLINE_CHECK", "f7010300a2da"),
        ("all LOADER_TO_APP", "f7ff04000b01c8"),
        ("all ADDRESS_485 op=set", "f7ff04000e0189"),
        ("motor1 SYS_PARAM op=write id=14 value=1.4", "f781090006010e3333b33f0d"),
        ("motor1 SYS_PARAM op=read id=14", "f781050006020e90"),
        ("motor1 SYS_PARAM op=save", "f781040006032f"),
        ("motor1 FLASH_PARAM op=6 id=14", "f781050007060eaf"),
        ("motor3 STALL_MODE mode=2", "f7830400110214"),
        ("motor4 PROTECTION op=query", "f78404000c0b95"),
        ("belt1 BELT_READ_FLASH", "f721040002037b"),
        ("belt1 BELT_MOVE direction=0 distance=99", "f7210800080000000063f9"),
        ("rack GET_RFID", "f71103ff0264"),
    ] {
        assert_eq!(words(&format!("encode {line}")).clean(), format!("{frame}\n"), "{line}");
    }
    assert_eq!(words("encode box1 GET_BOX_STATE --bare").clean(), "0103ff0a\n");
}

#[test]
fn replies() {
    for (line, frame) in [
        ("box1 GET_BOX_STATE temperature=25 humidity=36 ran=0 state=idle", "f70107000a19240000e7"),
        // With a latched error the data is still there.
        (
            "box1 GET_BOX_STATE --status 0x08 temperature=0 humidity=0 ran=0 state=error",
            "f70107080a000000049d",
        ),
        ("box1 TIGHTEN_UP_ENABLE --status PARAMS_ERR", "f70103010f85"),
        ("box2 EXTRUDE_PROCESS --form FeedStart", "f702030010cd"),
        ("box1 EXTRUDE_PROCESS --form tohub state=0", "f701040010000f"),
        (
            "box1 GET_VERSION_SN version=110 serial=10000843215B625AHSC",
            "f7011900143131303130303030383433323135423632354148534384",
        ),
        (
            "box1 GET_SLAVE_INFO device_type=box program=app uniid=690630021853331152353832",
            "f7011100a101006906300218533311523538329c",
        ),
        ("motor1 PROTECTION errors=0 warnings=0", "f7810b000c0000000000000000fb"),
    ] {
        let run = words(&format!("encode {line} --reply"));
        let (out, code) = (run.out.trim_end().to_owned(), run.code);
        assert_eq!((out.as_str(), code), (frame, Some(0)), "{line}: {}", run.err);
    }
}

#[test]
fn what_cannot_be_written() {
    for (line, expected) in [
        (
            "box1 EXTRUDE_PROCESS stage=5",
            "slot is missing; the layout is: Stage slot, stage, param=0",
        ),
        ("box1 EXTRUDE_PROCESS slot=T2A stage=5", "slot=T2A: expected a slot of box1"),
        (
            "box1 EXTRUDE_PROCESS slot=Q stage=5",
            "slot=Q: expected slots such as A, T1A, A+C, none, all, or a mask such as 0x0f",
        ),
        (
            "box1 EXTRUDE_PROCESS slot=A stage=300",
            "stage=300: expected a whole number from 0 to 255",
        ),
        ("box1 EXTRUDE_PROCESS slot=A stage=swallow", "to_hub, feed_until_still, hub_feed"),
        (
            "box1 EXTRUDE_PROCESS slot=A stage=5 speed=1",
            "no layout has speed; there are: Stage slot, stage, param=0",
        ),
        ("box1 EXTRUDE_PROCESS slot", "\"slot\": write NAME=VALUE"),
        ("box1 EXTRUDE", "box1 has no function \"EXTRUDE\"; did you mean EXTRUDE_PROCESS?"),
        ("box1 XYZZY", "box1 has no function \"XYZZY\"; there are: CREATE_CONNECT, GET_RFID"),
        ("box1 EXTRUDE_PROCESS slot=A slot=B stage=5", "slot is given twice"),
        ("box1 EXTRUDE_PROCESS slot=A+B stage=5", "slot=A+B: expected one slot"),
        ("box1 EXTRUDE_PROCESS =5", "\"=5\": write NAME=VALUE"),
        ("box1 0x77", "box1 has no function 0x77 that is known"),
        ("motor1 EXTRUDE_PROCESS slot=A stage=5", "is a function of a box, and motor1 is none"),
        (
            "motor1 SYS_PARAM op=write id=14 value=much",
            "value=much: expected a number such as -587.2 (float)",
        ),
        ("box1 EXTRUDE_PROCESS --reply --form Poll", "FeedPoll odometer"),
        ("box1 GET_VERSION_SN --reply version=11 serial=x", "version=11: expected 3 bytes, not 2"),
        ("rack GET_RFID --reply tag=short", "tag=short: expected 40 bytes, not 5"),
    ] {
        let err = words(&format!("encode {line}")).failed(1);
        assert!(err.starts_with("k485: ") && err.contains(expected), "{line}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    for line in [
        "box9 GET_BOX_STATE",
        "box1",
        "box1 GET_BOX_STATE --status OK",
        "box1 0A --reply --status 0x100",
    ] {
        assert_eq!(words(&format!("encode {line}")).code, Some(2), "{line}");
    }
}

/// A text for a field as a person may type it, and what JSON shows of it.
fn sample(field: &k485_proto::message::Field, device: Address) -> (String, Value) {
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let (text, shown) = match field.kind.name {
        "u8" if !field.codes.is_empty() => {
            let (code, name) = field.codes[0];
            return (name.to_owned(), code.into());
        }
        "u8" => ("7", json("7")),
        "i8" => ("-7", json("-7")),
        "u16le" | "u16be" => ("0x1234", json("4660")),
        "u32le" | "u32be" => ("0x12345678", json("305419896")),
        "f32le" | "f32be" => ("-587.25", json("-587.25")),
        "bits8" | "bits32le" => ("0x05", json("5")),
        "slots" if field.name == "slot" && device == Address(1) => ("C", json("\"T1C\"")),
        "slots" if field.name == "slot" => ("C", json("\"C\"")),
        "slots" if device == Address(1) => ("A+C", json("\"T1A+T1C\"")),
        "slots" => ("A+C", json("\"A+C\"")),
        "address" => ("box3", json("\"box3\"")),
        "uniid" => ("0102030405060708090a0b0c", json("\"0102030405060708090a0b0c\"")),
        "bytes2" => ("0a0b", json("\"0a0b\"")),
        "version2" => ("1.2", json("\"1.2\"")),
        "version4" => ("1.2.3.4", json("\"1.2.3.4\"")),
        "ascii3" => ("113", json("\"1.1.3\"")),
        "tag" => {
            let tag = "K4850TEST01011002026EEEE0330000042000000";
            let shown = format!(
                r#"{{"material":"011002","colour":"026EEEE","length":"0330","serial":"000042","raw":"{tag}"}}"#
            );
            return (tag.to_owned(), json(&shown));
        }
        "text" => ("a serial", json("\"a serial\"")),
        "bytes" => ("0a0b0c", json("\"0a0b0c\"")),
        "tags" => ("A:none;C:busy;", json(r#"{"A":{"raw":"none"},"C":{"raw":"busy"}}"#)),
        "param" => ("1", json("1")),
        other => panic!("a new kind of field, {other}: add it here"),
    };
    (text.to_owned(), shown)
}

/// Arguments for a form, and the values that must come back. `fixed` are values that choose it.
fn arguments(
    form: &Form,
    all: &[Form],
    fixed: &[(&str, u32)],
    device: Address,
) -> Vec<(String, String, Value)> {
    let one = |field: &k485_proto::message::Field| {
        let taken = |value: &u32| {
            all.iter().any(|f| f.when.iter().any(|(name, v)| *name == field.name && v == value))
        };
        if let Some((_, value)) = fixed.iter().find(|(name, _)| *name == field.name) {
            return (value.to_string(), (*value).into());
        }
        if (0..=255).any(|value| taken(&value)) {
            // What chooses another form must not be hit by chance.
            let value = (0..=255).find(|value| !taken(value)).unwrap();
            return (value.to_string(), value.into());
        }
        sample(field, device)
    };
    form.fields
        .iter()
        .map(|field| {
            let (text, shown) = one(field);
            (field.name.to_owned(), text, shown)
        })
        .collect()
}

/// The hex that `encode` gives.
fn encoded(
    device: Address,
    function: &Function,
    args: &[(String, String, Value)],
    options: &[String],
) -> String {
    let fields = args.iter().map(|(name, text, _)| format!("{name}={text}"));
    let words = ["encode".to_owned(), device.to_string(), function.name.to_owned()];
    k485(words.into_iter().chain(fields).chain(options.iter().cloned())).clean().trim().to_owned()
}

fn check(frame: &Value, hex: &str, form: &Form, args: &[(String, String, Value)]) {
    assert_eq!(frame["raw"], *hex, "{frame}");
    assert_eq!(frame["form"], form.name, "{frame}");
    assert_eq!(frame.get("misfit"), None, "{frame}");
    for (name, text, shown) in args {
        let found = &frame["fields"][name];
        let same = found == shown || (found.as_f64().is_some() && found.as_f64() == shown.as_f64());
        assert!(same, "{name}={text} comes back as {found}: {frame}");
    }
}

/// Every layout of every function, as a request with each of its replies: what `encode` writes,
/// `decode` reads.
#[test]
fn round_trips() {
    // A poll and its reply before, so that the sequence tells the directions of what follows.
    let before = "f70103ff0a5c f70107000a19240000e7";
    let mut exchanges = 0;
    for function in message::all_functions() {
        let device = match (function.class, function.code) {
            (Class::Box, _) | (Class::Addressing, 0xa2 | 0xa3 | 0xf0) => Address(1),
            (Class::Addressing, 0x0b) => Address::ALL,
            (Class::Addressing, _) => Address::UNASSIGNED,
            (Class::Motor, _) => Address(0x81),
            (Class::Belt, _) => Address(0x21),
            (Class::Rack | Class::Other(_), _) => Address(0x11),
        };
        for request in function.request {
            for reply in function.reply {
                let fits = |chosen: &(&str, u32)| {
                    let (name, value) = chosen;
                    // Either this layout's own choice, or no other layout's.
                    request.fields.iter().any(|field| field.name == *name)
                        && request.when.iter().all(|(n, v)| n != name || v == value)
                        && (request.when.contains(chosen)
                            || !function.request.iter().any(|form| form.when.contains(chosen)))
                };
                if !reply.when.iter().all(fits) {
                    continue;
                }
                let fixed: Vec<_> = request.when.iter().chain(reply.when).copied().collect();
                let ask = arguments(request, function.request, &fixed, device);
                let asked = encoded(device, function, &ask, &[]);
                let status = match reply.status {
                    message::StatusRule::Is(code) => format!("0x{code:02x}"),
                    _ => "OK".to_owned(),
                };
                // A form that any request may have yields to the one that this request chooses.
                let free = |form: &&Form| {
                    !form.when.is_empty()
                        && form.when.iter().all(|(name, value)| {
                            ask.iter().any(|(n, text, _)| n == name && *text == value.to_string())
                        })
                };
                if reply.when.is_empty() && function.reply.iter().any(|form| free(&form)) {
                    continue;
                }
                let mut tell = arguments(reply, &[], &[], device);
                for (name, text, shown) in &mut tell {
                    if reply.name == "Partial" {
                        // Two bytes: with four it would be a word.
                        (*text, *shown) = ("0a0b".into(), "0a0b".into());
                    } else if name == "value" && function.class == Class::Motor {
                        // A reply does not tell its parameter, so it is written as bytes.
                        let (_, kind) = params::info(0).unwrap();
                        assert_eq!(kind, ParamType::U16);
                        *text = "0100".into();
                    }
                }
                let options = ["--reply", "--form", reply.name, "--status", &status];
                let told = encoded(device, function, &tell, &options.map(str::to_owned));
                let hex = format!("{before} {asked} {told}");
                let out = k485(["decode", "--to", "json", "--hex", &hex]).clean();
                let last: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
                check(&last["request"], &asked, request, &ask);
                assert_eq!(last["request"]["dir"], "request", "{last}");
                if !device.is_broadcast() {
                    assert_eq!(last["outcome"], "answered", "{function:?} {}", reply.name);
                    check(&last["response"], &told, reply, &tell);
                }
                exchanges += 1;
            }
        }
    }
    assert!(exchanges > 70, "{exchanges} exchanges");
}

#[test]
fn explained() {
    for (line, wanted) in [
        (
            "0x14",
            &[
                "status 14 RETRUDE_ERR2: the filament did not leave the hub sensor",
                "the host reports key849: ",
                "function 14 GET_VERSION_SN (box): ",
                "version: ascii3 [wire]",
            ][..],
        ),
        ("RETRUDE_ERR2", &["status 14 RETRUDE_ERR2: ", "key849", "key865"]),
        ("retrude_err2", &["status 14 RETRUDE_ERR2: "]),
        (
            "key849",
            &[
                "key849: ",
                "from status 14 RETRUDE_ERR2: ",
                "from status 19 RETRUDE_ERR6: ",
                "from status 1A RETRUDE_ERR7: ",
            ],
        ),
        (
            "A2",
            &[
                "function A2 ONLINE_CHECK (addressing): ",
                "waits 0.1 s and sends once",
                "effect: read",
            ],
        ),
        ("extrude-process", &["function 10 EXTRUDE_PROCESS (box): ", "reply FeedPoll (stage=5):"]),
        ("011002", &["material 011002: target speed 360 mm/min [host]"]),
        ("T1A", &["slot T1A: slot A of box1 (address 01), mask 01 on the wire"]),
        ("T4D", &["slot T4D: slot D of box4 (address 04), mask 08 on the wire"]),
        ("box1", &["address 01 box1: filament box 1 (slots T1A to T1D)", "10 EXTRUDE_PROCESS"]),
        ("0x83", &["address 83 motor3: closed-loop motor 3 (z)"]),
        ("ff", &["status FF: what requests to boxes and the rack carry", "everyone (broadcast)"]),
        ("026eeee", &["colour 026eeee: red 38, green 238, blue 238"]),
        ("f70103ff0a5c", &["request f70103ff0a5c: box1 GET_BOX_STATE"]),
        ("0203ff0a", &["request f70203ff0a5c: box2 GET_BOX_STATE"]),
    ] {
        let out = words(&format!("explain {line}")).clean();
        for part in wanted {
            assert!(out.contains(part), "explain {line}: no {part:?} in\n{out}");
        }
    }
    // As hosts, logs and documents write them, with blanks.
    for (word, wanted) in [
        ("CMD_ONLINE_CHECK", "function A2 ONLINE_CHECK (addressing): "),
        ("cmd_extrude-process", "function 10 EXTRUDE_PROCESS (box): "),
        ("F7 01 03 00 A2 DA", "request f7010300a2da: box1 ONLINE_CHECK, STATUS OK"),
        ("f7:01:04:00:f0:00:4c", "frame f7010400f0004c: box1 LOADER_F0, STATUS OK"),
        (
            "F7 01 04 00 F0 03 45 F7 01 04 00 F0 E0 E2",
            "response f7010400f0e0e2: box1 LOADER_F0, STATUS OK\n  value=224",
        ),
        (r#"{"code":"key840", "msg":"box state error", "values":[]}"#, "key840: "),
        (r#"[ERROR] !! {"code": "key840", ..."#, "key840: "),
        ("{'code': 'key840'}", "key840: "),
    ] {
        let out = k485(["explain", word]).clean();
        assert!(out.contains(wanted), "explain {word}: no {wanted:?} in\n{out}");
    }
    let err = k485(["explain", "CMD_ONLINE_CHEK"]).failed(1);
    assert!(err.contains("did you mean ONLINE_CHECK?"), "{err}");
    // One byte may be many things; a name is one.
    assert_eq!(words("explain RETRUDE_ERR2").clean().matches("function").count(), 0);
    assert_eq!(words("explain 0x01").clean().lines().filter(|l| !l.starts_with(' ')).count(), 4);
}

#[test]
fn nothing_to_explain() {
    let err = words("explain nonsense").failed(1);
    assert!(err.starts_with("k485: nothing known of \"nonsense\": expected a status ("), "{err}");
    // What is known is told all the same.
    let run = words("explain T1A nonsense box1 bosh");
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("slot T1A: ") && run.out.contains("address 01 box1: "), "{}", run.out);
    assert!(run.err.contains("nothing known of \"nonsense\", \"bosh\": "), "{}", run.err);
    assert_eq!(words("explain").code, Some(2));
}

#[test]
fn unzipped_and_zipped() {
    // One batch of ticks and one of pressures, as a printer gave them.
    let ticks = "060aaba982a7f61e7a098f7001007201dc7101927001";
    let values = "4138173097\n4138794183\n4138888534\n4138983254\n4139077938\n4139172292\n";
    assert_eq!(words(&format!("unzip {ticks}")).clean(), values);
    let pressures = "06051a6842ecd2850af600dea8feccfe";
    let values = "-1293720\n-604102\n-603856\n-603890\n-604234\n-604542\n";
    assert_eq!(words(&format!("unzip {pressures} --signed")).clean(), values);
    assert_eq!(words(&format!("unzip 0x{pressures} --signed")).clean(), values);
    let packed = words(&format!("zip --signed -- {}", values.replace('\n', " "))).clean();
    assert_eq!(packed, format!("{pressures}\n"));
    assert_eq!(words("zip").clean(), "00\n");
    assert_eq!(words("unzip 00").clean(), "");

    // Strict: what is missing is told. Lax: as the vendor's function reads it.
    let cut = "06051a68";
    let err = words(&format!("unzip {cut}")).failed(1);
    assert!(
        err.contains("(--lax reads what it can): byte 3: the delta of value 0 needs 3"),
        "{err}"
    );
    assert_eq!(words(&format!("unzip {cut} --lax")).clean(), "104\n".repeat(6));
    let err = words("unzip 0605 --lax").failed(1);
    assert!(err.contains("truncated header"), "{err}");
    let longer = format!("unzip {pressures}00 --signed");
    assert_eq!(words(&longer).code, Some(1), "bytes behind the last value");
    assert_eq!(words(&format!("{longer} --lax")).clean(), values);

    assert_eq!(
        words("unzip xyz").failed(1),
        "k485: \"xyz\" is not hex: expected an even number of hex digits\n"
    );
    let err = words("zip 99999999999").failed(1);
    assert_eq!(err, "k485: value 0: 99999999999 is not between 0 and 4294967295\n");
    assert_eq!(words("zip much").code, Some(2));
    let many: Vec<String> = (0..256).map(|n| n.to_string()).collect();
    assert_eq!(k485(["zip".to_owned()].into_iter().chain(many)).code, Some(1), "255 at most");
    assert_eq!(bytes(words("zip 1").clean().trim()), [0x01, 0x00, 0x01]);
}
