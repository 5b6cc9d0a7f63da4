//! Values as Python writes them: as JSON, and as the text of `str(value)`.

use std::fmt::Write as _;

use super::marshal::Value;

/// Characters of the text of all arguments.
const ARGS: usize = 2_000;

/// A value as JSON, with Python's blanks.
pub(super) fn json(value: &Value<'_>, out: &mut String) {
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => float(*number, out),
        Value::Bytes(bytes) => {
            let _ = write!(out, "{{\"_bytes\": \"{}\"}}", hex::encode(bytes));
        }
        Value::Text(text) => quoted(text, out),
        Value::List(items) => {
            out.push('[');
            joined(items, out, json);
            out.push(']');
        }
        Value::Dict(items) => {
            out.push('{');
            joined(items, out, |(key, value), out| {
                match key {
                    Value::Text(text) => quoted(text, out),
                    key => {
                        let mut text = String::new();
                        json(key, &mut text);
                        quoted(&text, out);
                    }
                }
                out.push_str(": ");
                json(value, out);
            });
            out.push('}');
        }
    }
}

fn joined<T>(items: &[T], out: &mut String, mut each: impl FnMut(&T, &mut String)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        each(item, out);
    }
}

/// A text in JSON's quotes, in ASCII.
pub(super) fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// A float as `repr` writes it: the fewest digits that tell it, with a point or an exponent.
fn float(number: f64, out: &mut String) {
    if !number.is_finite() {
        // A tracer tells these in another way; JSON has none for them.
        out.push_str("null");
        return;
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
    }
}

/// All arguments as the one text that other tracers have: texts in it are not quoted.
pub(super) fn args(args: &[Value<'_>], kw: &[(Value<'_>, Value<'_>)]) -> String {
    let mut out = String::new();
    joined(args, &mut out, argument);
    for (name, value) in kw {
        if !out.is_empty() || !args.is_empty() {
            out.push_str(", ");
        }
        if let Value::Text(name) = name {
            out.push_str(name);
        }
        out.push('=');
        argument(value, &mut out);
    }
    let is_alone = kw.is_empty() && matches!(args, [Value::Text(_)]);
    match out.char_indices().nth(ARGS).filter(|_| !is_alone) {
        Some((end, _)) => {
            out.truncate(end);
            out + "..."
        }
        None => out,
    }
}

fn argument(value: &Value<'_>, out: &mut String) {
    match cut_text(value) {
        Some((text, is_cut)) => {
            out.push_str(text);
            out.push_str(if is_cut { "..." } else { "" });
        }
        None => repr(value, out),
    }
}

/// A text, and whether it is the beginning of a longer one.
fn cut_text<'v>(value: &'v Value<'_>) -> Option<(&'v str, bool)> {
    match value {
        Value::Text(text) => Some((text, false)),
        Value::Dict(items) => {
            let is = |key: &Value<'_>, name| matches!(key, Value::Text(text) if text == name);
            let of = |name| items.iter().find(|(key, _)| is(key, name));
            match (of("_str"), of("_len")) {
                (Some((_, Value::Text(text))), Some(_)) => Some((text, true)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A value as `ascii` writes it: `repr` with escapes for all that is not ASCII, so that it does not
/// hang on the Unicode of a Python.
fn repr(value: &Value<'_>, out: &mut String) {
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(_) | Value::Float(_) => json(value, out),
        Value::Bytes(bytes) => {
            let _ = write!(out, "{{'_bytes': '{}'}}", hex::encode(bytes));
        }
        Value::Text(text) => repr_text(text, out),
        Value::List(items) => {
            out.push('[');
            joined(items, out, repr);
            out.push(']');
        }
        Value::Dict(items) => {
            if let Some((text, true)) = cut_text(value) {
                repr_text(&format!("{text}..."), out);
                return;
            }
            out.push('{');
            joined(items, out, |(key, value), out| {
                repr(key, out);
                out.push_str(": ");
                repr(value, out);
            });
            out.push('}');
        }
    }
}

/// In single quotes, unless only those are in it.
fn repr_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ ..0x100 => write!(out, "\\x{code:02x}"),
                    code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float_text(number: f64) -> String {
        let mut out = String::new();
        float(number, &mut out);
        out
    }

    #[test]
    fn floats_are_those_of_repr() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (160.833_333_333_333_34, "160.83333333333334"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(float_text(number), text);
        }
    }

    #[test]
    fn arguments_are_one_text() {
        let bytes = Value::Bytes(&[1, 3]);
        let list = Value::List(vec![Value::Text("it's".into()), bytes.clone(), Value::None]);
        let long = Value::Dict(vec![
            (Value::Text("_str".into()), Value::Text("begin".into())),
            (Value::Text("_len".into()), Value::Int(900)),
        ]);
        assert_eq!(
            args(
                &[Value::Text("T2A".into()), bytes, list, long],
                &[(Value::Text("x".into()), Value::Bool(true))]
            ),
            "T2A, {'_bytes': '0103'}, [\"it's\", {'_bytes': '0103'}, None], begin..., x=True"
        );
        assert_eq!(args(&[], &[(Value::Text("x".into()), Value::Float(0.5))]), "x=0.5");
        // A bare text stands as it is, one in a list as ascii() writes it.
        let text = || Value::Text("é\u{2028}\u{7f}\u{200b}\u{1f600}\0".into());
        assert_eq!(
            args(&[text(), Value::List(vec![text()])], &[]),
            "é\u{2028}\u{7f}\u{200b}\u{1f600}\0, ['\\xe9\\u2028\\x7f\\u200b\\U0001f600\\x00']"
        );
        assert_eq!(args(&vec![Value::Int(10_000_000); 300], &[]).chars().count(), ARGS + 3);
    }
}
