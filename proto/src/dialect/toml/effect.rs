//! The key `effect` of a function: one word, or a list of rules by the request's fields.

use alloc::format;
use alloc::vec::Vec;

use super::build::when;
use super::draft::{EffectDraft, FunctionDraft, Word};
use crate::strict::{Errors, Section};
use crate::effect::Effect;
use crate::message::kind::{BITS8, U8};

const RULE: &[&str] = &["is", "when"];

/// What is assumed where nothing is said.
pub(super) fn firmware() -> Vec<EffectDraft> {
    Vec::from([EffectDraft { when: Vec::new(), effect: Effect::Firmware }])
}

/// What the function says of its effect; `None` where it says nothing, or nothing right.
pub(super) fn effects(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Vec<EffectDraft>> {
    let value = section.get("effect")?;
    if value.get_ref().as_str().is_some() {
        let effect = effect("effect", section, errors)?;
        return Some(Vec::from([EffectDraft { when: Vec::new(), effect }]));
    }
    if value.get_ref().as_array().is_none() {
        errors.add(
            value.span(),
            "effect is a word such as \"read\", or a list such as \
             [{ is = \"clear\", when = { stage = 5 } }, { is = \"motion\" }]",
        );
        return None;
    }
    let mut rules: Vec<EffectDraft> = Vec::new();
    for rule in section.sections("effect", RULE, errors)? {
        if rules.last().is_some_and(|last| last.when.is_empty()) {
            errors.add(
                rule.at.clone(),
                "nothing is left for this effect: the one before it has no when",
            );
        }
        let is = effect("is", &rule, errors);
        let when = when(&rule, errors);
        rules.extend(rule.required("is", is, errors).map(|effect| EffectDraft { when, effect }));
    }
    Some(rules)
}

fn effect(key: &str, section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Effect> {
    let text = section.text(key, errors)?;
    let word = *text.get_ref();
    let found = word.parse().ok();
    if found.is_none() {
        let names = Effect::ALL.map(Effect::name);
        errors.add_unknown(text.span(), format!("no effect {word:?}"), word, &names);
    }
    found
}

impl FunctionDraft {
    /// Lets the effects follow a field of the request to its new name.
    pub(super) fn rename_in_effects(&mut self, old: &str, new: &Word) {
        if self.request.iter().flat_map(|form| &form.fields).any(|field| field.name == old) {
            return;
        }
        for (_, name, _) in self.effects.iter_mut().flat_map(|rule| &mut rule.when) {
            if name == old {
                name.clone_from(new);
            }
        }
    }

    /// Drops the base's effects where they speak of fields that this function's requests do not
    /// have: what is left of them would say too little, so it says nothing.
    pub(super) fn drop_stale_effects(&mut self) {
        let fields = || self.request.iter().flat_map(|form| &form.fields);
        let chooses = |name: &Word| {
            fields().any(|field| field.name == *name && [&U8, &BITS8].contains(&field.kind))
        };
        let stale =
            self.effects.iter().flat_map(|rule| &rule.when).any(|(_, name, _)| !chooses(name));
        if stale && !self.own_effects {
            self.effects = firmware();
        }
    }
}

#[cfg(test)]
mod tests;
