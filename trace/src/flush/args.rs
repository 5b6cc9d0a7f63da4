//! Arguments of traced calls, as the one text that a trace has of them.

use k485_proto::slot::Slot;

/// The arguments of a call, cut at commas that stand in no bracket and no quotes; without the names
/// of those that were given by name, and without quotes. What bare texts hold cannot be told from
/// what stands between them: a text with a comma becomes two.
#[must_use]
pub fn split(args: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut quote, mut start) = (0_i32, None, 0);
    for (at, c) in args.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth -= 1,
            (',', None) if depth <= 0 => {
                parts.push(bare(&args[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    if !args[start..].trim().is_empty() {
        parts.push(bare(&args[start..]));
    }
    parts
}

/// A value without its name and its quotes.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let named = text.split_once('=').filter(|(name, _)| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty()
    });
    let text = named.map_or(text, |(_, value)| value);
    let quoted = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('\'').or_else(|| quoted('"')).unwrap_or(text)
}

/// Two sides of a change, `None, T2A`: `None` outside where that is not what the arguments say.
#[must_use]
pub fn sides(args: &str) -> Option<(Option<Slot>, Slot)> {
    let parts = split(args);
    let [prev, next, ..] = parts.as_slice() else { return None };
    let prev = match *prev {
        "None" | "null" | "" => None,
        prev => Some(prev.parse().ok()?),
    };
    Some((prev, next.parse().ok()?))
}

/// Red, green and blue: `[0, 128, 255]`.
#[must_use]
pub fn rgb(text: &str) -> Option<[u8; 3]> {
    let inner = text.trim_matches(|c| "[]() ".contains(c));
    let parts: Vec<u8> =
        inner.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_as_tracers_write_them() {
        assert_eq!(split("None, T2A"), ["None", "T2A"]);
        assert_eq!(split("'T1A', next=\"T2A\""), ["T1A", "T2A"]);
        assert_eq!(split("[0, 0, 1], (2, 3)"), ["[0, 0, 1]", "(2, 3)"]);
        assert_eq!(split("type=011002"), ["011002"]);
        assert!(split("").is_empty());
        let slot = |text: &str| text.parse::<Slot>().unwrap();
        assert_eq!(sides("None, T2A"), Some((None, slot("T2A"))));
        assert_eq!(sides("T1A, T2A, 5"), Some((Some(slot("T1A")), slot("T2A"))));
        for wrong in ["T2A", "T0A, T1A", "", "T1A, None"] {
            assert_eq!(sides(wrong), None, "{wrong}");
        }
        assert_eq!(rgb("[0, 128, 255]"), Some([0, 128, 255]));
        assert_eq!(rgb("[0, 256, 255]"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".*") {
            let _ = (sides(&text), rgb(&text));
        }
    }
}
