//! The compact form: chunks of `kind u8, length u32`, and what they hold as lines of JSON.
//!
//! | kind | body |
//! |---|---|
//! | `E` | number of the first event u64, wall time less monotonic time i64 (ns), count u32, events |
//! | `L` | labels: a list of (number, object, class, method) |
//! | `D` | first u64, last u64, since i64, monotonic time i64, offset i64 |
//!
//! Little endian; events and labels are Python's marshal format, version 2.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::marshal::{self, Value};
use super::python::{args, json, quoted};
use super::{MAX_LABELS, Piece};

/// The version of the form.
pub(super) const VERSION: u64 = 1;
/// The bytes before a chunk's body.
pub(super) const HEAD: usize = 5;

/// An object, its class, a method.
#[derive(Debug, Clone, Default)]
pub(super) struct Label {
    object: String,
    class: String,
    method: String,
}

/// Makes lines of chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    labels: Vec<Label>,
}

/// The fields of an event, in their order.
struct Fields<'v, 'a>(std::slice::Iter<'v, Value<'a>>);

impl<'v, 'a> Fields<'v, 'a> {
    fn next(&mut self) -> Result<&'v Value<'a>, String> {
        self.0.next().ok_or_else(|| "an event lacks fields".to_owned())
    }

    fn int(&mut self) -> Result<i128, String> {
        match self.next()? {
            Value::Int(number) => Ok(*number),
            other => Err(format!("{other:?} where a whole number should be")),
        }
    }

    fn text(&mut self) -> Result<&'v str, String> {
        match self.next()? {
            Value::Text(text) => Ok(text),
            other => Err(format!("{other:?} where a text should be")),
        }
    }
}

/// Seconds with six digits, of nanoseconds: as `'%.6f' % (nanos / 1e9)`.
fn seconds(nanos: i128) -> String {
    format!("{:.6}", nanos as f64 / 1e9)
}

impl Chunks {
    /// Takes a chunk and puts its lines behind `out`.
    pub(super) fn take(
        &mut self,
        kind: u8,
        body: &[u8],
        out: &mut VecDeque<Piece>,
    ) -> Result<(), String> {
        match kind {
            b'L' => self.labels(body),
            b'E' => self.events(body, out),
            b'D' => {
                let words: Vec<i64> = body
                    .chunks_exact(8)
                    .take(5)
                    .filter_map(|word| word.try_into().ok().map(i64::from_le_bytes))
                    .collect();
                let [first, last, since, mono, offset] = words[..] else {
                    return Err("a chunk of dropped events has a wrong length".to_owned());
                };
                out.push_back(Piece::Line(format!(
                    "{{\"type\": \"dropped\", \"time\": {}, \"count\": {}, \"from\": {first}, \
                     \"to\": {last}, \"since\": {since}, \"mono\": {mono}}}",
                    seconds(i128::from(mono) + i128::from(offset)),
                    last.saturating_sub(first).saturating_add(1),
                )));
                Ok(())
            }
            // A later version may have more of them.
            _ => Ok(()),
        }
    }

    fn labels(&mut self, body: &[u8]) -> Result<(), String> {
        let labels = unmarshal(body)?;
        for label in &labels {
            let Value::List(fields) = label else { return Err("a label is no tuple".to_owned()) };
            let mut fields = Fields(fields.iter());
            let number = usize::try_from(fields.int()?).map_err(|error| error.to_string())?;
            if number > self.labels.len() || number >= MAX_LABELS {
                return Err(format!("label {number} comes too early, or is one too many"));
            }
            let [object, class, method] = [fields.text()?, fields.text()?, fields.text()?];
            let [object, class, method] = [object, class, method].map(str::to_owned);
            let label = Label { object, class, method };
            match self.labels.get_mut(number) {
                Some(place) => *place = label,
                None => self.labels.push(label),
            }
        }
        Ok(())
    }

    fn events(&mut self, body: &[u8], out: &mut VecDeque<Piece>) -> Result<(), String> {
        let (head, blob) = body.split_at_checked(20).ok_or("a chunk of events is too short")?;
        let word = |from: usize| head[from..from + 8].try_into().map_or(0, u64::from_le_bytes);
        let (mut seq, offset) = (word(0), word(8).cast_signed());
        let count = head[16..].try_into().map_or(0, u32::from_le_bytes) as usize;
        let events = unmarshal(blob)?;
        if events.len() != count {
            return Err(format!("{} events where {count} should be", events.len()));
        }
        for event in &events {
            let Value::List(fields) = event else { return Err("an event is no tuple".to_owned()) };
            out.extend(self.line(fields, seq, offset.into())?.map(Piece::Line));
            seq = seq.wrapping_add(1);
        }
        Ok(())
    }

    /// An event as the line that the tracer would have written; `None` for one of a kind that is
    /// not known.
    fn line(&self, fields: &[Value<'_>], seq: u64, offset: i128) -> Result<Option<String>, String> {
        let mut fields = Fields(fields.iter());
        let mut line = String::with_capacity(256);
        let kind = fields.int()?;
        match kind {
            0..=2 => self.call(kind, &mut fields, offset, &mut line)?,
            3 => self.attr(&mut fields, offset, &mut line)?,
            4 => self.frame(&mut fields, offset, &mut line)?,
            5 | 6 => self.suspended(kind, &mut fields, offset, &mut line)?,
            7 => other(&mut fields, offset, &mut line)?,
            _ => return Ok(None),
        }
        let _ = write!(line, ", \"seq\": {seq}}}");
        Ok(Some(line))
    }

    fn label(&self, number: i128) -> Result<&Label, String> {
        let label = usize::try_from(number).ok().and_then(|number| self.labels.get(number));
        label.ok_or_else(|| format!("label {number} was not told"))
    }

    /// A call, its return, or its exception.
    fn call(
        &self,
        kind: i128,
        fields: &mut Fields<'_, '_>,
        offset: i128,
        line: &mut String,
    ) -> Result<(), String> {
        let name = ["call", "return", "error"][kind.clamp(0, 2) as usize];
        let (id, mono) = (fields.int()?, fields.int()?);
        let label = self.label(fields.int()?)?;
        let [tid, gid, parent, depth] =
            [fields.int()?, fields.int()?, fields.int()?, fields.int()?];
        let time = seconds(mono + offset);
        let _ = write!(line, "{{\"type\": \"{name}\", \"id\": {id}, \"time\": {time}, ");
        label.write(line);
        let place = format!(
            ", \"mono\": {mono}, \"tid\": {tid}, \"gid\": {gid}, \"parent\": {parent}, \
             \"depth\": {depth}"
        );
        if kind == 0 {
            let empty = Vec::new();
            let (argv, kw) = (fields.next()?, fields.next()?);
            let Value::List(argv) = argv else { return Err("arguments are no tuple".to_owned()) };
            let kw = match kw {
                Value::Dict(kw) => kw,
                _ => &empty,
            };
            line.push_str(", \"args\": ");
            quoted(&args(argv, kw), line);
            line.push_str(&place);
            line.push_str(", \"argv\": ");
            json(&Value::List(argv.clone()), line);
            line.push_str(", \"kw\": ");
            json(&Value::Dict(kw.clone()), line);
            return Ok(());
        }
        let millis = (mono - fields.int()?) as f64 / 1e6;
        if kind == 1 {
            line.push_str(", \"result\": ");
            json(fields.next()?, line);
            let _ = write!(line, ", \"duration_ms\": {millis:.6}{place}");
            return Ok(());
        }
        let [exc_type, text, traceback] = [fields.text()?, fields.text()?, fields.text()?];
        line.push_str(", \"error\": ");
        quoted(text, line);
        line.push_str(", \"traceback\": ");
        quoted(traceback, line);
        let _ = write!(line, ", \"duration_ms\": {millis:.6}, \"exc_type\": ");
        quoted(exc_type, line);
        line.push_str(&place);
        Ok(())
    }

    fn attr(
        &self,
        fields: &mut Fields<'_, '_>,
        offset: i128,
        line: &mut String,
    ) -> Result<(), String> {
        let mono = fields.int()?;
        let label = self.label(fields.int()?)?;
        let [tid, gid, parent] = [fields.int()?, fields.int()?, fields.int()?];
        let [path, name] = [fields.text()?, fields.text()?];
        let _ = write!(line, "{{\"type\": \"attr_read\", \"time\": {}", seconds(mono + offset));
        for (key, text) in
            [("object", &*label.object), ("class", &label.class), ("path", path), ("attr", name)]
        {
            let _ = write!(line, ", \"{key}\": ");
            quoted(text, line);
        }
        line.push_str(", \"value\": ");
        json(fields.next()?, line);
        let _ = write!(
            line,
            ", \"mono\": {mono}, \"tid\": {tid}, \"gid\": {gid}, \"parent\": {parent}"
        );
        Ok(())
    }

    fn frame(
        &self,
        fields: &mut Fields<'_, '_>,
        offset: i128,
        line: &mut String,
    ) -> Result<(), String> {
        let mono = fields.int()?;
        let label = self.label(fields.int()?)?;
        let [tid, gid, parent] = [fields.int()?, fields.int()?, fields.int()?];
        let direction = match fields.next()? {
            Value::Int(0) | Value::Bool(false) => "tx",
            _ => "rx",
        };
        let Value::Bytes(bytes) = fields.next()? else {
            return Err("a frame without bytes".to_owned());
        };
        let _ = write!(
            line,
            "{{\"type\": \"frame\", \"time\": {}, \"object\": ",
            seconds(mono + offset)
        );
        quoted(&label.object, line);
        let _ = write!(
            line,
            ", \"direction\": \"{direction}\", \"bytes\": \"{}\", \"wire\": \"reconstructed\", \
             \"parent\": {parent}, \"mono\": {mono}, \"tid\": {tid}, \"gid\": {gid}",
            hex::encode(bytes)
        );
        Ok(())
    }

    fn suspended(
        &self,
        kind: i128,
        fields: &mut Fields<'_, '_>,
        offset: i128,
        line: &mut String,
    ) -> Result<(), String> {
        let name = if kind == 5 { "yield" } else { "resume" };
        let (id, mono) = (fields.int()?, fields.int()?);
        let label = self.label(fields.int()?)?;
        let [tid, gid] = [fields.int()?, fields.int()?];
        let time = seconds(mono + offset);
        let _ = write!(line, "{{\"type\": \"{name}\", \"id\": {id}, \"time\": {time}, ");
        label.write(line);
        if kind == 5 {
            line.push_str(", \"value\": ");
            json(fields.next()?, line);
        }
        let _ = write!(line, ", \"mono\": {mono}, \"tid\": {tid}, \"gid\": {gid}");
        Ok(())
    }
}

/// An event of a name of its own, with what it tells.
fn other(fields: &mut Fields<'_, '_>, offset: i128, line: &mut String) -> Result<(), String> {
    let mono = fields.int()?;
    line.push_str("{\"type\": ");
    quoted(fields.text()?, line);
    let _ = write!(line, ", \"time\": {}", seconds(mono + offset));
    let mut body = String::new();
    json(fields.next()?, &mut body);
    let body = body.strip_prefix('{').and_then(|body| body.strip_suffix('}')).unwrap_or_default();
    if !body.is_empty() {
        let _ = write!(line, ", {body}");
    }
    let _ = write!(line, ", \"mono\": {mono}");
    Ok(())
}

impl Label {
    fn write(&self, line: &mut String) {
        let parts = [("object", &self.object), ("class", &self.class), ("method", &self.method)];
        for (at, (key, text)) in parts.into_iter().enumerate() {
            let _ = write!(line, "{}\"{key}\": ", if at > 0 { ", " } else { "" });
            quoted(text, line);
        }
    }
}

fn unmarshal(bytes: &[u8]) -> Result<Vec<Value<'_>>, String> {
    match marshal::value(bytes).map_err(|error| format!("a chunk's bytes: {error}"))? {
        Value::List(items) => Ok(items),
        other => Err(format!("{other:?} where a list should be")),
    }
}
