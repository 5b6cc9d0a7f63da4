//! What single keys of a scene hold: numbers, words, texts, lengths of time, lists of them.

use std::fmt;
use std::str::FromStr;

use k485_proto::record::Time;
use k485_proto::strict::{Errors, kind, text_of};
use toml::Spanned;
use toml::de::DeValue;

use super::{Limits, Shape, Value};

/// A whole number out of TOML.
fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

/// A number out of TOML, whole or not.
fn number(value: &Spanned<DeValue<'_>>) -> Option<f64> {
    match value.get_ref().as_float() {
        Some(float) => float.as_str().replace('_', "").parse().ok(),
        None => integer(value).map(|whole| whole as f64),
    }
}

macro_rules! whole {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn shape(limits: Limits) -> Shape {
                let (least, most) = bounds(limits, <$type>::MIN as f64, <$type>::MAX as f64);
                Shape::Integer(least, most)
            }

            fn read(
                what: &str,
                value: &Spanned<DeValue<'_>>,
                limits: Limits,
                errors: &mut Errors<'_>,
            ) -> Option<Self> {
                let (least, most) = bounds(limits, <$type>::MIN as f64, <$type>::MAX as f64);
                let fits = integer(value).filter(|n| (least..=most).contains(n));
                let read = fits.and_then(|n| <$type>::try_from(n).ok());
                if read.is_none() {
                    errors.add(value.span(), whole_number(what, least, most, value));
                }
                read
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}

whole!(u8, i8, u32, u64);

/// What is wrong with a whole number.
fn whole_number(what: &str, least: i64, most: i64, value: &Spanned<DeValue<'_>>) -> String {
    match integer(value) {
        Some(found) if most == i64::MAX => format!("{what} is {least} or more, not {found}"),
        Some(found) => format!("{what} is from {least} to {most}, not {found}"),
        None => format!("{what} is a whole number, not {}", kind(value)),
    }
}

/// The range of a whole number; above what TOML holds there is nothing.
fn bounds(limits: Limits, least: f64, most: f64) -> (i64, i64) {
    // Casts of floats saturate.
    (limits.least.max(least) as i64, limits.most.min(most) as i64)
}

impl Value for f64 {
    fn shape(limits: Limits) -> Shape {
        Shape::Number(limits.least, limits.most)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let Limits { least, most } = limits;
        let found = number(value);
        let read = found.filter(|n| n.is_finite() && (least..=most).contains(n));
        if read.is_none() {
            let wrong = match found {
                None => format!("{what} is a number, not {}", kind(value)),
                Some(n) if !n.is_finite() => format!("{what} is a number, not {n}"),
                Some(n) => format!("{what} is from {least} to {most}, not {n}"),
            };
            errors.add(value.span(), wrong);
        }
        read
    }

    fn write(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Value for f32 {
    fn shape(limits: Limits) -> Shape {
        f64::shape(limits)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        f64::read(what, value, limits, errors).map(|n| n as f32)
    }

    fn write(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Value for bool {
    fn shape(_: Limits) -> Shape {
        Shape::Boolean
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            errors.add(value.span(), format!("{what} is true or false, not {}", kind(value)));
        }
        read
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    fn shape(_: Limits) -> Shape {
        Shape::Text("a line")
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        text_of(what, value, errors).map(str::to_owned)
    }

    fn write(&self) -> Option<String> {
        Some(quoted(self))
    }
}

/// A text as TOML has it.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            _ if letter.is_control() => out += &format!("\\u{:04X}", u32::from(letter)),
            _ => out.push(letter),
        }
    }
    out + "\""
}

/// Something that is written as a text and read by its own rules.
pub(crate) trait Word: FromStr<Err = String> + fmt::Display {
    /// What is to be written.
    const SHAPE: Shape;
}

impl<T: Word> Value for Parsed<T> {
    fn shape(_: Limits) -> Shape {
        T::SHAPE
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let text = text_of(what, value, errors)?;
        if let Shape::Word(words) = T::SHAPE
            && !words.contains(&text)
            && text.parse::<T>().is_err()
        {
            errors.add_unknown(value.span(), format!("{what} is not {text:?}"), text, words);
            return None;
        }
        match text.parse() {
            Ok(parsed) => Some(Parsed(parsed)),
            Err(why) => {
                errors.add(value.span(), format!("{what}: {why}"));
                None
            }
        }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.0.to_string()))
    }
}

/// A value that is written as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Parsed<T>(pub T);

/// So many values: a list of exactly `N`.
impl<T: Value + Copy + Default, const N: usize> Value for [T; N] {
    fn shape(_: Limits) -> Shape {
        Shape::List(|| T::shape(super::ANY), N, N)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let list = value.get_ref().as_array();
        let Some(list) = list.filter(|list| list.len() == N) else {
            errors.add(value.span(), format!("{what} is a list of {N} values: [.., ..]"));
            return None;
        };
        let mut values = [T::default(); N];
        for (place, item) in values.iter_mut().zip(list) {
            *place = T::read(what, item, limits, errors)?;
        }
        Some(values)
    }

    fn write(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(Value::write).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// Some values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List<T>(pub Vec<T>);

/// The most values of a list.
const MOST: usize = 256;

impl<T: Value> Value for List<T> {
    fn shape(_: Limits) -> Shape {
        Shape::List(|| T::shape(super::ANY), 0, MOST)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let list = value.get_ref().as_array();
        let Some(list) = list.filter(|list| list.len() <= MOST) else {
            errors.add(value.span(), format!("{what} is a list of at most {MOST} values"));
            return None;
        };
        let read = list.iter().map(|item| T::read(what, item, limits, errors));
        read.collect::<Option<Vec<T>>>().map(List)
    }

    fn write(&self) -> Option<String> {
        let items: Vec<String> = self.0.iter().filter_map(Value::write).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A length of time: `12.5s`, `1m30s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Length(pub i64);

/// The units, in nanoseconds.
const UNITS: [(&str, i64); 6] = [
    ("us", 1_000),
    ("ms", Time::MILLISECOND),
    ("s", Time::SECOND),
    ("m", 60 * Time::SECOND),
    ("h", 3_600 * Time::SECOND),
    ("d", 86_400 * Time::SECOND),
];

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        nanos(text).map(Length).ok_or_else(|| {
            format!("{text:?} is no length of time; write it with its unit: 500ms, 12.5s, 1m30s")
        })
    }
}

fn nanos(text: &str) -> Option<i64> {
    let mut sum: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|end| *end > 0)?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let tenths = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let part = part.parse::<i128>().ok()?.checked_mul(i128::from(*scale))? / tenths;
        let whole = whole.parse::<i64>().ok()?.checked_mul(*scale)?;
        sum = sum.checked_add(whole)?.checked_add(i64::try_from(part).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

/// In seconds or milliseconds, as a capture shows times.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            ns if ns != 0 && ns < Time::SECOND => (Time::MILLISECOND, "ms"),
            _ => (Time::SECOND, "s"),
        };
        let (whole, part) = (self.0 / unit, self.0 % unit);
        let digits = unit.ilog10() as usize;
        let part = format!("{part:0digits$}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}{name}"),
            part => write!(f, "{whole}.{part}{name}"),
        }
    }
}

impl Word for Length {
    const SHAPE: Shape = Shape::Length;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_read_as_they_were_written(text: String, low in "[\\x00-\\x20\"\\\\\\x7f]*") {
            for text in [text, low] {
                let source = format!("text = {}", quoted(&text));
                let table = toml::de::DeTable::parse(&source).unwrap();
                prop_assert_eq!(table.get_ref()["text"].get_ref().as_str(), Some(&*text));
            }
        }
    }

    #[test]
    fn lengths_of_time() {
        for (text, ns) in [
            ("12.5s", 12_500 * Time::MILLISECOND),
            ("1m30s", 90 * Time::SECOND),
            ("500ms", 500 * Time::MILLISECOND),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Length(ns)));
            assert_eq!(Length(ns).to_string().parse(), Ok(Length(ns)));
        }
        assert_eq!(Length(12_345_600_000).to_string(), "12.3456s");
        assert_eq!(Length(1_500_000).to_string(), "1.5ms");
        for wrong in ["", "10", "s", "1x", "-1s", "1..5s", "99999999999999h", "1.s"] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
    }
}
