use super::Effect::{self, Clear, Firmware, Motion, Read, Setting};
use crate::address::{Address, Class};
use crate::dialect::{Dialect, K2, hi, k1};
use crate::frame::Frame;
use crate::message::kind::hex_bytes;
use crate::message::{Function, Message, Value, Width};
use crate::status::Status;
use alloc::string::String;
use alloc::vec::Vec;

/// DATA of requests, each with what it does.
type Rows = &'static [(&'static str, Effect)];

/// DATA of requests by class and function, with what each does. Written by hand, not from the
/// declarations: a function that is not here fails the test, and so does a layout, or a value with
/// a name, that no row has.
const TABLE: &[(Class, u8, Rows)] = &[
    (Class::Box, 0x01, &[("", Setting)]),
    (Class::Box, 0x02, &[("0f", Clear)]),
    (Class::Box, 0x03, &[("0f", Clear)]),
    (Class::Box, 0x04, &[("0100", Motion), ("0001", Setting), ("0201", Setting)]),
    (Class::Box, 0x05, &[("", Read)]),
    (Class::Box, 0x06, &[("0100", Motion), ("0101", Motion), ("0102", Motion)]),
    (Class::Box, 0x07, &[("00", Motion), ("01", Motion), ("02", Motion)]),
    (Class::Box, 0x08, &[("00", Read), ("01", Read)]),
    (Class::Box, 0x09, &[("0000", Setting), ("0101", Setting)]),
    (Class::Box, 0x0a, &[("", Clear)]),
    (Class::Box, 0x0b, &[("0101", Firmware)]),
    (Class::Box, 0x0c, &[("", Clear)]),
    (Class::Box, 0x0d, &[("0f00", Setting), ("0f01", Setting), ("0f02", Motion), ("0f03", Motion)]),
    (Class::Box, 0x0e, &[("00", Setting), ("01", Read)]),
    (Class::Box, 0x0f, &[("00", Setting), ("01", Setting)]),
    (
        Class::Box,
        0x10,
        &[
            ("010000", Motion),
            ("010100", Motion),
            ("010200", Motion),
            ("010300", Motion),
            ("010400", Motion),
            ("010500", Clear),
            ("0f05ff", Clear),
            ("010600", Motion),
            ("010703", Motion),
        ],
    ),
    (Class::Box, 0x11, &[("0100", Motion), ("0001", Motion)]),
    (Class::Box, 0x13, &[("01", Motion), ("0100", Motion), ("0101", Motion)]),
    (Class::Box, 0x14, &[("", Read)]),
    (Class::Box, 0x15, &[("", Read)]),
    (Class::Box, 0x30, &[("00", Firmware)]),
    (Class::Box, 0x50, &[("00", Firmware)]),
    (Class::Box, 0x51, &[("00", Firmware)]),
    (Class::Box, 0x52, &[("", Firmware)]),
    (Class::Box, 0x53, &[("0000", Firmware)]),
    (Class::Box, 0x55, &[("01", Firmware)]),
    (Class::Box, 0x56, &[("", Firmware)]),
    (Class::Addressing, 0xa0, &[("01690630021853331152353832", Firmware)]),
    (Class::Addressing, 0xa1, &[("fefe", Clear), ("00ff", Clear)]),
    (Class::Addressing, 0xa2, &[("", Read)]),
    (Class::Addressing, 0xa3, &[("", Read)]),
    (Class::Addressing, 0x0b, &[("01", Firmware)]),
    (Class::Addressing, 0xf0, &[("00", Firmware), ("03", Firmware)]),
    (Class::Motor, 0x01, &[("00", Firmware)]),
    (Class::Motor, 0x03, &[("00", Firmware)]),
    (Class::Motor, 0x04, &[("00", Firmware)]),
    (Class::Motor, 0x05, &[("01", Motion), ("04", Clear), ("02", Firmware), ("0c", Firmware)]),
    (
        Class::Motor,
        0x06,
        &[
            ("010e3333b33f", Setting),
            ("020e", Clear),
            ("03", Setting),
            // Without what they write or read.
            ("01", Firmware),
            ("02", Firmware),
            ("04", Firmware),
        ],
    ),
    (
        Class::Motor,
        0x07,
        &[
            ("050e3333b33f", Firmware),
            ("060e", Firmware),
            ("01", Firmware),
            ("05", Firmware),
            ("0300", Firmware),
        ],
    ),
    (Class::Motor, 0x08, &[("01", Clear), ("0c", Clear)]),
    (Class::Motor, 0x0b, &[("00", Firmware)]),
    (Class::Motor, 0x0c, &[("0b", Clear), ("05", Clear)]),
    (Class::Motor, 0x0d, &[("", Firmware), ("01", Firmware)]),
    (Class::Motor, 0x0e, &[("01", Firmware), ("02", Firmware)]),
    (Class::Motor, 0x0f, &[("00", Clear)]),
    (Class::Motor, 0x11, &[("01", Setting), ("02", Setting)]),
    (Class::Belt, 0x00, &[("", Clear)]),
    (Class::Belt, 0x02, &[("03", Clear)]),
    (Class::Belt, 0x04, &[("03000000010000000200000003", Firmware)]),
    (Class::Belt, 0x06, &[("", Clear)]),
    (Class::Belt, 0x08, &[("0000000000", Motion)]),
    (Class::Rack, 0x02, &[("", Clear)]),
];

/// What the dialects of this crate have of their own.
const OVERLAYS: &[(&Dialect, Class, u8, Rows)] = &[
    (&hi::HI, Class::Box, 0x05, &[("", Clear)]),
    (&hi::HI, Class::Box, 0x0a, &[("", Clear)]),
    (
        &hi::HI,
        Class::Box,
        0x10,
        &[
            ("010000", Motion),
            ("010100", Motion),
            ("010200", Motion),
            ("010300", Motion),
            ("010400", Motion),
            ("010500", Clear),
            ("010600", Motion),
            ("010703", Motion),
        ],
    ),
    (&hi::HI, Class::NODE, 0x0a, &[("", Firmware)]),
    (&k1::K1, Class::Box, 0x02, &[("0f", Clear)]),
    (&k1::K1, Class::Box, 0x0c, &[("", Clear)]),
    (
        &k1::K1,
        Class::Box,
        0x10,
        &[
            ("010000", Motion),
            ("010100", Motion),
            ("010200", Motion),
            ("010300", Motion),
            ("010400", Motion),
            ("010500", Clear),
            ("010600", Motion),
            ("010703", Motion),
        ],
    ),
    (&k1::K1, Class::Box, 0x11, &[("0100", Motion), ("0001", Motion)]),
];

/// An address of a device of the class.
fn address(class: Class) -> Address {
    Address(match class {
        Class::Box | Class::Addressing => 0x01,
        Class::Motor => 0x81,
        Class::Belt => 0x21,
        Class::Rack => 0x11,
        Class::Other(_) => 0x41,
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    hex_bytes(hex).unwrap()
}

/// Every layout, and every value with a name, is in some row.
fn assert_covered(function: &'static Function, rows: &[(&str, Effect)]) {
    let addr = address(function.class);
    let rows: Vec<Vec<u8>> = rows.iter().map(|(hex, _)| bytes(hex)).collect();
    let read: Vec<Message> = rows.iter().map(|row| function.decode_request(addr, row)).collect();
    for form in function.request {
        let covered = read.iter().any(|m| m.form == Some(form.name) && m.misfit.is_none());
        assert!(covered, "{function:?}: no row has the layout {}", form.name);
        // The motors' parameters are too many, and all of one kind.
        for field in form.fields.iter().filter(|field| field.codes.len() < 100) {
            for (value, name) in field.codes {
                let has = |m: &Message| {
                    m.get(field.name).and_then(Value::as_number) == Some(i64::from(*value))
                };
                assert!(read.iter().any(has), "{function:?}: no row has {}={name}", field.name);
            }
        }
    }
}

#[test]
fn every_function_by_argument() {
    for (class, code, rows) in TABLE {
        let function = K2.functions(*class).find(|function| function.code == *code);
        let function = function.unwrap_or_else(|| panic!("no {code:02x} of {class:?}"));
        for (hex, effect) in *rows {
            let got = function.effect(address(*class), &bytes(hex));
            assert_eq!(got, *effect, "{function:?} {hex}");
        }
        assert_covered(function, rows);
    }
    for function in K2.all_functions() {
        let rows = TABLE.iter().filter(|row| (row.0, row.1) == (function.class, function.code));
        assert_eq!(rows.count(), 1, "{function:?} is not in the table once");
    }
}

#[test]
fn every_function_of_the_other_dialects() {
    for (dialect, class, code, rows) in OVERLAYS {
        let own = |f: &&&Function| f.class == *class && f.code == *code;
        let function: &'static Function = dialect.functions.iter().find(own).unwrap();
        for (hex, effect) in *rows {
            let got = function.effect(address(*class), &bytes(hex));
            assert_eq!(got, *effect, "{} {function:?} {hex}", dialect.name);
        }
        assert_covered(function, rows);
    }
    for dialect in Dialect::BUILT_IN {
        for function in dialect.functions {
            let rows = OVERLAYS.iter().filter(|row| {
                row.0 == dialect && (row.1, row.2) == (function.class, function.code)
            });
            assert_eq!(rows.count(), 1, "{} {function:?} is not in the table once", dialect.name);
        }
    }
}

/// Whatever is sent, to whomever: only these are pure reads.
#[test]
fn nothing_else_is_a_pure_read() {
    let known = |class: Option<Class>, func: u8, data: &[u8]| match (func, data) {
        (0xa2 | 0xa3, []) => true,
        (0x05 | 0x14 | 0x15, []) => class == Some(Class::Box),
        (0x08, [0 | 1]) | (0x0e, [1]) => class == Some(Class::Box),
        _ => false,
    };
    let few = [0x00, 0x01, 0x02, 0x03, 0x05, 0x0b, 0x0f, 0x55, 0xfe, 0xff];
    let mut payloads: Vec<Vec<u8>> = Vec::from([Vec::new()]);
    payloads.extend((0..=255).map(|a| Vec::from([a])));
    for a in few {
        payloads.extend(few.iter().map(|b| Vec::from([a, *b])));
        payloads.extend(few.iter().map(|b| Vec::from([1, a, *b])));
    }
    let addresses = [0x00, 0x01, 0x04, 0x11, 0x21, 0x41, 0x80, 0x81, 0x91, 0xea, 0xeb, 0xfc, 0xfd]
        .into_iter()
        .chain([0xfe, 0xff]);
    let mut reads = 0;
    for addr in addresses.map(Address) {
        for func in 0..=255 {
            for data in &payloads {
                for status in [Status::OK, Status::REQUEST, Status(0x30)] {
                    let raw = Frame::to_vec(addr, status, func, data).unwrap();
                    let frame = Frame::from_bytes(&raw).unwrap();
                    let asked = match func {
                        0xa0.. => Status::OK,
                        _ => Status::REQUEST,
                    };
                    let pure = status == asked && known(addr.class(), func, data);
                    assert_eq!(K2.effect(&frame) == Read, pure, "{frame:?}");
                    reads += usize::from(pure);
                }
            }
        }
    }
    // 15 addresses have A2 and A3; five are boxes', with six more each.
    assert_eq!(reads, 15 * 2 + 5 * 6);
}

/// A payload that is cut, or longer, or holds a value without a name, is firmware.
#[test]
fn what_does_not_fit_is_firmware() {
    for (class, code, rows) in TABLE {
        let function = K2.functions(*class).find(|function| function.code == *code).unwrap();
        let addr = address(*class);
        for (hex, _) in *rows {
            let data = bytes(hex);
            let form = function.decode_request(addr, &data).form;
            let form = function.request.iter().find(|other| Some(other.name) == form).unwrap();
            // What is longer may be another layout of the same function, with a row of its own.
            let long: Vec<u8> = data.iter().copied().chain([0x99]).collect();
            let other = function
                .request
                .iter()
                .any(|other| other.name != form.name && other.width().0 > form.width().0);
            if form.width().1.is_some() && !other {
                assert_eq!(function.effect(addr, &long), Firmware, "{function:?} {hex} and more");
            }
            let mut at = 0;
            for field in form.fields {
                let Width::Fixed(width) = field.kind.width else { break };
                let named = !field.codes.is_empty() || field.kind.name == "slots";
                if named && width == 1 {
                    let mut strange = data.clone();
                    strange[at] = 0xf0;
                    assert_eq!(
                        function.effect(addr, &strange),
                        Firmware,
                        "{function:?} {strange:x?}"
                    );
                }
                at += width;
            }
        }
    }
}

#[test]
fn a_status_that_requests_do_not_carry_is_firmware() {
    for (raw, effect) in [
        ("f70103ff0571", Read),
        ("f7010300a2da", Read),
        ("f78104000c0b95", Clear),
        // The same with the other STATUS; what a reply carries; what nobody declared.
        ("f70103000566", Firmware),
        ("f7010400050019", Firmware),
        ("f70103ff1214", Firmware),
    ] {
        let mut raw = bytes(raw);
        let last = raw.len() - 1;
        raw[last] = crate::crc::crc8(&raw[2..last]);
        assert_eq!(K2.effect(&Frame::from_bytes(&raw).unwrap()), effect, "{raw:x?}");
    }
}

#[test]
fn a_function_tells_its_effects_in_a_line() {
    let line = |class, code| -> String {
        K2.functions(class).find(|f| f.code == code).unwrap().effect_line()
    };
    assert_eq!(line(Class::Box, 0x05), "read");
    assert_eq!(line(Class::Box, 0x10), "clear with stage=feed_poll, else motion");
    assert_eq!(
        line(Class::Box, 0x0e),
        "setting with action=clear, read with action=read, else firmware"
    );
}

#[test]
fn the_words() {
    for effect in Effect::ALL {
        assert_eq!(effect.name().parse(), Ok(effect));
    }
    assert!("Read".parse::<Effect>().is_err());
    let mut sorted = Effect::ALL;
    sorted.sort();
    assert_eq!(sorted, [Read, Clear, Motion, Setting, Firmware]);
}
