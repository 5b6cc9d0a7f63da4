use alloc::format;

use super::super::tests::errors;
use crate::address::Address;
use crate::dialect::Dialect;
use crate::effect::Effect;

/// A box's 0E and what a file adds to it.
fn effect_of_wheel(more: &str, data: &[u8]) -> Effect {
    let text = format!("[[function]]\nclass = \"box\"\ncode = 0x0e\n{more}");
    let dialect = Dialect::from_toml(&text, "t").unwrap_or_else(|e| panic!("{text}: {e:?}"));
    dialect.find(Address(1), 0x0e).unwrap().effect(Address(1), data)
}

#[test]
fn an_effect_is_the_files_or_the_bases() {
    use Effect::{Firmware, Motion, Read, Setting};
    // The base's.
    assert_eq!(effect_of_wheel("", &[1]), Read);
    assert_eq!(effect_of_wheel("", &[0]), Setting);
    assert_eq!(effect_of_wheel("effect = \"motion\"", &[1]), Motion);
    let rules = "effect = [{ is = \"setting\", when = { action = 1 } }, { is = \"motion\" }]";
    assert_eq!(effect_of_wheel(rules, &[1]), Setting);
    assert_eq!(effect_of_wheel(rules, &[0]), Motion);
    // The base's effect goes by a field that this request has no more.
    let other = "[[function]]\nclass = \"box\"\ncode = 0x04\n[[function.request]]\n\
                 fields = [{ name = \"what\", kind = \"bytes2\" }]\n";
    let dialect = Dialect::from_toml(other, "t").unwrap();
    let mode = dialect.find(Address(1), 0x04).unwrap();
    assert_eq!(mode.effect(Address(1), &[0, 1]), Firmware);
    // Or has under another name.
    let renamed = "[[field]]\nclass = \"box\"\ncode = 0x04\nside = \"request\"\n\
                   name = \"mode\"\nrename = \"way\"\n";
    let dialect = Dialect::from_toml(renamed, "t").unwrap();
    let mode = dialect.find(Address(1), 0x04).unwrap();
    assert_eq!(mode.effect(Address(1), &[0, 1]), Setting);
    assert_eq!(mode.effect(Address(1), &[1, 0]), Motion);
    // A function of the file alone.
    let new = "[[function]]\nclass = \"box\"\ncode = 0x61\nname = \"NEW\"\n";
    let effect = |text: &str| {
        let dialect = Dialect::from_toml(text, "t").unwrap();
        dialect.find(Address(1), 0x61).unwrap().effect(Address(1), &[1, 2])
    };
    assert_eq!(effect(new), Firmware);
    assert_eq!(effect(&format!("{new}effect = \"read\"\n")), Read);
}

#[test]
fn wrong_effects_are_told() {
    let wheel = "[[function]]\nclass = \"box\"\ncode = 0x0e\n";
    for (line, error) in [
        ("effect = \"reed\"", "4:10: no effect \"reed\"; did you mean read?"),
        (
            "effect = \"x\"",
            "4:10: no effect \"x\"; there are: read, clear, motion, setting, firmware",
        ),
        (
            "effect = 1",
            "4:10: effect is a word such as \"read\", or a list such as [{ is = \"clear\", when = { \
             stage = 5 } }, { is = \"motion\" }]",
        ),
        ("effect = [{ when = { action = 1 } }]", "4:11: is is missing"),
        (
            "effect = [{ is = \"read\", when = { acton = 1 } }]",
            "4:35: when: \"acton\" is no field of a request; did you mean action?",
        ),
        (
            "effect = [{ is = \"read\" }, { is = \"motion\" }]",
            "4:28: nothing is left for this effect: the one before it has no when",
        ),
        ("effekt = \"read\"", "4:1: unknown key \"effekt\"; did you mean effect?"),
    ] {
        assert_eq!(errors(&format!("{wheel}{line}\n")), [error], "{line}");
    }
}
