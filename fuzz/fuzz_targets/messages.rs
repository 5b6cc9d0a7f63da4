//! Payloads by their declarations: writing from any words, reading any frame.
//!
//! Input: lines of text for the writing, see [`words`]; all of it also feeds a generator for the
//! reading.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use k485_fuzz::{Plain, function};
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::frame::{Frame, MAX_DATA};
use k485_proto::message::{Form, Function, Message, Misfit, StatusRule, Width, all_functions};
use k485_proto::record::Direction;
use k485_proto::status::Status;
use libfuzzer_sys::fuzz_target;

/// The fields and the rest are the payload, in this order.
fn check(message: &Message<'_>, data: &[u8]) {
    let mut taken = 0;
    let mut takes_rest = false;
    for field in &message.fields {
        assert!(!takes_rest, "a field behind one that takes all: {message:?}");
        match field.field.kind.width {
            Width::Fixed(width) => taken += width,
            Width::Rest => takes_rest = true,
        }
        let text = field.value.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(!text.is_empty(), "{field:?}");
    }
    assert!(data.ends_with(message.rest), "{message:?}");
    if takes_rest {
        assert!(taken <= data.len() && message.rest.is_empty(), "{message:?}");
    } else {
        assert_eq!(taken + message.rest.len(), data.len(), "{message:?}");
    }
    if message.misfit.is_none() && message.function.is_some() {
        assert!(message.rest.is_empty() || message.form.is_none(), "{message:?}");
    }
}

/// Reads a generated frame in all directions, alone and as the reply to another.
fn read(u: &mut Unstructured<'_>) -> Result<()> {
    let (asked, frame) = (Plain::arbitrary(u)?, Plain::arbitrary(u)?);
    let answer = Plain { addr: asked.addr, func: asked.func, ..frame.clone() };
    let request = asked.wire();
    let request = Frame::from_bytes(&request).expect("a frame that was just made");
    for plain in [&asked, &frame, &answer] {
        let wire = plain.wire();
        let frame = Frame::from_bytes(&wire).expect("a frame that was just made");
        for dir in [None, Some(Direction::Request), Some(Direction::Response)] {
            check(&K2.decode(&frame, dir, None), &plain.data);
            check(&K2.decode(&frame, dir, Some(&request)), &plain.data);
        }
    }
    Ok(())
}

/// What was written reads again: the fields that were given, and nothing that does not fit.
fn check_request(function: &'static Function, addr: Address, args: &[(&str, &str)]) {
    let Ok(data) = function.encode_request(addr, args) else { return };
    if data.len() > MAX_DATA {
        return;
    }
    let message = function.decode_request(addr, &data);
    check(&message, &data);
    assert_eq!(message.misfit, None, "{args:?} gave {data:02x?}: {message:?}");
}

fn check_reply(
    function: &'static Function,
    addr: Address,
    form: Option<&'static Form>,
    args: &[(&str, &str)],
) {
    let status = match form.map(|form| form.status) {
        Some(StatusRule::Is(code)) => Status(code),
        Some(StatusRule::Ok | StatusRule::Any) | None => Status::OK,
    };
    let name = form.map(|form| form.name);
    let Ok(data) = function.encode_reply(addr, status, name, args) else { return };
    if data.len() > MAX_DATA {
        return;
    }
    check(&function.decode_reply(addr, status, &data, None), &data);
    if form.is_none() {
        return;
    }
    let message = function.decode_reply(addr, status, &data, None);
    assert!(
        matches!(message.misfit, None | Some(Misfit::RequestUnknown)),
        "{args:?} gave {data:02x?}: {message:?}"
    );
}

/// Arguments out of the generator: mostly the function's own names, and values of many kinds.
fn arguments<'a>(
    u: &mut Unstructured<'a>,
    forms: &'static [Form],
) -> Result<Vec<(&'a str, &'a str)>> {
    const VALUES: [&str; 16] = [
        "0",
        "1",
        "2",
        "14",
        "227",
        "255",
        "-1",
        "0x0f",
        "A",
        "T1B",
        "all",
        "1.5",
        "NaN",
        "1.2.3.4",
        "\\x00",
        "0011223344",
    ];
    let mut args = Vec::new();
    let fields = if forms.is_empty() { &[][..] } else { u.choose(forms)?.fields };
    for field in fields {
        if u.ratio(1, 8)? {
            continue;
        }
        let value = match u.int_in_range(0..=5)? {
            0 => u.arbitrary()?,
            1 if !field.codes.is_empty() => u.choose(field.codes)?.1,
            _ => *u.choose(&VALUES)?,
        };
        args.push((field.name, value));
    }
    if u.ratio(1, 16)? {
        args.push((u.arbitrary()?, u.arbitrary()?));
    }
    Ok(args)
}

fn write(u: &mut Unstructured<'_>) -> Result<()> {
    let (addr, function) = function(u)?;
    let args = arguments(u, function.request)?;
    check_request(function, addr, &args);
    let form = if function.reply.is_empty() { None } else { Some(u.choose(function.reply)?) };
    let args = arguments(u, form.map_or(&[][..], std::slice::from_ref))?;
    check_reply(function, addr, form, &args);
    check_reply(function, addr, None, &args);
    Ok(())
}

/// `ADDRESS FUNCTION name=value name=value…`, as on a command line: a request, and a reply.
fn words(text: &str) {
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(addr), Some(name)) = (words.next(), words.next()) else { continue };
        let Ok(addr) = addr.parse::<Address>() else { continue };
        let args: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        for function in all_functions().filter(|function| function.name == name) {
            check_request(function, addr, &args);
            check_reply(function, addr, None, &args);
            for form in function.reply {
                check_reply(function, addr, Some(form), &args);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        words(text);
    }
    let mut u = Unstructured::new(input);
    while !u.is_empty() && read(&mut u).is_ok() && write(&mut u).is_ok() {}
});
