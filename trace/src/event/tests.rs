use super::*;

fn parse(text: &str) -> Result<Event<'_>, EventError> {
    Event::parse(text, 3, 70)
}

fn site(object: &'static str, class: &'static str, method: &'static str) -> Site<'static> {
    Site { object: object.into(), class: class.into(), method: method.into() }
}

#[test]
fn a_call_with_its_time_to_the_last_digit() {
    let line = r#"{"type": "call", "id": 7, "time": 1700000000.1234567, "object": "a b",
        "class": "C", "method": "m", "args": "{'_bytes': '01'}, T2A, \"x\"", "tid": [1]}"#;
    let event = parse(line).unwrap();
    assert_eq!(
        event,
        Event {
            line: 3,
            offset: 70,
            time: Some(Time(1_700_000_000_123_456_700)),
            context: Context::default(),
            kind: Kind::Call {
                id: 7,
                site: site("a b", "C", "m"),
                args: "{'_bytes': '01'}, T2A, \"x\"".into(),
                argv: None,
                kw: None,
            },
        }
    );
    let Kind::Call { site: Site { object, .. }, args, .. } = &event.kind else { panic!() };
    assert!(matches!(object, Cow::Borrowed(_)), "no copy without escapes");
    assert!(matches!(args, Cow::Owned(_)));
    assert_eq!(event.clone().into_owned(), event);
}

#[test]
fn returns_and_errors_in_the_short_documented_form() {
    let event = parse(r#"{"type":"return","id":8,"result":{"a":[1, 2]},"duration_ms":1e-05}"#);
    let kind = Kind::Return {
        id: 8,
        site: Site::default(),
        result: r#"{"a":[1, 2]}"#.into(),
        duration: Some(10),
    };
    assert_eq!(
        event,
        Ok(Event { line: 3, offset: 70, time: None, context: Context::default(), kind })
    );
    let event = parse(r#"{"type":"error","id":9,"object":"o","method":"m","error":"E: x"}"#);
    let kind = Kind::Error {
        id: 9,
        site: site("o", "", "m"),
        error: "E: x".into(),
        exc_type: "".into(),
        traceback: "".into(),
        duration: None,
    };
    assert_eq!(
        event,
        Ok(Event { line: 3, offset: 70, time: None, context: Context::default(), kind })
    );
    let null = parse(r#"{"type":"return","id":1,"result":null}"#).unwrap();
    assert!(matches!(null.kind, Kind::Return { result, .. } if result == "null"));
}

#[test]
fn the_other_types() {
    let read = r#"{"type":"attr_read","time":5,"object":"o","attr":"x","value":1.50}"#;
    let kind = Kind::AttrRead {
        object: "o".into(),
        class: "".into(),
        path: "".into(),
        attr: "x".into(),
        value: "1.50".into(),
    };
    let time = Some(Time(5_000_000_000));
    assert_eq!(
        parse(read),
        Ok(Event { line: 3, offset: 70, time, context: Context::default(), kind })
    );
    let hello = parse(r#"{"type":"connected","message":"hi","active_traces":[["a"]]}"#);
    assert_eq!(hello.unwrap().kind, Kind::Connected { message: "hi".into(), schema: None });
    // Nothing is asked of a type that is not known.
    let other = parse(r#"{"type":"gcode_line","id":"x","time":"noon","object":5}"#).unwrap();
    assert_eq!((other.time, other.kind), (None, Kind::Other("gcode_line".into())));
    let args = parse(r#"{"type":"call","id":1,"args":[{"_bytes": "01"}, 2]}"#).unwrap();
    assert!(matches!(args.kind, Kind::Call { args, .. } if args == r#"[{"_bytes": "01"}, 2]"#));
}

#[test]
fn errors_say_what_is_wrong() {
    let lacks = |kind: &str, field| Err(EventError::Lacks { kind: kind.into(), field });
    assert_eq!(parse("{}"), lacks("", "type"));
    assert_eq!(parse(r#"{"type":"call","time":1}"#), lacks("call", "id"));
    assert_eq!(parse(r#"["call", 1]"#), Err(EventError::NotObject));
    assert_eq!(
        parse(r#"{"type":"call","id":-1}"#),
        Err(EventError::Field { field: "id", found: "-1".into(), wanted: "a whole number from 0" })
    );
    let long = format!(r#"{{"type":"return","id":1,"duration_ms":"{}"}}"#, "é".repeat(99));
    let message = parse(&long).unwrap_err().to_string();
    let start = "é".repeat(59);
    assert_eq!(
        message,
        format!("\"duration_ms\" is \"{start}…, wanted is a number of milliseconds")
    );
    assert_eq!(
        parse(r#"{"type": "ca"#),
        Err(EventError::Json { column: 12, what: "EOF while parsing a string".into() })
    );
    assert!(matches!(parse("call 1"), Err(EventError::Json { column: 1, .. })));
    let surrogate = r#"{"type":"call","id":1,"args":"\ud800"}"#;
    assert!(matches!(parse(surrogate), Err(EventError::Field { field: "args", .. })));
}

#[test]
fn what_our_own_tracer_tells_beside_it() {
    let event = parse(
        r#"{"type":"call","id":8,"seq":41,"time":5.5,"mono":123456789012,"tid":7,"gid":140,
        "parent":6,"depth":2,"object":"o","class":"C","method":"m","args":"1, x",
        "argv":[1, "x"],"kw":{"a": null}}"#,
    )
    .unwrap();
    let context = Context {
        seq: Some(41),
        mono: Some(123_456_789_012),
        tid: Some(7),
        gid: Some(140),
        parent: Some(6),
        depth: Some(2),
    };
    assert_eq!(event.context, context);
    assert!(context.is_told() && !Context { mono: Some(1), ..Context::default() }.is_told());
    let Kind::Call { argv, kw, .. } = &event.kind else { panic!() };
    assert_eq!((argv.as_deref(), kw.as_deref()), (Some(r#"[1, "x"]"#), Some(r#"{"a": null}"#)));
    assert_eq!(event.clone().into_owned(), event);

    let root = parse(r#"{"type":"mark","parent":0,"gid":0}"#).unwrap().context;
    assert!(root.parent.is_none() && root.is_told());
    let kind = |text| parse(text).map(|event| event.kind);
    let frame =
        r#"{"type":"frame","time":1,"object":"o","direction":"rx","bytes":"f7","parent":8}"#;
    let (site, direction) = (site("o", "", ""), Direction::Response);
    assert_eq!(kind(frame), Ok(Kind::Frame { site, direction, bytes: "f7".into() }));
    assert_eq!(kind(r#"{"type":"dropped","count":12}"#), Ok(Kind::Dropped { count: 12 }));
    let lost = kind(r#"{"type":"lost","time":1,"reason":"KeyError"}"#);
    assert_eq!(lost, Ok(Kind::Lost { reason: "KeyError".into() }));
    let given = kind(r#"{"type":"yield","id":7,"object":"o","method":"m","value":1}"#);
    let site = Site { object: "o".into(), class: "".into(), method: "m".into() };
    assert_eq!(given, Ok(Kind::Yield { id: 7, site }));
    // A stranger's may be anything.
    assert_eq!(kind(r#"{"type":"yield","id":"x"}"#), Ok(Kind::Other("yield".into())));
    assert_eq!(kind(r#"{"type":"mark","name":"here"}"#), Ok(Kind::Mark { name: "here".into() }));
    let gap = Kind::Gap { from: Some(Time(1_500_000_000)), to: None, reason: "gone".into() };
    assert_eq!(kind(r#"{"type":"gap","from":1.5,"to":null,"reason":"gone"}"#), Ok(gap));

    let error = |text| kind(text).unwrap_err().to_string();
    assert_eq!(error(r#"{"type":"dropped"}"#), "\"dropped\" event without \"count\"");
    assert_eq!(
        error(r#"{"type":"dropped","count":-1}"#),
        "\"count\" is -1, wanted is a whole number from 0"
    );
    assert_eq!(
        error(r#"{"type":"frame","direction":"up"}"#),
        "\"direction\" is \"up\", wanted is \"tx\" or \"rx\""
    );
}
