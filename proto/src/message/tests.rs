use super::kind::hex_bytes;
use super::*;
use crate::address::Address;
use crate::dialect::K2;
use crate::status::Status;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use proptest::prelude::*;

type Parsed = Result<(&'static str, Vec<u8>), Misfit>;

type ReplyParser = fn(Address, Status, &[u8], Option<&[u8]>) -> Parsed;

/// The typed face of a function, with the types taken off.
pub(crate) struct Typed {
    pub(crate) function: &'static Function,
    pub(crate) request: fn(Address, &[u8]) -> Parsed,
    pub(crate) reply: ReplyParser,
}

fn typed() -> impl Iterator<Item = &'static Typed> {
    use crate::dialect::{hi, k1};
    [boxes::TYPED, addressing::TYPED, motors::TYPED, belts::TYPED, rack::TYPED]
        .into_iter()
        .chain([hi::boxes::TYPED, hi::node::TYPED, k1::boxes::TYPED])
        .flatten()
}

/// Some address of the class.
fn address(class: Class) -> Address {
    Address(match class {
        Class::Box | Class::Addressing => 0x02,
        Class::Motor => 0x81,
        Class::Belt => 0x21,
        Class::Rack => 0x11,
        Class::Other(_) => 0x41,
    })
}

/// A form's bytes: the fields that choose it as they must be, the others from `seed`.
fn bytes_of(form: &Form, request: &[(&str, u32)], seed: &[u8]) -> Vec<u8> {
    let mut seed = seed.iter().copied().cycle();
    let mut data = Vec::new();
    for field in form.fields {
        let width = match field.kind.width {
            Width::Fixed(width) => width,
            Width::Rest if *field.kind == kind::PARAM => 4,
            Width::Rest => 3,
        };
        match request.iter().find(|(name, _)| *name == field.name) {
            Some((_, value)) => data.push(*value as u8),
            None => data.extend((0..width).filter_map(|_| seed.next())),
        }
    }
    data
}

fn message(hex: &str, request: Option<&str>) -> String {
    let bytes = hex_bytes(hex).unwrap();
    let frame = Frame::from_bytes(&bytes).unwrap();
    let asked = request.map(|hex| hex_bytes(hex).unwrap());
    let asked = asked.as_deref().map(|bytes| Frame::from_bytes(bytes).unwrap());
    let dir = match request {
        Some(_) => Some(Direction::Response),
        None => crate::direction::alone(&frame, &K2).0,
    };
    let message = K2.decode(&frame, dir, asked.as_ref());
    let mut text = message.function.map_or("?", |f| f.name).to_string();
    if let Some(form) = message.form {
        text += &format!(" {form}");
    }
    for field in &message.fields {
        text += &format!(" {}={}", field.field.name, field.value);
        if !field.field.unit.is_empty() {
            text += &format!(" {}", field.field.unit);
        }
    }
    if !message.rest.is_empty() {
        text += &format!(" rest={}", crate::frame::Hex(message.rest));
    }
    if let Some(misfit) = message.misfit {
        text += &format!(" ({misfit})");
    }
    text
}

#[test]
fn frames_of_the_captures_in_words() {
    let poll = Some("f70106ff10080500b8");
    for (hex, request, text) in [
        ("f70106ff10080500b8", None, "EXTRUDE_PROCESS Stage slot=T1D stage=feed_poll param=0 mm"),
        ("f701070010c3fa3c4aae", poll, "EXTRUDE_PROCESS FeedPoll odometer=-500.47 mm"),
        // An error keeps the odometer.
        ("f701070c10c50c42fe51", poll, "EXTRUDE_PROCESS FeedPoll odometer=-2244.19 mm"),
        // Without its request only one layout has four bytes.
        ("f701070010c3fa3c4aae", None, "EXTRUDE_PROCESS FeedPoll odometer=-500.47 mm"),
        ("f701040010000f", None, "EXTRUDE_PROCESS ToHub state=idle"),
        // Several stages answer nothing.
        ("f701030010cd", None, "EXTRUDE_PROCESS"),
        ("f702030110d8", None, "EXTRUDE_PROCESS Error"),
        (
            "f70107000a1c140800e0",
            None,
            "GET_BOX_STATE State temperature=28 C humidity=20 % ran=D state=idle",
        ),
        // Latched error: the data is still there.
        (
            "f70107080a000000049d",
            None,
            "GET_BOX_STATE State temperature=0 C humidity=0 % ran=none state=error",
        ),
        // STATUS 30 replaces the data.
        (
            "f70107300a0200000047",
            None,
            "GET_BOX_STATE Changes a=pulled_out b=unchanged c=unchanged d=unchanged",
        ),
        ("f7020400050217", None, "GET_BUFFER_STATE State buffer=empty"),
        (
            "f70104ff0f01b7",
            None,
            "TIGHTEN_UP_ENABLE Tighten tighten=disable (host) / enable (firmware)",
        ),
        ("f7010a0002413a627573793bed", None, "GET_RFID Tags tags={A=busy}"),
        (
            "f7011900143131303130303030383433323135423632354148534384",
            None,
            "GET_VERSION_SN Version version=1.1.0 serial=10000843215B625AHSC",
        ),
        (
            "f70107000364ffffffb7",
            None,
            "GET_REMAIN_LEN Percent a=100 % b=not_asked_or_busy % c=not_asked_or_busy % d=not_asked_or_busy %",
        ),
        (
            "f7011100a201005c5130031491b0154c303933fd",
            None,
            "ONLINE_CHECK Identity device_type=box program=app uniid=5c5130031491b0154c303933",
        ),
        ("f7fe0500a1fefef8", None, "GET_SLAVE_INFO Window low=254 high=254"),
        ("f7ff04000b01c8", None, "LOADER_TO_APP Start argument=1"),
        ("f7810b000c0000000000000000fb", None, "PROTECTION Words errors=none warnings=none"),
        (
            "f781090006010e3333b33f0d",
            None,
            "SYS_PARAM Write op=write id=param_position_control_proportional_gain value=1.40",
        ),
        ("f7810700063333b33f5a", Some("f781050006020e90"), "SYS_PARAM Value value=1.40"),
        ("f7810700080000803f01", Some("f78104000801f7"), "GET Number number=1.00"),
        ("f7810700080000803f01", Some("f7810400080bc1"), "GET Counter11 counter=1065353216"),
        // A function that nobody knows, and payloads that do not fit.
        ("f7010400200139", None, "? rest=01"),
        (
            "f70105000a1924a1",
            None,
            "GET_BOX_STATE State temperature=25 C humidity=36 % (payload too short: State needs 4 data bytes, there are 2)",
        ),
    ] {
        let frame = hex_bytes(hex).unwrap();
        let fixed = Frame::to_vec(
            Address(frame[1]),
            Status(frame[3]),
            frame[4],
            &frame[5..frame.len() - 1],
        );
        let hex = crate::frame::Hex(&fixed.unwrap()).to_string();
        let expected =
            text.replace("param_position_control_proportional_gain", params::info(14).unwrap().0);
        assert_eq!(message(&hex, request), expected);
    }
}

#[test]
fn every_form_of_every_function_is_reached() {
    let mut forms = 0;
    for Typed { function, request, reply } in typed() {
        let addr = address(function.class);
        for form in function.request {
            let data = bytes_of(form, form.when, &[1, 0, 7, 9]);
            let (name, bytes) = request(addr, &data).unwrap();
            assert_eq!((name, bytes), (form.name, data), "{}", function.name);
            forms += 1;
        }
        for form in function.reply {
            let status = match form.status {
                StatusRule::Is(code) => Status(code),
                StatusRule::Ok | StatusRule::Any => Status::OK,
            };
            // Some request that leads to this form, if it depends on the request.
            let data = bytes_of(form, &[], &[65, 2, 3]);
            let asked = function.request.iter().map(|asked| {
                let mut when: Vec<_> = asked.when.to_vec();
                let own = asked.when;
                when.extend(form.when.iter().filter(|(name, _)| !own.iter().any(|w| w.0 == *name)));
                bytes_of(asked, &when, &[9, 9])
            });
            let read = |asked: Vec<u8>| reply(addr, status, &data, Some(&asked)).ok();
            let found = asked.filter_map(read).find(|(name, _)| *name == form.name);
            assert_eq!(
                found.map(|(_, bytes)| bytes),
                Some(data),
                "{} {}",
                function.name,
                form.name
            );
            forms += 1;
        }
    }
    assert!(forms > 100, "{forms}");
}

#[test]
fn a_form_is_declared_soundly() {
    for function in all_functions() {
        let twins = functions(function.class).iter().filter(|f| f.code == function.code).count();
        assert_eq!(twins, 1, "{}", function.name);
        for form in function.request.iter().chain(function.reply) {
            for (at, field) in form.fields.iter().enumerate() {
                let last = at + 1 == form.fields.len();
                assert!(
                    last || field.kind.width != Width::Rest,
                    "{} {}",
                    function.name,
                    field.name
                );
                assert!(kind::KINDS.contains(&field.kind), "{}", field.kind.name);
                if !field.default.is_empty() {
                    let bytes = field.encode(field.default, &Context::default());
                    assert!(bytes.is_ok(), "{} {}: {bytes:?}", function.name, field.name);
                }
            }
        }
        for form in function.reply {
            for (name, _) in form.when {
                let known =
                    function.request.iter().any(|r| r.fields.iter().any(|f| f.name == *name));
                assert!(known, "{} {} waits for {name}", function.name, form.name);
            }
        }
    }
}

#[test]
fn requests_from_words() {
    let encode = |addr: &str, name: &str, args: &[(&str, &str)]| {
        let addr: Address = addr.parse().unwrap();
        let function = all_functions().find(|f| {
            f.name == name && (addr.class() == Some(f.class) || f.class == Class::Addressing)
        });
        function.unwrap().encode_request(addr, args)
    };
    let hex = |text: &str| Ok(hex_bytes(text).unwrap());
    let extrude = |args: &[_]| encode("box1", "EXTRUDE_PROCESS", args);
    assert_eq!(extrude(&[("slot", "A"), ("stage", "5")]), hex("010500"));
    assert_eq!(extrude(&[("slot", "T1D"), ("stage", "Feed-Poll"), ("param", "3")]), hex("080503"));
    assert_eq!(
        encode("motor1", "SYS_PARAM", &[("op", "write"), ("id", "14"), ("value", "1.4")]),
        hex("010e3333b33f")
    );
    assert_eq!(encode("motor1", "SYS_PARAM", &[("op", "read"), ("id", "14")]), hex("020e"));
    assert_eq!(encode("motor1", "SYS_PARAM", &[("op", "save")]), hex("03"));
    assert_eq!(encode("box1", "GET_RFID", &[]), hex("0f"));
    let error = |result: Result<Vec<u8>, EncodeError>| result.unwrap_err().to_string();
    assert_eq!(
        error(extrude(&[("slot", "T2A"), ("stage", "5")])),
        "slot=T2A: expected a slot of box1"
    );
    assert_eq!(
        error(extrude(&[("slot", "A")])),
        "stage is missing; the layout is: Stage slot, stage, param=0"
    );
    assert_eq!(
        error(extrude(&[("slots", "A")])),
        "no layout has slots; there are: Stage slot, stage, param=0"
    );
    assert!(error(extrude(&[("slot", "A"), ("stage", "go")])).contains("feed_poll"));
    assert!(error(extrude(&[("slot", "A"), ("stage", "256")])).contains("from 0 to 255"));
}

proptest! {
    #[test]
    fn the_two_faces_agree(
        data in prop::collection::vec(any::<u8>(), 0..45),
        lead in prop_oneof![0u8..16, any::<u8>()],
        request in prop::option::of(prop::collection::vec(0u8..16, 0..4)),
        status in prop_oneof![Just(0u8), Just(3), Just(0x30), any::<u8>()],
    ) {
        let mut data = data;
        if let Some(first) = data.first_mut() {
            *first = lead;
        }
        for face in typed() {
            let addr = address(face.function.class);
            let table = face.function.decode_request(addr, &data);
            match (face.request)(addr, &data) {
                Ok((form, bytes)) => {
                    prop_assert_eq!(table.form, Some(form));
                    prop_assert_eq!(table.misfit, None);
                    prop_assert_eq!(&bytes, &data);
                    let declared = face.function.request.iter().find(|f| f.name == form);
                    prop_assert_eq!(declared.map(|f| f.fields.len()), Some(table.fields.len()));
                }
                Err(misfit) => prop_assert_eq!(table.misfit, Some(misfit)),
            }
            // A request that does not parse chooses nothing typed; the table may still read it.
            let asked = request.as_deref().filter(|r| (face.request)(addr, r).is_ok());
            let table = face.function.decode_reply(addr, Status(status), &data, asked);
            match (face.reply)(addr, Status(status), &data, asked) {
                Ok((form, bytes)) => {
                    prop_assert_eq!(table.form, Some(form));
                    prop_assert_eq!(&bytes, &data);
                }
                Err(misfit) => prop_assert!(
                    table.misfit == Some(misfit) || table.form.is_none() || table.form == Some("Error"),
                    "{:?} {:?}", table, misfit
                ),
            }
        }
    }

    #[test]
    fn nothing_is_lost_or_shown_twice(
        addr in any::<u8>(),
        status in any::<u8>(),
        func in prop_oneof![0u8..0x60, 0xa0u8..0xa4, any::<u8>()],
        data in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let raw = Frame::to_vec(Address(addr), Status(status), func, &data).unwrap();
        let frame = Frame::from_bytes(&raw).unwrap();
        for dir in [None, Some(Direction::Request), Some(Direction::Response)] {
            let message = K2.decode(&frame, dir, None);
            // What the fields took and the rest are the data, in this order.
            prop_assert!(data.ends_with(message.rest));
            if message.fields.is_empty() {
                prop_assert!(message.rest == data.as_slice());
            }
            for field in &message.fields {
                let text = field.value.to_string();
                prop_assert!(text.chars().all(|c| !c.is_control()), "{}", text);
            }
        }
    }
}
