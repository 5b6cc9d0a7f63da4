//! Dialects in TOML, so that a function, a field, a status or a device is added without a compiler.
//!
//! The schema is in `docs/dialects.md`. In short: `name`, `title` and `base` (`k2`, `hi`, `k1`), and
//! tables `[[device]]`, `[[status]]`, `[[function]]` with `[[function.request]]` and
//! `[[function.reply]]`, and `[[field]]`, which changes single fields of a function that exists.
//! What a `[[function]]` or `[[status]]` leaves out is the base's, where the base has it.
//!
//! Reading is strict: an unknown key, a name that fits nothing, a layout that could not be read or
//! written is an error with its line and column, all of them are told, and nothing is loaded.

mod build;
mod check;
mod draft;
mod effect;
#[cfg(test)]
mod tests;
mod write;

use alloc::vec::Vec;

use ::toml::de::DeTable;

use super::Dialect;
pub use crate::strict::TomlError;

use crate::strict::Errors;

impl Dialect {
    /// Reads a dialect from TOML. `name` is its name where the text gives none.
    ///
    /// The tables are leaked, so that records can refer to them for as long as the program runs:
    /// load a dialect once, not in a loop. A text with errors leaks nothing.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn from_toml(text: &str, name: &str) -> Result<&'static Dialect, Vec<TomlError>> {
        let mut errors = Errors::new(text);
        let (root, broken) = DeTable::parse_recoverable(text);
        for error in broken {
            errors.add(error.span().unwrap_or(0..0), error.message());
        }
        // What a broken text holds is only half of what was meant.
        errors.none_yet()?;
        let draft = build::dialect(root.get_ref(), name, &mut errors);
        check::dialect(&draft, &mut errors);
        errors.none_yet()?;
        Ok(draft.leak())
    }
}
