//! A scene as text, with a comment above what has one.

use std::collections::BTreeMap;
use std::fmt::Write;

use k485_link::fault::Draft;

use super::{Layout, Scene};
use crate::table::Table;

/// Comments, by the path of what they belong to: `box.1`, `box.1.serial`, `event.3`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<String, Vec<String>>);

impl Notes {
    /// Adds a comment; several are lines below each other.
    pub fn add(&mut self, path: impl Into<String>, comment: impl Into<String>) {
        let lines = self.0.entry(path.into()).or_default();
        let comment = comment.into();
        if !lines.contains(&comment) {
            lines.push(comment);
        }
    }

    /// What is said about a path.
    #[must_use]
    pub fn of(&self, path: &str) -> &[String] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    fn write(&self, path: &str, out: &mut String) {
        for comment in self.of(path) {
            let _ = writeln!(out, "# {comment}");
        }
    }
}

/// What a scene's file is written with.
struct Writer<'a> {
    notes: &'a Notes,
    out: String,
}

impl Writer<'_> {
    fn rows(&mut self, path: &str, rows: Vec<(&str, String)>) {
        for (key, text) in rows {
            self.notes.write(&format!("{path}{key}"), &mut self.out);
            // Strings never fail to be written to.
            let _ = writeln!(self.out, "{key} = {text}");
        }
    }

    /// `[table]`, where there is anything in it.
    fn table(&mut self, name: &str, table: &impl Table) {
        let rows = table.rows();
        if rows.is_empty() && self.notes.of(name).is_empty() {
            return;
        }
        self.out.push('\n');
        self.notes.write(name, &mut self.out);
        let _ = writeln!(self.out, "[{name}]");
        self.rows(&format!("{name}."), rows);
    }

    /// `[[table]]`, each.
    fn tables<T: Table>(&mut self, name: &str, tables: &[T]) {
        for (n, table) in tables.iter().enumerate() {
            self.head(name, n);
            self.rows(&format!("{name}.{}.", n + 1), table.rows());
        }
    }

    fn head(&mut self, name: &str, n: usize) {
        self.out.push('\n');
        self.notes.write(&format!("{name}.{}", n + 1), &mut self.out);
        let _ = writeln!(self.out, "[[{name}]]");
    }
}

impl Scene {
    /// The text that reads back as this scene.
    #[must_use]
    pub fn to_toml(&self, notes: &Notes) -> String {
        write(&self.layout, notes)
    }
}

/// A layout's text.
pub(crate) fn write(layout: &Layout, notes: &Notes) -> String {
    let mut writer = Writer { notes, out: String::new() };
    notes.write("", &mut writer.out);
    let plain = ["title", "seed"];
    let rows = layout.rows().into_iter().filter(|(key, _)| plain.contains(key)).collect();
    writer.rows("", rows);
    writer.table("bus", &layout.bus);
    writer.table("printer", &layout.printer);
    writer.table("climate", &layout.climate);
    writer.table("geometry", &layout.geometry);
    writer.table("timings", &layout.timings);
    writer.tables("box", &layout.boxes);
    for (n, motor) in layout.motors.iter().enumerate() {
        writer.head("motor", n);
        writer.rows(&format!("motor.{}.", n + 1), motor.rows());
        for param in &motor.params {
            writer.out.push_str("[[motor.param]]\n");
            writer.rows("param.", param.rows());
        }
    }
    writer.tables("belt", &layout.belts);
    if let Some(rack) = &layout.rack {
        writer.out.push_str("\n[rack]\n");
        writer.rows("rack.", rack.rows());
    }
    for (n, draft) in layout.faults.0.iter().enumerate() {
        writer.head("fault", n);
        fault(draft, &mut writer.out);
    }
    for (n, event) in layout.events.0.iter().enumerate() {
        writer.head("event", n);
        for (key, text) in event.rows() {
            let _ = writeln!(writer.out, "{key} = {text}");
        }
    }
    writer.out.trim_start().to_owned()
}

fn fault(draft: &Draft, out: &mut String) {
    use k485_link::fault::Value;
    for (name, value) in draft.values() {
        let text = match value {
            Value::Text(text) => crate::table::quoted(text),
            Value::Float(float) => format!("{float:?}"),
            other => other.to_string(),
        };
        let _ = writeln!(out, "{name} = {text}");
    }
}
