//! A rule in one line: `KIND [VALUE] [FIELD=VALUE …] [if FILTER] [FIELD=VALUE …]`.

use std::fmt;

use k485_proto::dialect::Dialect;

use super::draft::{Draft, FaultError, Value, length};
use super::fields::{Field, KindInfo};
use super::{Kind, Rule};

/// Names that a line may write shorter.
const SHORT: [(&str, &str); 2] = [("p", "probability"), ("dir", "direction")];

impl Rule {
    /// Reads a rule from one line: its kind, the value of the kind's main field if it has one,
    /// other fields as `NAME=VALUE`, and what it strikes behind `if`. `p` is short for
    /// `probability`, `dir` for `direction`.
    ///
    /// ```
    /// use k485_link::fault::Rule;
    /// use k485_proto::dialect::K2;
    ///
    /// let rule = Rule::parse("delay 50ms if func==0x10 && stage==4 p=0.1 after=3", &K2).unwrap();
    /// assert_eq!((rule.probability, rule.after_n), (0.1, 3));
    /// let error = Rule::parse("dely 50ms", &K2).unwrap_err();
    /// assert_eq!(error.to_string(), "no kind of fault is named \"dely\"; did you mean delay?");
    /// ```
    ///
    /// # Errors
    /// What is wrong first.
    pub fn parse(text: &str, dialect: &'static Dialect) -> Result<Rule, FaultError> {
        let mut draft = Draft::default();
        let mut words = words(text).into_iter().peekable();
        let kind = words.next().ok_or(FaultError::NoKind)?;
        draft.set("kind", Value::Text(kind.to_owned()))?;
        let main = KindInfo::find(draft.kind()?).and_then(|info| info.main);
        if let Some(main) = main
            && let Some(value) = words.next_if(|word| *word != "if" && option(word).is_none())
        {
            draft.set(main, Value::Text(value.to_owned()))?;
        }
        while let Some(word) = words.next() {
            if word != "if" {
                take(&mut draft, word, "if FILTER")?;
                continue;
            }
            // The filter is a stretch of the text, blanks and all.
            let Some(first) = words.next() else {
                return draft.rule(dialect).and(Err(FaultError::Word {
                    word: word.to_owned(),
                    expected: "followed by a filter",
                }));
            };
            let mut last = first;
            while let Some(more) = words.next_if(|word| option(word).is_none()) {
                last = more;
            }
            let from = place(text, first);
            let filter = &text[from..place(text, last) + last.len()];
            draft.set("when", Value::Text(filter.to_owned()))?;
        }
        draft.rule(dialect)
    }

    /// Its fields, those that say what holds anyway left out; a [`Draft`] of them is the same rule.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("kind", Value::Text(self.kind.name().to_owned()))];
        self.kind.fields(&mut fields);
        if let Some(filter) = &self.when {
            fields.push(("when", Value::Text(filter.to_string())));
        }
        if self.direction != self.kind.direction() {
            let name = self.direction.map_or("both", |direction| direction.name());
            fields.push(("direction", Value::Text(name.to_owned())));
        }
        if self.probability < 1.0 {
            fields.push(("probability", Value::Float(self.probability)));
        }
        let mut count = |name, value: u64, default| {
            if value != default {
                fields.push((name, Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))));
            }
        };
        count("after", self.after_n, 0);
        count("every", self.every_n, 1);
        count("times", self.times.unwrap_or(0), 0);
        if let Some(ns) = self.for_ns {
            fields.push(("for", Value::Text(length(ns))));
        }
        fields
    }
}

impl Kind {
    fn fields(&self, fields: &mut Vec<(&'static str, Value)>) {
        let mut add = |name, value: Option<Value>| {
            if let Some(value) = value {
                fields.push((name, value));
            }
        };
        let number = |n: u32| Some(Value::Integer(n.into()));
        let time = |ns: i64| Some(Value::Text(length(ns)));
        let byte = |code: u8| Value::Text(format!("0x{code:02x}"));
        match *self {
            Kind::Drop | Kind::Echo => {}
            Kind::Delay { ns, jitter_ns } => {
                add("time", time(ns));
                add("jitter", time(jitter_ns).filter(|_| jitter_ns > 0));
            }
            Kind::Duplicate { copies, gap_ns } => {
                add("copies", number(copies).filter(|_| copies != 1));
                add("gap", time(gap_ns).filter(|_| gap_ns > 0));
            }
            Kind::Truncate { keep } => add("keep", keep.and_then(number)),
            Kind::Split { at, pause_ns } => {
                add("pause", time(pause_ns));
                add("at", at.and_then(number));
            }
            Kind::Flip { bits, .. } => add("bits", number(bits).filter(|_| bits != 1)),
            Kind::WrongStatus { status } => add("status", status.map(|status| byte(status.0))),
            Kind::WrongFunction { func } => add("function", func.map(byte)),
            Kind::Noise { bytes, .. } => add("bytes", bytes.and_then(number)),
            Kind::Babble { lasts_ns, gap_ns, device } => {
                add("time", time(lasts_ns));
                add("gap", time(gap_ns));
                add("device", device.map(|device| byte(device.0)));
            }
            Kind::Reset { device } => add("device", device.map(|device| byte(device.0))),
            Kind::Offline { lasts_ns, device }
            | Kind::SlowBoot { lasts_ns, device }
            | Kind::Busy { lasts_ns, device } => {
                add("time", time(lasts_ns));
                add("device", device.map(|device| byte(device.0)));
            }
        }
    }
}

/// The line that reads as the rule.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let main = KindInfo::find(self.kind.name()).and_then(|info| info.main);
        for (i, (name, value)) in self.fields().iter().enumerate() {
            let short = SHORT.iter().find(|(_, long)| long == name).map_or(*name, |(s, _)| *s);
            match *name {
                "kind" => write!(f, "{value}")?,
                "when" => write!(f, " if {value}")?,
                name if i == 1 && main == Some(name) => write!(f, " {value}")?,
                _ => write!(f, " {short}={value}")?,
            }
        }
        Ok(())
    }
}

/// Takes a word that must be an option.
fn take(draft: &mut Draft, word: &str, expected: &'static str) -> Result<(), FaultError> {
    let Some((name, value)) = option(word) else {
        return Err(FaultError::Word { word: word.to_owned(), expected });
    };
    let long = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| *long);
    draft.set(long, Value::Text(value.to_owned()))
}

/// `NAME=VALUE`; a filter's words have no single `=`.
fn option(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let known = Field::find(name).is_some_and(|field| !matches!(field.name, "kind" | "when"))
        || SHORT.iter().any(|(short, _)| *short == name);
    // A name that is none is one still, so that it is told as such.
    (named && !value.starts_with('=') && (known || !value.is_empty())).then_some((name, value))
}

/// The words of a text; blanks in quotes part none.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !quoted {
            words.extend(start.take().map(|from| &text[from..at]));
            continue;
        }
        start.get_or_insert(at);
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    words.extend(start.map(|from| &text[from..]));
    words
}

/// Where a word of a text begins in it.
fn place(text: &str, word: &str) -> usize {
    word.as_ptr() as usize - text.as_ptr() as usize
}
