//! A dialect as TOML that reads back to the same tables.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::address::{Address, Class};
use crate::dialect::{DeviceEntry, Dialect};
use crate::effect::EffectRule;
use crate::message::{Field, Form, Function, StatusRule};
use crate::status::{Status, StatusInfo};

impl Dialect {
    /// The dialect as TOML: everything that holds in it, or its `own` entries alone (on its base).
    ///
    /// [`Dialect::from_toml`] makes the same tables of it.
    #[must_use]
    pub fn to_toml(&self, own: bool) -> String {
        let mut out = String::new();
        // A `String` takes everything.
        let _ = if own { self.write_own(&mut out) } else { self.write_all(&mut out) };
        out
    }

    fn write_own(&self, out: &mut String) -> fmt::Result {
        head(self, self.base.unwrap_or(self), out)?;
        self.devices.iter().try_for_each(|entry| device(entry.name, entry, out))?;
        self.statuses.iter().try_for_each(|info| status(info, out))?;
        self.functions.iter().try_for_each(|item| function(item, out))
    }

    fn write_all(&self, out: &mut String) -> fmt::Result {
        head(self, self.chain().last().unwrap_or(self), out)?;
        self.effective_devices().iter().try_for_each(|(name, entry)| device(name, entry, out))?;
        self.statuses().try_for_each(|info| status(info, out))?;
        // A class whose last device is hidden is out of reach, and could not be named.
        let devices = self.effective_devices();
        let reached = |class| {
            Class::ALL.contains(&class) || devices.iter().any(|(_, entry)| entry.class == class)
        };
        let mut functions = self.all_functions().filter(|item| reached(item.class));
        functions.try_for_each(|item| function(item, out))
    }

    /// The devices that dialects added, each row with its name, as they hold: where one row hides a
    /// part of another, what is left of that one is given one by one.
    #[must_use]
    pub fn effective_devices(&self) -> Vec<(Cow<'static, str>, DeviceEntry)> {
        let mut all = Vec::new();
        for entry in self.chain().flat_map(|dialect| dialect.devices) {
            let addresses = (0..entry.count).map(|at| Address(entry.first.0.wrapping_add(at)));
            let seen: Vec<Address> = addresses
                .filter(|addr| self.entry(*addr).is_some_and(|first| core::ptr::eq(first, entry)))
                .collect();
            if seen.len() == usize::from(entry.count) {
                all.push((Cow::Borrowed(entry.name), *entry));
                continue;
            }
            all.extend(seen.into_iter().filter_map(|addr| {
                let single = DeviceEntry { first: addr, count: 1, ..*entry };
                entry.name_of(addr).map(|name| (name, single))
            }));
        }
        all
    }
}

fn head(dialect: &Dialect, base: &Dialect, out: &mut String) -> fmt::Result {
    writeln!(out, "name = {}", Quoted(dialect.name))?;
    writeln!(out, "title = {}", Quoted(dialect.title))?;
    writeln!(out, "base = {}", Quoted(base.name))
}

fn device(name: &str, entry: &DeviceEntry, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[device]]")?;
    writeln!(out, "name = {}", Quoted(name))?;
    writeln!(out, "address = 0x{:02x}", entry.first.0)?;
    writeln!(out, "count = {}", entry.count)?;
    writeln!(out, "class = {}", Quoted(entry.class.name()))?;
    writeln!(out, "evidence = \"{}\"", entry.evidence)
}

fn status(info: &StatusInfo, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[status]]")?;
    writeln!(out, "code = 0x{:02x}", info.code.0)?;
    writeln!(out, "name = {}", Quoted(info.name.unwrap_or("")))?;
    writeln!(out, "meaning = {}", Quoted(info.meaning))?;
    writeln!(out, "evidence = \"{}\"", info.evidence)?;
    writeln!(out, "keys = {:?}", info.keys)?;
    writeln!(out, "context_keys = {:?}", info.context_keys)?;
    writeln!(out, "likely_keys = {:?}", info.likely_keys)
}

fn function(function: &Function, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[function]]")?;
    writeln!(out, "class = {}", Quoted(function.class.name()))?;
    writeln!(out, "code = 0x{:02x}", function.code)?;
    writeln!(out, "name = {}", Quoted(function.name))?;
    writeln!(out, "doc = {}", Quoted(function.doc))?;
    writeln!(out, "unknown = {}", Quoted(function.unknown))?;
    match function.request_status {
        Status::OK => writeln!(out, "request_status = \"ok\"")?,
        Status::REQUEST => writeln!(out, "request_status = \"request\"")?,
        Status(code) => writeln!(out, "request_status = 0x{code:02x}")?,
    }
    writeln!(out, "timeout_ms = {}", function.timeout_ms)?;
    writeln!(out, "sends = {}", function.sends)?;
    effects(function.effects, out)?;
    for (side, forms) in [("request", function.request), ("reply", function.reply)] {
        if forms.is_empty() {
            writeln!(out, "{side} = []")?;
        }
    }
    for (side, forms) in [("request", function.request), ("reply", function.reply)] {
        forms.iter().try_for_each(|item| form(side, item, out))?;
    }
    Ok(())
}

fn effects(rules: &[EffectRule], out: &mut String) -> fmt::Result {
    if let [EffectRule { when: [], effect }] = rules {
        return writeln!(out, "effect = \"{effect}\"");
    }
    writeln!(out, "effect = [")?;
    for EffectRule { when, effect } in rules {
        write!(out, "  {{ is = \"{effect}\"")?;
        if !when.is_empty() {
            write!(out, ", when = {{ {} }}", conditions(when))?;
        }
        writeln!(out, " }},")?;
    }
    writeln!(out, "]")
}

/// `stage = 5`, as a table has it.
fn conditions(when: &[(&str, u32)]) -> String {
    when.iter().map(|(key, n)| format!("{key} = {n}")).collect::<Vec<_>>().join(", ")
}

fn form(side: &str, form: &Form, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[function.{side}]]")?;
    writeln!(out, "form = {}", Quoted(form.name))?;
    if !form.when.is_empty() {
        writeln!(out, "when = {{ {} }}", conditions(form.when))?;
    }
    match form.status {
        // A request has none.
        StatusRule::Ok => {}
        StatusRule::Any => writeln!(out, "status = \"any\"")?,
        StatusRule::Is(code) => writeln!(out, "status = 0x{code:02x}")?,
    }
    if form.fields.is_empty() {
        return writeln!(out, "fields = []");
    }
    writeln!(out, "fields = [")?;
    form.fields.iter().try_for_each(|item| field(item, out))?;
    writeln!(out, "]")
}

fn field(field: &Field, out: &mut String) -> fmt::Result {
    write!(out, "  {{ name = {}, kind = \"{}\"", Quoted(field.name), field.kind.name)?;
    for (key, text) in [("unit", field.unit), ("default", field.default)] {
        if !text.is_empty() {
            write!(out, ", {key} = {}", Quoted(text))?;
        }
    }
    write!(out, ", evidence = \"{}\"", field.evidence)?;
    if !field.codes.is_empty() {
        let hex = field.codes.iter().any(|(n, _)| *n > 9);
        let values = field.codes.iter().map(|(n, name)| match hex {
            true => format!("0x{n:02x} = {}", Quoted(name)),
            false => format!("{n} = {}", Quoted(name)),
        });
        write!(out, ", values = {{ {} }}", values.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(out, " }},")
}

/// A text in quotes, as TOML's basic strings have it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
