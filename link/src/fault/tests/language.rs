//! Rules as lines and as tables.

use super::*;

#[track_caller]
fn wrong(text: &str) -> String {
    Rule::parse(text, &K2).expect_err(text).to_string()
}

#[test]
fn lines_are_read() {
    let filter = |text| Some(Filter::parse(text, &K2).unwrap());
    let rule = Rule::parse("drop if func==0x10 p=0.1 after=3", &K2).unwrap();
    let expected =
        Rule { when: filter("func==0x10"), probability: 0.1, after_n: 3, ..Rule::new(Kind::Drop) };
    assert_eq!(rule, expected);
    let kind = Kind::Delay { ns: 1_500 * Time::MILLISECOND, jitter_ns: 20 * Time::MILLISECOND };
    let rule = Rule::parse(
        "  delay 1.5s jitter=20ms p=0.5 if addr == box1 && (serial==\"a p=1\" || stage==4)  \
         dir=request times=2 for=1m",
        &K2,
    )
    .unwrap();
    let expected = Rule {
        when: filter("addr==box1 && (serial==\"a p=1\" || stage==4)"),
        direction: Some(Request),
        probability: 0.5,
        times: Some(2),
        for_ns: Some(60 * Time::SECOND),
        ..Rule::new(kind)
    };
    assert_eq!(rule, expected);
    let named = Rule::parse("wrong_status status=state_err dir=both", &K2).unwrap();
    assert_eq!(named.direction, None);
    assert_eq!(named.to_string(), "wrong_status 0x03 dir=both");
    let babble = Rule::parse("babble device=motor2", &K2).unwrap();
    assert_eq!(babble.to_string(), "babble 1s gap=50ms device=0x82");
}

#[test]
fn errors_say_what_to_write() {
    for (text, error) in [
        ("", "a fault needs a kind: drop, delay, duplicate,"),
        ("dorp 50ms", "no kind of fault is named \"dorp\"; did you mean drop?"),
        ("xyz", "no kind of fault is named \"xyz\"; there are: drop, delay,"),
        ("delay", "delay needs time: a length of time with its unit, such as 50ms, 2s or 1m"),
        ("delay 50", "time: \"50\" is not a length of time with its unit,"),
        ("drop 50ms", "\"50ms\" is neither FIELD=VALUE nor if FILTER"),
        ("drop pause=5ms", "drop has no field pause; it is one of split"),
        ("drop probabilty=1", "a fault has no field \"probabilty\"; did you mean probability?"),
        ("drop p=1.5", "probability: \"1.5\" is not a number from 0 to 1"),
        ("drop p=nan", "probability: \"nan\" is not a number from 0 to 1"),
        ("drop p=1 p=1", "probability is given twice"),
        ("drop every=0", "every: \"0\" is not a whole number from 1"),
        ("drop dir=up", "direction: \"up\" is not request, response or both"),
        ("drop if", "\"if\" is neither FIELD=VALUE nor followed by a filter"),
        ("drop if adr==box1", "when: column 1: no field is named adr; did you mean addr?"),
        ("noise_after 2000", "bytes: \"2000\" is not a whole number from 1 to 1024"),
        ("wrong_status NOPE", "status: \"NOPE\" is not a status such as STATE_ERR or 0x14"),
        ("wrong_function 0xfff", "function: \"0xfff\" is not a function such as"),
        ("reset device=box9", "device: \"box9\" is not a device such as box1 or 0x41"),
        ("babble 1h gap=1ms", "babble: 3600000 times are too many, the most is 100000;"),
        ("babble gap=0s", "gap: \"0s\" is not 1ms or longer where a device babbles"),
        ("offline 99999999999d", "time: \"99999999999d\" is not a length of time"),
    ] {
        let said = wrong(text);
        assert!(said.contains(error), "{text}: {said}");
    }
}

#[test]
fn tables_are_read_strictly() {
    let read = |json: &str| serde_json::from_str::<Draft>(json);
    let draft = read(
        r#"{"kind": "delay", "time": "50ms", "when": "addr==box2", "probability": 0.25,
            "after": 3, "every": 2, "times": 5, "for": "10s", "direction": "both"}"#,
    )
    .unwrap();
    let line = "delay 50ms if addr==box2 p=0.25 after=3 every=2 times=5 for=10s";
    assert_eq!(draft.rule(&K2), Rule::parse(line, &K2));
    let said = read(r#"{"kind": "drop", "wen": "noise"}"#).unwrap_err().to_string();
    assert!(said.starts_with("a fault has no field \"wen\"; did you mean when?"), "{said}");
    for (json, error) in [
        (r#"{"kind": "drop", "after": -1}"#, "after: \"-1\" is not a whole number from 0"),
        (r#"{"kind": "drop", "after": true}"#, "after: \"true\" is not a whole number from 0"),
        (r#"{"kind": 3}"#, "kind: \"3\" is not a kind such as drop"),
        (r#"{"times": 3}"#, "a fault needs a kind"),
        (r#"{"kind": "delay", "time": 5}"#, "time: \"5\" is not a length of time"),
    ] {
        let error_of = read(json).unwrap().rule(&K2).unwrap_err();
        assert!(error_of.to_string().starts_with(error), "{json}: {error_of}");
    }
    assert!(read("[1]").unwrap_err().to_string().contains("a fault: a table with a kind"));
}

/// What is listed is what is read, and each kind takes its fields.
#[test]
fn the_lists_are_complete() {
    for info in KINDS {
        let main = info.main.map(|name| Field::find(name).unwrap());
        assert!(main.is_none_or(|field| field.is_of(info.name)), "{}", info.name);
        let mut draft = Draft::default();
        draft.set("kind", Value::Text(info.name.to_owned())).unwrap();
        for field in info.fields() {
            let value = match field.takes {
                Takes::Count(..) => "7",
                Takes::Length => "30ms",
                Takes::Status => "0x14",
                Takes::Function => "0x0a",
                Takes::Device => "box1",
                other => panic!("{other:?}"),
            };
            draft.set(field.name, Value::Text(value.to_owned())).unwrap();
        }
        let rule = draft.rule(&K2).unwrap();
        assert_eq!(rule.kind.name(), info.name);
        // Every field that was set is told again.
        assert_eq!(rule.fields().len(), 1 + info.fields().count(), "{rule}");
    }
    for field in FIELDS {
        let wrong: Vec<_> =
            field.kinds.iter().filter(|kind| KindInfo::find(kind).is_none()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
