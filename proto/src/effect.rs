//! What a request does to the bus it is sent on, so that whoever is about to send it can be asked
//! first.
//!
//! Each function declares it, by argument where that matters ([`EffectRule`]). A class says what
//! may happen, not what mostly does: a reading is [`Effect::Read`] only where it is known to leave
//! everything as it was, and what nobody declared is [`Effect::Firmware`].

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::address::Address;
use crate::message::{FieldValue, Function, Value};
use crate::slot::SlotSet;

/// What a request may do, from the least to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Effect {
    /// It reads, and leaves everything as it was.
    Read,
    /// It reads what is told once, so that the printer's host will not be told; or a reading of
    /// which nobody knows that it leaves everything as it was.
    Clear,
    /// Something moves, or may be moved by what follows from it.
    Motion,
    /// It changes how a device works from now on.
    Setting,
    /// It touches what is hard to set right again (firmware, factory settings, calibrations,
    /// addresses), it restarts a device, or nobody declared what it does.
    Firmware,
}

impl Effect {
    /// All of them, from the least to the worst.
    pub const ALL: [Effect; 5] =
        [Effect::Read, Effect::Clear, Effect::Motion, Effect::Setting, Effect::Firmware];

    /// The effect in one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Clear => "clear",
            Effect::Motion => "motion",
            Effect::Setting => "setting",
            Effect::Firmware => "firmware",
        }
    }

    /// What it means, in a sentence without its end.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Effect::Read => "reads, and leaves everything as it was",
            Effect::Clear => {
                "reads what is told once, so that the printer's host will not be told, or is not \
                 known to leave everything as it was"
            }
            Effect::Motion => "moves something, or may make it move",
            Effect::Setting => "changes how a device works from now on",
            Effect::Firmware => {
                "touches what is hard to set right again (firmware, factory settings, \
                 calibrations, addresses), restarts a device, or is not known"
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no effect {0:?}: there are read, clear, motion, setting and firmware")]
pub struct EffectError(pub String);

impl FromStr for Effect {
    type Err = EffectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Effect::ALL.into_iter().find(|effect| effect.name() == text);
        found.ok_or_else(|| EffectError(text.into()))
    }
}

/// What a function does, where its request's fields have these values. Of a function's rules the
/// first that fits counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectRule {
    /// Fields of the request with the value that each must have; none: always.
    pub when: &'static [(&'static str, u32)],
    /// What it then does.
    pub effect: Effect,
}

impl Function {
    /// What a request of this function does.
    ///
    /// [`Effect::Firmware`] where no rule speaks of it: a payload that does not fit its layout, a
    /// value without a name where the others have one, a slot that no box has.
    #[must_use]
    pub fn effect(&'static self, addr: Address, data: &[u8]) -> Effect {
        let message = self.decode_request(addr, data);
        let has = |(name, value): &(&str, u32)| {
            message.get(name).and_then(Value::as_number) == Some(i64::from(*value))
        };
        // A layout that takes what is left over is not the one that these values ask for.
        let astray = self.request.iter().any(|form| {
            !form.when.is_empty() && form.when.iter().all(has) && message.form != Some(form.name)
        });
        let declared = message.misfit.is_none()
            && message.rest.is_empty()
            && message.fields.iter().all(is_declared);
        if astray || !declared {
            return Effect::Firmware;
        }
        let rule = self.effects.iter().find(|rule| rule.when.iter().all(has));
        rule.map_or(Effect::Firmware, |rule| rule.effect)
    }

    /// The function's effects in a line, with the names of the values that decide:
    /// `clear with stage=feed_poll, else motion`.
    #[must_use]
    pub fn effect_line(&self) -> String {
        let fields = || self.request.iter().flat_map(|form| form.fields);
        let condition = |(name, value): &(&str, u32)| {
            let field = fields().find(|field| field.name == *name);
            let codes = field.map_or(&[][..], |field| field.codes);
            match codes.iter().find(|(code, _)| code == value) {
                Some((_, word)) => format!("{name}={word}"),
                None => format!("{name}={value}"),
            }
        };
        let mut parts: Vec<String> = Vec::new();
        for rule in self.effects {
            let when: Vec<String> = rule.when.iter().map(condition).collect();
            match (when.is_empty(), parts.is_empty()) {
                (false, _) => parts.push(format!("{} with {}", rule.effect, when.join(" and "))),
                (true, true) => return rule.effect.name().into(),
                (true, false) => {
                    parts.push(format!("else {}", rule.effect));
                    return parts.join(", ");
                }
            }
        }
        parts.push(if parts.is_empty() { "firmware".into() } else { "else firmware".into() });
        parts.join(", ")
    }
}

/// Whether a value is one that its declaration knows.
fn is_declared(field: &FieldValue) -> bool {
    match &field.value {
        Value::Code { name, .. } => name.is_some(),
        Value::Slots { set: SlotSet(mask), .. } => SlotSet(*mask).unknown_bits() == 0,
        Value::Bits { raw, .. } => {
            let known = field.field.codes.iter().filter(|(bit, _)| *bit < 32);
            raw & !known.fold(0, |mask, (bit, _)| mask | 1u32 << bit) == 0
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
