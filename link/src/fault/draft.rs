//! A rule in the making: fields by name, each checked, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;

use k485_proto::address::Address;
use k485_proto::dialect::Dialect;
use k485_proto::filter::{Filter, FilterError};
use k485_proto::record::{Direction, Time};
use k485_proto::status::Status;

use super::fields::{FIELDS, Field, KINDS, KindInfo, Takes};
use super::{Kind, MOST_TALK, Part, Place, Rule};

/// What a field was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text; a line gives nothing else.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false, which no field takes.
    Boolean(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no such field.
    #[error("a fault has no field {key:?}; {}", Advice(nearest, FIELDS.iter().map(|f| f.name)))]
    UnknownField {
        /// As it was written.
        key: String,
        /// The right one that is the nearest to it.
        nearest: Option<&'static str>,
    },
    /// A field is given again.
    #[error("{key} is given twice")]
    Twice {
        /// Which.
        key: &'static str,
    },
    /// There is no kind.
    #[error("a fault needs a kind: {}", names(KINDS.iter().map(|k| k.name)))]
    NoKind,
    /// There is no such kind.
    #[error("no kind of fault is named {kind:?}; {}", Advice(nearest, KINDS.iter().map(|k| k.name)))]
    UnknownKind {
        /// As it was written.
        kind: String,
        /// The right one that is the nearest to it.
        nearest: Option<&'static str>,
    },
    /// A field that rules of this kind do not have.
    #[error("{kind} has no field {key}; it is one of {}", names(kinds_of(key)))]
    NotOfKind {
        /// The field.
        key: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A field that rules of this kind must have.
    #[error("{kind} needs {key}: {takes}", takes = takes(key))]
    Missing {
        /// The field.
        key: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A field's value is none.
    #[error("{key}: {found:?} is not {wants}")]
    Wrong {
        /// The field.
        key: &'static str,
        /// What was given.
        found: String,
        /// What to give.
        wants: String,
    },
    /// A device would talk more often than [`MOST_TALK`] times.
    #[error("babble: {times} times are too many, the most is {MOST_TALK}; take a longer gap")]
    TooMuchTalk {
        /// How often it would.
        times: i64,
    },
    /// The filter is none.
    #[error("when: {0}")]
    Filter(FilterError),
    /// A word of a line that is nothing.
    #[error("{word:?} is neither FIELD=VALUE nor {expected}")]
    Word {
        /// The word.
        word: String,
        /// What else might stand there.
        expected: &'static str,
    },
}

impl FaultError {
    /// The field that is wrong, where it is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            FaultError::UnknownField { key, .. } => Some(key),
            FaultError::Twice { key }
            | FaultError::NotOfKind { key, .. }
            | FaultError::Wrong { key, .. } => Some(key),
            FaultError::UnknownKind { .. } => Some("kind"),
            FaultError::TooMuchTalk { .. } => Some("gap"),
            FaultError::Filter(_) => Some("when"),
            FaultError::NoKind | FaultError::Missing { .. } | FaultError::Word { .. } => None,
        }
    }
}

fn kinds_of(key: &str) -> impl Iterator<Item = &'static str> {
    Field::find(key).map_or(&[][..], |field| field.kinds).iter().copied()
}

fn takes(key: &str) -> String {
    Field::find(key).map_or_else(String::new, |field| field.takes.words())
}

fn names(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// The nearest word, or all of them where none is near.
struct Advice<'a, I>(&'a Option<&'static str>, I);

impl<I: Iterator<Item = &'static str> + Clone> fmt::Display for Advice<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(near) => write!(f, "did you mean {near}?"),
            None => write!(f, "there are: {}", names(self.1.clone())),
        }
    }
}

/// The word that a mistyped one was probably meant to be.
fn nearest(word: &str, right: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&word, other);
    let near = right.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(near) > 0.8).then_some(near)
}

/// A rule whose names are not looked up yet, since that takes a dialect. `serde` reads it from a
/// table; a field that does not exist is an error there already.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    values: BTreeMap<&'static str, Value>,
}

impl Draft {
    /// Takes one field.
    ///
    /// # Errors
    /// There is no such field, or it is given already.
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), FaultError> {
        let Some(field) = Field::find(key) else {
            let nearest = nearest(key, FIELDS.iter().map(|field| field.name));
            return Err(FaultError::UnknownField { key: key.to_owned(), nearest });
        };
        match self.values.insert(field.name, value) {
            None => Ok(()),
            Some(_) => Err(FaultError::Twice { key: field.name }),
        }
    }

    /// The fields that were given, by name.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// Makes a rule of it.
    ///
    /// # Errors
    /// A field lacks, does not belong to the kind, or holds what it may not.
    pub fn rule(&self, dialect: &'static Dialect) -> Result<Rule, FaultError> {
        let name = self.kind()?;
        if let Some(field) =
            self.values.keys().filter_map(|k| Field::find(k)).find(|f| !f.is_of(name))
        {
            return Err(FaultError::NotOfKind { key: field.name, kind: name });
        }
        let kind = self.kind_of(name, dialect)?;
        let when = match self.text("when")? {
            Some(text) => Some(Filter::parse(text, dialect).map_err(FaultError::Filter)?),
            None => None,
        };
        Ok(Rule {
            when,
            direction: self.direction()?.unwrap_or(kind.direction()),
            probability: self.probability()?,
            after_n: self.count("after")?.unwrap_or(0),
            every_n: self.count("every")?.unwrap_or(1),
            times: self.count("times")?,
            for_ns: self.length("for")?,
            kind,
        })
    }

    /// The kind's name, once it is known to be one.
    pub(super) fn kind(&self) -> Result<&'static str, FaultError> {
        let Some(kind) = self.text("kind")? else { return Err(FaultError::NoKind) };
        match KindInfo::find(kind) {
            Some(info) => Ok(info.name),
            None => Err(FaultError::UnknownKind {
                kind: kind.to_owned(),
                nearest: nearest(kind, KINDS.iter().map(|kind| kind.name)),
            }),
        }
    }

    fn kind_of(&self, name: &'static str, dialect: &Dialect) -> Result<Kind, FaultError> {
        let length = |key, default: i64| Ok(self.length(key)?.unwrap_or(default));
        let device = || self.device(dialect);
        Ok(match name {
            "drop" => Kind::Drop,
            "delay" => Kind::Delay {
                ns: self.length("time")?.ok_or(FaultError::Missing { key: "time", kind: name })?,
                jitter_ns: length("jitter", 0)?,
            },
            "duplicate" => Kind::Duplicate {
                copies: self.small("copies")?.unwrap_or(1),
                gap_ns: length("gap", 0)?,
            },
            "truncate" => Kind::Truncate { keep: self.small("keep")? },
            "split" => Kind::Split {
                at: self.small("at")?,
                pause_ns: length("pause", 5 * Time::MILLISECOND)?,
            },
            "flip_data" => self.flip(Part::Data)?,
            "flip_crc" => self.flip(Part::Crc)?,
            "flip_address" => self.flip(Part::Address)?,
            "wrong_status" => Kind::WrongStatus { status: self.status(dialect)? },
            "wrong_function" => Kind::WrongFunction { func: self.function(dialect)? },
            "noise_before" => Kind::Noise { place: Place::Before, bytes: self.small("bytes")? },
            "noise_after" => Kind::Noise { place: Place::After, bytes: self.small("bytes")? },
            "echo" => Kind::Echo,
            "babble" => self.babble(device()?)?,
            "offline" => {
                Kind::Offline { lasts_ns: length("time", 10 * Time::SECOND)?, device: device()? }
            }
            "reset" => Kind::Reset { device: device()? },
            "slow_boot" => {
                Kind::SlowBoot { lasts_ns: length("time", 5 * Time::SECOND)?, device: device()? }
            }
            "busy" => Kind::Busy { lasts_ns: length("time", Time::SECOND)?, device: device()? },
            _ => return Err(FaultError::NoKind),
        })
    }

    fn flip(&self, part: Part) -> Result<Kind, FaultError> {
        Ok(Kind::Flip { part, bits: self.small("bits")?.unwrap_or(1) })
    }

    fn babble(&self, device: Option<Address>) -> Result<Kind, FaultError> {
        let lasts_ns = self.length("time")?.unwrap_or(Time::SECOND);
        let gap_ns = self.length("gap")?.unwrap_or(50 * Time::MILLISECOND);
        if gap_ns < Time::MILLISECOND {
            return Err(self.wrong("gap", "1ms or longer where a device babbles".to_owned()));
        }
        let times = lasts_ns / gap_ns;
        match times > MOST_TALK {
            true => Err(FaultError::TooMuchTalk { times }),
            false => Ok(Kind::Babble { lasts_ns, gap_ns, device }),
        }
    }

    fn wrong(&self, key: &'static str, wants: String) -> FaultError {
        let found = self.values.get(key).map_or_else(String::new, Value::to_string);
        FaultError::Wrong { key, found, wants }
    }

    /// The field is not what it takes.
    fn unfit(&self, key: &'static str) -> FaultError {
        self.wrong(key, takes(key))
    }

    fn text(&self, key: &'static str) -> Result<Option<&str>, FaultError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.unfit(key)),
        }
    }

    /// A word that `read` reads, or a byte as a number.
    fn code<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        byte: impl FnOnce(u8) -> T,
    ) -> Result<Option<T>, FaultError> {
        let unfit = || self.unfit(key);
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Integer(number)) => {
                u8::try_from(*number).map(|code| Some(byte(code))).map_err(|_| unfit())
            }
            Some(Value::Text(text)) => read(text).map(Some).ok_or_else(unfit),
            Some(_) => Err(unfit()),
        }
    }

    fn device(&self, dialect: &Dialect) -> Result<Option<Address>, FaultError> {
        self.code("device", |text| dialect.address(text).ok(), Address)
    }

    fn status(&self, dialect: &Dialect) -> Result<Option<Status>, FaultError> {
        self.code("status", |text| dialect.status_of(text).ok(), Status)
    }

    fn function(&self, dialect: &Dialect) -> Result<Option<u8>, FaultError> {
        let named = |text: &str| {
            let mut all = dialect.all_functions();
            all.find(|function| function.name.eq_ignore_ascii_case(text)).map(|f| f.code)
        };
        self.code("function", |text| hex(text).or_else(|| named(text)), |code| code)
    }

    #[allow(clippy::option_option, reason = "not given, both, one of them")]
    fn direction(&self) -> Result<Option<Option<Direction>>, FaultError> {
        match self.text("direction")? {
            None => Ok(None),
            Some("both") => Ok(Some(None)),
            Some("request") => Ok(Some(Some(Direction::Request))),
            Some("response") => Ok(Some(Some(Direction::Response))),
            Some(_) => Err(self.unfit("direction")),
        }
    }

    fn probability(&self) -> Result<f64, FaultError> {
        let number = match self.values.get("probability") {
            None => return Ok(1.0),
            Some(Value::Float(number)) => Some(*number),
            Some(Value::Integer(number)) => Some(*number as f64),
            Some(Value::Text(text)) => text.parse().ok(),
            Some(Value::Boolean(_)) => None,
        };
        let right = number.filter(|number| (0.0..=1.0).contains(number));
        right.ok_or_else(|| self.unfit("probability"))
    }

    fn count(&self, key: &'static str) -> Result<Option<u64>, FaultError> {
        let number = match self.values.get(key) {
            None => return Ok(None),
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            Some(Value::Text(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let range = Field::find(key).map(|field| field.takes);
        let fits = |number: &u64| match range {
            Some(Takes::Count(from, to)) => (from..=to).contains(number),
            _ => false,
        };
        number.filter(fits).map(Some).ok_or_else(|| self.unfit(key))
    }

    /// A count whose largest value is a small one.
    fn small(&self, key: &'static str) -> Result<Option<u32>, FaultError> {
        let number = self.count(key)?.map(u32::try_from).transpose();
        number.map_err(|_| self.unfit(key))
    }

    fn length(&self, key: &'static str) -> Result<Option<i64>, FaultError> {
        match self.text(key)? {
            None => Ok(None),
            Some(text) => nanos(text).map(Some).ok_or_else(|| self.unfit(key)),
        }
    }
}

/// A byte as `0x0a`.
fn hex(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("0x")?;
    let right = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    right.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The units of a length of time, in nanoseconds; of those that end alike the longer one first.
pub(super) const UNITS: [(&str, i64); 6] = [
    ("us", 1_000),
    ("ms", Time::MILLISECOND),
    ("s", Time::SECOND),
    ("m", 60 * Time::SECOND),
    ("h", 3_600 * Time::SECOND),
    ("d", 86_400 * Time::SECOND),
];

/// `50ms`, `1.5s`: one number and its unit.
fn nanos(text: &str) -> Option<i64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(end);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let tenths = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let part = part.parse::<i128>().ok()? * i128::from(*scale) / tenths;
    let whole = whole.parse::<i64>().ok()?.checked_mul(*scale)?;
    whole.checked_add(i64::try_from(part).ok()?)
}

/// As [`nanos`] reads it, with the largest unit that leaves a whole number.
pub(super) fn length(ns: i64) -> String {
    let fits = UNITS.iter().rev().find(|(_, unit)| ns % unit == 0);
    match fits {
        _ if ns == 0 => "0s".to_owned(),
        Some((name, unit)) => format!("{}{name}", ns / unit),
        // Parts of a microsecond.
        None => format!("{}.{:03}us", ns / 1_000, ns % 1_000),
    }
}
