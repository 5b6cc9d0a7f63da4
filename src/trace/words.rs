//! A call, and what happened within it, as words for people.

use std::borrow::Cow;
use std::io::{self, Write};

use k485_proto::dialect::Dialect;
use k485_proto::line::{Role, Word};
use k485_proto::record::Time;
use k485_trace::event::Site;
use k485_trace::tree::{Args, End, Node};

use crate::table;
use crate::view::style;

/// How much of a value is shown where not all of it is wanted, in characters.
const SHOWN: usize = 100;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// Whole values, tracebacks, threads.
    pub(super) whole: bool,
    /// Whose tables decode frames.
    pub(super) dialect: &'static Dialect,
}

pub(super) fn word(role: Role, text: impl Into<String>) -> Word {
    Word { role, text: text.into() }
}

/// Writes words as one line behind `before`, which is not coloured but dimmed.
pub(super) fn write_line(
    out: &mut dyn Write,
    color: bool,
    before: &str,
    words: &[Word],
) -> io::Result<()> {
    paint(out, color, Role::Minor, before)?;
    for (at, Word { role, text }) in words.iter().enumerate() {
        if at > 0 {
            out.write_all(b" ")?;
        }
        paint(out, color, *role, text)?;
    }
    out.write_all(b"\n")
}

fn paint(out: &mut dyn Write, color: bool, role: Role, text: &str) -> io::Result<()> {
    match style(role).filter(|_| color && !text.is_empty()) {
        Some(style) => write!(out, "{}{text}{}", style.render(), style.render_reset()),
        None => out.write_all(text.as_bytes()),
    }
}

/// What is in the columns before a call.
pub(super) fn columns(time: Option<Time>, duration: Option<i64>) -> String {
    let time = time.map(clock).unwrap_or_default();
    let duration = duration.map(length).unwrap_or_default();
    format!("{time:<12} {duration:>8}  ")
}

/// A moment as the wall clock shows it.
pub(super) fn clock(time: Time) -> String {
    table::clock(time, "%H:%M:%S%.3f")
}

/// A length of time, with about three digits.
pub(super) fn length(nanos: i64) -> String {
    let value = nanos as f64;
    match value.abs() {
        ..1e6 => format!("{:.0} us", value / 1e3),
        ..1e7 => format!("{:.2} ms", value / 1e6),
        ..1e9 => format!("{:.1} ms", value / 1e6),
        ..1e11 => format!("{:.2} s", value / 1e9),
        _ => format!("{:.0} s", value / 1e9),
    }
}

/// `box.get_flush_len(None, T2A)`.
pub(super) fn called(site: &Site<'_>, args: Option<&Args>, detail: Detail) -> Vec<Word> {
    let mut words = Vec::new();
    let object = if site.object.is_empty() { &site.class } else { &site.object };
    let object = clean(object);
    let dot = if object.is_empty() { "" } else { "." };
    let method = if site.method.is_empty() { "?".into() } else { clean(&site.method) };
    let args = args.map_or("?".into(), |args| arguments(args, detail));
    words.push(word(Role::Function, format!("{object}{dot}{method}")));
    words[0].text.push('(');
    words[0].text += &args;
    words[0].text.push(')');
    words
}

/// What came of a call.
pub(super) fn came_to(end: &End, detail: Detail) -> Vec<Word> {
    match end {
        End::Returned(result) => {
            vec![word(Role::Minor, "->"), word(Role::Good, value(result, detail))]
        }
        End::Raised { exc_type, error, .. } => {
            let colon = if exc_type.is_empty() || error.is_empty() { "" } else { ": " };
            let text = format!("{exc_type}{colon}{error}");
            vec![word(Role::Bad, "raised"), word(Role::Bad, cut(&text, detail))]
        }
        End::NotSeen => vec![word(Role::Warn, "... its end is not in the trace")],
    }
}

/// A call in one line: what was called, what came of it, and what is odd about it.
pub(super) fn call(node: &Node, detail: Detail) -> Vec<Word> {
    let mut words = called(&node.site, node.args.as_ref(), detail);
    words.extend(came_to(&node.end, detail));
    if node.args.is_none() {
        words.push(word(Role::Warn, "[its beginning is not in the trace]"));
    }
    if !node.also.is_empty() {
        words.push(word(Role::Minor, format!("[told as {} too]", clean(&node.also.join(", ")))));
    }
    if node.yields > 0 {
        words.push(word(Role::Minor, format!("[left {} times]", node.yields)));
    }
    if detail.whole {
        words.extend(place(node));
    }
    words
}

/// The id, the thread and the greenlet, where they are told.
fn place(node: &Node) -> Option<Word> {
    let number = |name: &str, number: Option<u64>| number.map(|n| format!(" {name}={n}"));
    let context = &node.context;
    let parts = [number("tid", context.tid), number("gid", context.gid)];
    let parts: String = parts.into_iter().flatten().collect();
    Some(word(Role::Minor, format!("[id={}{parts}]", node.id)))
}

/// The arguments: as they were told apart, or as the one text of other tracers.
fn arguments(args: &Args, detail: Detail) -> String {
    let parsed = args.argv.as_deref().and_then(|argv| serde_json::from_str(argv).ok());
    let Some(serde_json::Value::Array(list)) = parsed else {
        return value(&args.text, detail);
    };
    let mut parts: Vec<String> = list.iter().map(|item| argument(item, detail)).collect();
    let kw = args.kw.as_deref().and_then(|kw| serde_json::from_str(kw).ok());
    if let Some(serde_json::Value::Object(kw)) = kw {
        parts.extend(
            kw.iter().map(|(name, item)| format!("{}={}", clean(name), argument(item, detail))),
        );
    }
    parts.join(", ")
}

/// One argument. What is of use in a command of G-code is the line that a person wrote.
fn argument(item: &serde_json::Value, detail: Detail) -> String {
    match item["_commandline"].as_str().filter(|_| !detail.whole) {
        Some(line) => cut(line, detail),
        None => value(&item.to_string(), detail),
    }
}

/// A value, with bytes as hex in `<>`, and cut where not all is wanted.
pub(super) fn value(text: &str, detail: Detail) -> String {
    cut(&bytes(text), detail)
}

fn cut(text: &str, detail: Detail) -> String {
    let text = clean(text);
    match text.char_indices().nth(SHOWN).filter(|_| !detail.whole) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// `{'_bytes': '0103'}`, in Python's quotes or in JSON's, as `<0103>`.
fn bytes(text: &str) -> Cow<'_, str> {
    if !text.contains("_bytes") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'text: while !rest.is_empty() {
        for (head, tail) in
            [("{'_bytes': '", "'}"), ("{\"_bytes\": \"", "\"}"), ("{\"_bytes\":\"", "\"}")]
        {
            let digits = rest.strip_prefix(head).and_then(|rest| rest.split_once(tail));
            let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if let Some((digits, behind)) = digits.filter(|(digits, _)| is_hex(digits)) {
                out = out + "<" + digits + ">";
                rest = behind;
                continue 'text;
            }
        }
        let size = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
        out.push_str(&rest[..size]);
        rest = &rest[size..];
    }
    Cow::Owned(out)
}

/// A text without anything that would steer a terminal.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let visible = |c: char| match c {
        '\n' => '\u{240a}',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(visible).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hex_and_nothing_steers_the_terminal() {
        let detail = Detail { whole: false, dialect: &k485_proto::dialect::K2 };
        assert_eq!(value("{'_bytes': '0103ff0a'}, 3600", detail), "<0103ff0a>, 3600");
        assert_eq!(value("[{\"_bytes\": \"f7\"}, {\"_bytes\": \"x\"}]", detail), {
            "[<f7>, {\"_bytes\": \"x\"}]"
        });
        assert_eq!(value("a\u{1b}[31m\n", detail), "a\u{fffd}[31m\u{240a}");
        assert_eq!(value(&"x".repeat(200), detail).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_command_of_gcode_is_its_line() {
        let handler = |argv: &str| Args {
            text: "{'_type': 'GCodeCommand'}".into(),
            argv: Some(argv.into()),
            kw: Some("{}".into()),
        };
        let argv = r#"[{"_type": "GCodeCommand", "_id": 1, "_attrs": ["_command", "_params"],
            "_commandline": "BOX_GO T=T2A\u001b"}, 3]"#;
        let whole = |whole| Detail { whole, dialect: &k485_proto::dialect::K2 };
        assert_eq!(arguments(&handler(argv), whole(false)), "BOX_GO T=T2A\u{fffd}, 3");
        let all = arguments(&handler(argv), whole(true));
        assert!(all.contains("_attrs") && all.contains("_commandline"), "{all}");
        // One without its line is a value as any other.
        let other = r#"[{"_type": "GCodeCommand", "_commandline": null}]"#;
        assert!(arguments(&handler(other), whole(false)).contains("GCodeCommand"));
    }

    #[test]
    fn lengths_have_three_digits() {
        let all = [52_000, 1_234_000, 12_345_000, 3_210_000_000, 150_200_000_000].map(length);
        assert_eq!(all, ["52 us", "1.23 ms", "12.3 ms", "3.21 s", "150 s"]);
    }
}
