//! Dialects in TOML: any text, and pieces of valid ones with changes.
//!
//! Input: see [`k485_fuzz::RAW`]. What loads is leaked, by design: run with `-detect_leaks=0`, a
//! bounded input and a bounded time.

#![no_main]

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use k485_fuzz::{Plain, RAW, data, status};
use k485_proto::address::Address;
use k485_proto::dialect::Dialect;
use k485_proto::frame::Frame;
use k485_proto::record::Direction;
use libfuzzer_sys::fuzz_target;

const STARTER: &str = include_str!("../../src/dialect/starter.toml");

/// What may stand in a dialect, to be put where something else stands.
const PIECES: [&str; 48] = [
    "\"\"",
    "0",
    "-1",
    "255",
    "0xfc",
    "256",
    "1.5",
    "true",
    "[]",
    "{ }",
    "\"u8\"",
    "\"u16be\"",
    "\"u32le\"",
    "\"rest\"",
    "\"raw\"",
    "\"tag\"",
    "\"slot\"",
    "\"f32le\"",
    "\"ok\"",
    "\"any\"",
    "\"request\"",
    "\"hi\"",
    "\"k1\"",
    "\"K2\"",
    "\"box\"",
    "\"motor\"",
    "\"gripper\"",
    "\"a b\"",
    "\"Ü\u{feff}\"",
    "\"\\u0007\"",
    "'''\n'''",
    "name = ",
    "kind = ",
    "when = { what = 0 }",
    "values = { 0 = \"a\", 0x1 = \"b\" }",
    "default = \"0\"",
    "unit = \"mm\"",
    "[[device]]",
    "[[status]]",
    "[[function]]",
    "[[function.reply]]",
    "[[function.request]]",
    "[[field]]",
    "\n",
    "\r\n",
    "=",
    "\"",
    "# ",
];

/// Whole tables of valid dialects, the first of each the part before the first table.
static TABLES: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let starters = ["k2", "hi", "k1"].map(|base| STARTER.replace("BASE", base));
    let built_in = Dialect::BUILT_IN.into_iter();
    let texts = built_in.flat_map(|dialect| [dialect.to_toml(true), dialect.to_toml(false)]);
    texts.chain(starters).map(|text| tables(&text)).collect()
});

/// A text in pieces, each beginning with a table that belongs to no other.
fn tables(text: &str) -> Vec<String> {
    let mut tables = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if ["[[device]]", "[[status]]", "[[function]]", "[[field]]"].contains(&line.trim_end()) {
            tables.push(String::new());
        }
        if let Some(last) = tables.last_mut() {
            last.push_str(line);
        }
    }
    tables
}

/// The nearest place before `at` that is between two characters.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Some tables of a valid dialect with a few changes.
fn changed(u: &mut Unstructured<'_>) -> Result<String> {
    let all = u.choose(&TABLES)?;
    let mut text = all[0].clone();
    for _ in 0..u.int_in_range(0..=4)? {
        // Two in a row now and then, or the same twice.
        text.push_str(u.choose(all)?);
    }
    for _ in 0..u.int_in_range(0..=4)? {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (one, other) = (u.choose_index(lines.len())?, u.choose_index(lines.len())?);
        let begin = lines[..one].iter().map(|line| line.len()).sum::<usize>();
        let line = lines[one];
        let end = begin + line.len();
        let other = lines[other].to_owned();
        let value = line.find('=').map_or(begin, |at| begin + at + 1);
        match u.int_in_range(0..=6)? {
            0 => text.replace_range(begin..end, ""),
            1 => text.insert_str(begin, &other),
            2 => text.replace_range(begin..end, &other),
            3 | 4 => {
                let piece = *u.choose(&PIECES)?;
                text.replace_range(value..end, &format!(" {piece}\n"));
            }
            5 => {
                let at = boundary(&text, begin + u.choose_index(end - begin + 1)?);
                text.insert_str(at, u.choose(&PIECES)?);
            }
            _ => {
                let at = boundary(&text, begin + u.choose_index(end - begin + 1)?);
                let to = boundary(&text, at + u.int_in_range(0..=8)?).max(at);
                let new: &str = u.arbitrary()?;
                text.replace_range(at..to, new);
            }
        }
    }
    Ok(text)
}

/// What loads, or nothing: then every error is within the text.
fn load(text: &str) -> Option<&'static Dialect> {
    let errors = match Dialect::from_toml(text, "given") {
        Ok(dialect) => return Some(dialect),
        Err(errors) => errors,
    };
    let lines: Vec<&str> = text.split('\n').collect();
    assert!((1..=500).contains(&errors.len()), "{} errors", errors.len());
    assert!(errors.is_sorted_by_key(|error| (error.line, error.column)), "{errors:?}");
    for error in &errors {
        assert!((1..=lines.len()).contains(&error.line), "{error} of {text:?}");
        let length = lines[error.line - 1].chars().count();
        assert!((1..=length + 1).contains(&error.column), "{error} of {text:?}");
        assert!(!error.what.is_empty());
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    None
}

/// What is written of a dialect loads, and is then written as the same text.
fn check_written(dialect: &'static Dialect, own: bool) {
    let text = dialect.to_toml(own);
    let again =
        Dialect::from_toml(&text, "other").unwrap_or_else(|errors| panic!("{}: {text}", errors[0]));
    assert_eq!(again.to_toml(own), text);
}

/// No table that loads makes reading a frame panic.
fn check_frames(dialect: &'static Dialect, u: &mut Unstructured<'_>) -> Result<()> {
    for addr in (0..=u8::MAX).map(Address) {
        let name = dialect.device(addr);
        assert!(dialect.address(&name).is_ok(), "{name} of {addr:?}");
        let _ = dialect.class(addr);
    }
    for info in dialect.statuses() {
        assert!(dialect.status_of(&dialect.status_name(info.code)).is_ok(), "{info:?}");
    }
    for function in dialect.functions.iter().take(4) {
        let of_class = |addr: &Address| dialect.class(*addr) == Some(function.class);
        let Some(addr) = (0..=u8::MAX).map(Address).find(of_class) else { continue };
        let plain = Plain { addr, status: status(u)?, func: function.code, data: data(u)? };
        let wire = plain.wire();
        let Ok(frame) = Frame::from_bytes(&wire) else { continue };
        for dir in [None, Some(Direction::Request), Some(Direction::Response)] {
            let message = dialect.decode(&frame, dir, None);
            assert!(message.rest.len() <= plain.data.len(), "{message:?}");
        }
        let _ = dialect.decode(&frame, Some(Direction::Response), Some(&frame));
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let text = match input {
        [RAW, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        seed => match changed(&mut Unstructured::new(seed)) {
            Ok(text) => text,
            Err(_) => return,
        },
    };
    let Some(dialect) = load(&text) else { return };
    check_written(dialect, true);
    // All of it is some hundred times as much, and leaked: not each time.
    if text.len() % 64 == 0 {
        check_written(dialect, false);
    }
    let _ = check_frames(dialect, &mut Unstructured::new(input));
});
