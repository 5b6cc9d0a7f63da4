use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::address::{Address, Class};
use crate::dialect::{Dialect, K2};
use crate::evidence::Evidence;
use crate::frame::Frame;
use crate::message::{Form, StatusRule};
use crate::record::Direction;
use crate::status::Status;

const GRIPPER: &str = r#"
name = "gripper"
base = "k2"

[[device]]
name = "gripper"
address = 0x41
class = "gripper"

[[function]]
class = "gripper"
code = 0x0a
name = "GET_GRIP"
doc = "Reads the grip."

[[function.request]]
form = "Ask"
fields = [{ name = "what", kind = "u8", default = "open", values = { 0 = "open", 1 = "force" } }]

[[function.reply]]
form = "Open"
when = { what = 0 }
fields = [{ name = "open", kind = "u8", evidence = "wire", values = { 0 = "no", 1 = "yes" } }]

[[function.reply]]
form = "Force"
when = { what = 1 }
status = "any"
fields = [
  { name = "force", kind = "u16be", unit = "mN" },
  { name = "flags", kind = "bits8", values = { 0 = "hot", 7 = "worn" } },
]

[[status]]
code = 0x16
name = "JAMMED"
meaning = "the gripper is jammed"
keys = [848]

[[field]]
class = "box"
code = 0x0a
form = "State"
name = "temperature"
rename = "degrees"
unit = "F"
"#;

pub(super) fn errors(text: &str) -> Vec<String> {
    let errors = Dialect::from_toml(text, "test").err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn reads(
    dialect: &Dialect,
    addr: u8,
    func: u8,
    request: &[u8],
    status: u8,
    reply: &[u8],
) -> String {
    let asked = Frame::to_vec(Address(addr), Status::REQUEST, func, request).unwrap();
    let asked = Frame::from_bytes(&asked).unwrap();
    let reply = Frame::to_vec(Address(addr), Status(status), func, reply).unwrap();
    let reply = Frame::from_bytes(&reply).unwrap();
    let message = dialect.decode(&reply, Some(Direction::Response), Some(&asked));
    let mut text = message.form.unwrap_or("?").to_string();
    for field in &message.fields {
        text += &format!(" {}={}{}", field.field.name, field.value, field.field.unit);
    }
    text
}

#[test]
fn what_a_file_adds() {
    let dialect = Dialect::from_toml(GRIPPER, "file").unwrap();
    assert_eq!((dialect.name, dialect.title), ("gripper", "gripper, over k2"));
    assert_eq!(dialect.base, Some(&K2));
    assert_eq!(dialect.device(Address(0x41)), "gripper");
    assert_eq!(dialect.class(Address(0x41)), Some(Class::Other("gripper")));
    assert_eq!(reads(dialect, 0x41, 0x0a, &[0], 0, &[1]), "Open open=yes");
    assert_eq!(
        reads(dialect, 0x41, 0x0a, &[1], 9, &[1, 2, 0x81]),
        "Force force=258mN flags=hot+worn"
    );
    let function = dialect.find(Address(0x41), 0x0a).unwrap();
    assert_eq!((function.timeout_ms, function.sends), (2_000, 5));
    assert_eq!(function.request_status, Status::REQUEST);
    assert_eq!(function.reply[0].fields[0].evidence, Evidence::Wire);
    assert_eq!(function.reply[1].fields[0].evidence, Evidence::Inferred);
    assert_eq!(function.encode_request(Address(0x41), &[]), Ok(Vec::from([0])));
    assert_eq!(function.encode_request(Address(0x41), &[("what", "force")]), Ok(Vec::from([1])));
    let status = dialect.status(Status(0x16)).unwrap();
    assert_eq!((status.name, status.keys), (Some("JAMMED"), &[848][..]));
    // What a file leaves out is the base's.
    let state = dialect.find(Address(1), 0x0a).unwrap();
    let base = K2.find(Address(1), 0x0a).unwrap();
    assert_eq!((state.name, state.doc, state.timeout_ms), (base.name, base.doc, base.timeout_ms));
    assert_eq!(
        reads(dialect, 1, 0x0a, &[], 0, &[25, 36, 0, 0]),
        "State degrees=25F humidity=36% ran=none state=idle"
    );
    assert_eq!(
        reads(&K2, 1, 0x0a, &[], 0, &[25, 36, 0, 0]),
        "State temperature=25C humidity=36% ran=none state=idle"
    );
}

#[test]
fn a_redefined_function_keeps_what_is_left_out() {
    let dialect = Dialect::from_toml(
        "[[function]]\nclass = \"box\"\ncode = 0x10\n[[function.reply]]\nform = \"Push\"\n\
         when = { stage = 7 }\nfields = [{ name = \"pushed\", kind = \"f32be\" }]\n",
        "push",
    )
    .unwrap();
    let function = dialect.find(Address(1), 0x10).unwrap();
    let base = K2.find(Address(1), 0x10).unwrap();
    assert_eq!(function.name, "EXTRUDE_PROCESS");
    assert_eq!(function.request[0].fields, base.request[0].fields);
    assert_eq!(function.reply.len(), 1);
    assert_eq!(
        reads(dialect, 1, 0x10, &[1, 7, 0], 0, &[0xc3, 0xfa, 0x3c, 0x4a]),
        "Push pushed=-500.47"
    );
}

/// The deep face of a form; equality of fields alone leaves defaults and evidence out.
fn shape(form: &Form) -> String {
    let fields: Vec<String> = form
        .fields
        .iter()
        .map(|f| {
            format!(
                "{} {} {:?} {:?} {:?} {}",
                f.name, f.kind.name, f.codes, f.unit, f.default, f.evidence
            )
        })
        .collect();
    format!("{} {:?} {:?} {fields:?}", form.name, form.when, form.status)
}

/// Everything that holds in a dialect.
fn tables(dialect: &Dialect) -> Vec<String> {
    let functions = dialect.all_functions().map(|f| {
        let forms = |forms: &[Form]| forms.iter().map(shape).collect::<Vec<_>>();
        format!(
            "{:?} {:02x} {} {:?} {:?} {} {} {} {:?} {:?} {:?}",
            f.class,
            f.code,
            f.name,
            f.doc,
            f.unknown,
            f.request_status,
            f.timeout_ms,
            f.sends,
            f.effects,
            forms(f.request),
            forms(f.reply)
        )
    });
    let statuses = (0..=255).filter_map(|code| dialect.status(Status(code)));
    let devices = (0..=255).map(|a| (dialect.device(Address(a)), dialect.class(Address(a))));
    functions
        .chain(statuses.map(|info| format!("{info:?}")))
        .chain(devices.map(|device| format!("{device:?}")))
        .collect()
}

#[test]
fn every_dialect_round_trips() {
    let gripper = Dialect::from_toml(GRIPPER, "file").unwrap();
    for dialect in Dialect::BUILT_IN.into_iter().chain([gripper]) {
        for own in [false, true] {
            let text = dialect.to_toml(own);
            let read = Dialect::from_toml(&text, "other")
                .unwrap_or_else(|errors| panic!("{} {own}: {errors:?}\n{text}", dialect.name));
            let (mut expected, mut got) = (tables(dialect), tables(read));
            // The order of the functions does not matter.
            expected.sort();
            got.sort();
            assert_eq!(expected, got, "{} {own}", dialect.name);
            assert_eq!((read.name, read.title), (dialect.name, dialect.title));
        }
    }
    // The full text does not lean on what it redefines.
    let text = K2.to_toml(false);
    let read = Dialect::from_toml(&text, "k2").unwrap();
    assert_eq!(read.functions.len(), K2.all_functions().count());
    assert!(read.functions.len() > 50);
}

#[test]
fn a_hidden_part_of_a_row_is_left_out() {
    let text =
        "base = \"hi\"\n[[device]]\nname = \"arm\"\naddress = 0x40\ncount = 3\nclass = \"arm\"\n";
    let dialect = Dialect::from_toml(text, "arm").unwrap();
    assert_eq!(dialect.device(Address(0x41)), "arm2");
    let rows = dialect.effective_devices();
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].0, rows[0].1.count), ("arm", 3));
    let again = Dialect::from_toml(&dialect.to_toml(false), "arm").unwrap();
    assert_eq!(again.device(Address(0x42)), "arm3");
    assert_eq!(again.base, Some(&K2));
}

#[test]
fn errors_tell_line_column_and_the_nearest_word() {
    for (text, expected) in [
        ("nmae = \"x\"\n", "1:1: unknown key \"nmae\"; did you mean name?"),
        ("base = \"k3\"\n", "1:8: no dialect \"k3\"; there are: k2, hi, k1"),
        (
            "x = 1\n",
            "1:1: unknown key \"x\"; there are: name, title, base, device, status, function, field",
        ),
        ("title = 5\n", "1:9: title is a text in quotes, not a number"),
        ("title = \"a\\u0007b\"\n", "1:9: title is one line, without control characters"),
        ("\n[device]\n", "2:1: device is a list of tables: write [[device]]"),
        ("[[device]]\nname = \"a\"\nclass = \"a\"\n", "1:1: address is missing"),
        (
            "[[device]]\nname = \"a\"\nclass = \"a\"\naddress = 300\n",
            "4:11: address is a whole number from 0 to 255 (hex as 0x..)",
        ),
        (
            "[[device]]\nname = \"a\"\nclass = \"a\"\naddress = 0xfa\ncount = 3\n",
            "1:1: the last address is 0xfc: FC, FD and FF are everyone's, and above there is none",
        ),
        (
            "[[device]]\nname=\"a\"\nclass=\"a\"\naddress=0x40\ncount=2\n\
             [[device]]\nname=\"b\"\nclass=\"a\"\naddress=0x41\n",
            "6:1: address 41 is already a's, in line 1",
        ),
        (
            "[[device]]\nname=\"box1\"\nclass=\"a\"\naddress=0x40\n",
            "1:1: box1 is already the name of address 01",
        ),
        ("[[status]]\ncode = 0x16\nname = \"OK\"\n", "1:1: OK is already the name of status 00"),
        ("[[status]]\ncode = 0xff\n", "2:8: code is a whole number from 0 to 254 (hex as 0x..)"),
        ("[[status]]\ncode = 0x77\n", "1:1: meaning is missing"),
        (
            "[[function]]\nclass = \"boxx\"\ncode = 1\n",
            "2:9: no device has the class \"boxx\"; did you mean box?",
        ),
        ("[[function]]\nclass = \"box\"\ncode = 0x77\n", "1:1: name is missing"),
        (
            "[[function]]\nclass = \"box\"\ncode = 5\n[[function]]\nclass = \"box\"\ncode = 5\n",
            "4:1: function 05 of class box is already declared in line 1",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 0xa1\nname = \"X\"\n",
            "1:1: A0 to A3 are address management on every address: class addressing",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 5\n[[function.request]]\nstatus = \"ok\"\n",
            "5:10: status is for replies; a request's is request_status",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 5\nreply = [{ fields = [{ name = \"a\", kind = \"f32eb\" }] }]\n",
            "4:43: no kind \"f32eb\"; did you mean f32be?",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 5\nreply = [{ fields = [\n\
             { name = \"a\", kind = \"bytes\" },\n{ name = \"b\", kind = \"u8\" }] }]\n",
            "5:1: a is bytes, which takes all that is left: it must be the last field",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 0x10\nreply = [{ when = { stgae = 1 } }]\n",
            "4:21: when: \"stgae\" is no field of a request; did you mean stage?",
        ),
        (
            "[[function]]\nclass = \"box\"\ncode = 0x10\nreply = [{ when = { slot = 1 } }]\n",
            "4:21: when: slot is slots, only u8 and bits8 can choose",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ fields=[{ name=\"a\", kind=\"f32be\", values={ 0=\"x\" } }] }]\n",
            "4:53: values: f32be is no whole number without a sign",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ fields=[{ name=\"a\", kind=\"u8\", values={ one=\"x\" } }] }]\n",
            "4:50: \"one\" is no number such as 1 or 0x10",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ fields=[{ name=\"a\", kind=\"bits8\", values={ 8=\"x\" } }] }]\n",
            "4:53: values: 8 is above 7, the last bit of bits8",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ fields=[{ name=\"a\", kind=\"u8\", default=\"300\" }] }]\n",
            "4:18: default \"300\": expected a whole number from 0 to 255 (hex as 0x..)",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ fields=[{ name=\"a b\", kind=\"u8\" }] }]\n",
            "4:18: field name \"a b\": letters, digits, _ and - only",
        ),
        (
            "[[function]]\nclass=\"box\"\ncode=5\nreply=[{ form=\"A\" }, { form=\"A\" }]\n",
            "4:22: GET_BUFFER_STATE has two layouts \"A\"",
        ),
        (
            "[[field]]\nclass = \"box\"\ncode = 0x0a\nname = \"humid\"\n",
            "4:8: GET_BOX_STATE has no such field \"humid\"; did you mean humidity?",
        ),
        (
            "[[field]]\nclass = \"box\"\ncode = 0x77\nname = \"a\"\n",
            "3:8: class box has no function 77 to change",
        ),
        (
            "[[field]]\nclass=\"box\"\ncode=0x0a\nname=\"ran\"\nside=\"repyl\"\n",
            "5:6: no side \"repyl\"; did you mean reply?",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn all_errors_are_told_in_the_order_of_the_text() {
    let text = "[[function]]\nclass = \"boks\"\ncode = 999\n\n[[device]]\nname = 5\n";
    let lines: Vec<String> = errors(text);
    let places: Vec<&str> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["2:9", "3:8", "5:1", "5:1", "6:8"], "{lines:?}");
    // A text that is no TOML has only its own errors.
    let broken = errors("name = \nbase = \"k9\"\nx y\n");
    assert!(broken.iter().all(|line| !line.contains("k9")) && broken.len() >= 2, "{broken:?}");
    assert!(broken[0].starts_with("1:"), "{broken:?}");
}

#[test]
fn the_host_waits_as_before_where_only_a_field_changes() {
    let change = "[[field]]\nclass = \"box\"\ncode = 0x0d\nname = \"action\"\nrename = \"what\"\n";
    let slow = "[[function]]\nclass = \"box\"\ncode = 0x0d\ntimeout_ms = 7000\n";
    for (text, expected) in [(change, 2_000), (slow, 7_000)] {
        let dialect = Dialect::from_toml(text, "preload").unwrap();
        let raw = Frame::to_vec(Address(1), Status::REQUEST, 0x0d, &[0x0f, 1]).unwrap();
        let request = Frame::from_bytes(&raw).unwrap();
        assert_eq!(crate::host::policy(&request, dialect).timeout_ms, expected);
    }
}

#[test]
fn a_change_touches_its_side_and_form_alone() {
    let text = "[[field]]\nclass = \"box\"\ncode = 0x10\nside = \"reply\"\nform = \"FeedPoll\"\n\
                name = \"odometer\"\nunit = \"cm\"\nevidence = \"document\"\n";
    let dialect = Dialect::from_toml(text, "cm").unwrap();
    let function = dialect.find(Address(1), 0x10).unwrap();
    let changed = function.reply.iter().find(|form| form.name == "FeedPoll").unwrap();
    assert_eq!((changed.fields[0].unit, changed.fields[0].evidence), ("cm", Evidence::Document));
    assert_eq!(changed.status, StatusRule::Any);
    let base = K2.find(Address(1), 0x10).unwrap();
    for (mine, theirs) in
        function.reply.iter().zip(base.reply).filter(|(m, _)| m.name != "FeedPoll")
    {
        assert_eq!(shape(mine), shape(theirs));
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        if let Err(errors) = Dialect::from_toml(&text, "any") {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|error| error.line > 0 && error.column > 0));
        }
    }

    /// Pieces of real dialects in any order: what loads can be shown, written and read again.
    #[test]
    fn no_shuffled_dialect_panics(
        pieces in prop::collection::vec(piece(), 0..14),
        data in prop::collection::vec(any::<u8>(), 0..12),
        addr in prop_oneof![Just(0x41u8), Just(1), any::<u8>()],
        func in prop_oneof![Just(0x0au8), Just(5), any::<u8>()],
    ) {
        let text = pieces.join("\n");
        if let Ok(dialect) = Dialect::from_toml(&text, "any") {
            let again = Dialect::from_toml(&dialect.to_toml(false), "any").unwrap();
            let (mut left, mut right) = (tables(dialect), tables(again));
            left.sort();
            right.sort();
            prop_assert_eq!(left, right);
            let raw = Frame::to_vec(Address(addr), Status::OK, func, &data).unwrap();
            let frame = Frame::from_bytes(&raw).unwrap();
            for dir in [None, Some(Direction::Request), Some(Direction::Response)] {
                let message = dialect.decode(&frame, dir, None);
                prop_assert!(data.ends_with(message.rest));
            }
        }
    }

    #[test]
    fn no_damaged_dialect_panics(at in 0usize..GRIPPER.len(), len in 0usize..9, put in "[\"=\\[\\]{}a0\n.,é]{0,3}") {
        let mut text = GRIPPER.to_string();
        let end = (at + len).min(text.len());
        text.replace_range(at..end, &put);
        let _ = Dialect::from_toml(&text, "damaged");
    }
}

fn piece() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("a"),
        Just("b"),
        Just("box"),
        Just("motor"),
        Just("box1"),
        Just("OK"),
        Just("stage"),
        Just("é \"")
    ];
    let number = prop_oneof![
        Just(0u32),
        Just(5),
        Just(0x0a),
        Just(0x41),
        any::<u8>().prop_map(u32::from),
        any::<u32>()
    ];
    let kind = prop_oneof![
        Just("u8"),
        Just("bytes"),
        Just("bits8"),
        Just("f32be"),
        Just("param"),
        Just("tags")
    ];
    (0..11usize, word.clone(), word, number, kind).prop_map(|(which, name, class, n, kind)| {
        let (name, class) = (name.replace('"', "\\\""), class.replace('"', "\\\""));
        match which {
            0 => format!("[[device]]\nname = \"{name}\"\nclass = \"{class}\"\naddress = {n}"),
            1 => format!("count = {n}"),
            2 => format!("[[status]]\ncode = {n}\nname = \"{name}\"\nmeaning = \"{class}\""),
            3 | 4 => format!("[[function]]\nclass = \"{class}\"\ncode = {n}\nname = \"{name}\""),
            5 => format!("[[function.request]]\nform = \"{name}\""),
            6 => format!("[[function.reply]]\nform = \"{name}\"\nstatus = {n}"),
            7 => format!("fields = [{{ name = \"{name}\", kind = \"{kind}\" }}]"),
            8 => format!(
                "fields = [{{ name = \"a\", kind = \"u8\", values = {{ {n} = \"{name}\" }} }}]"
            ),
            9 => format!("when = {{ {class} = {n} }}"),
            _ => format!(
                "[[field]]\nclass = \"box\"\ncode = {n}\nname = \"slot\"\nkind = \"{kind}\""
            ),
        }
    })
}
