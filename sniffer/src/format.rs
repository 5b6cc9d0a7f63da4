//! The capture formats, one module each.

pub mod hex;
pub mod interceptty;
pub mod jsonl;
mod lines;
pub mod raw;
mod steps;

use crate::capture::Format;

/// The formats of this crate, in the order in which they are asked about an input.
pub const ALL: &[&dyn Format] = &[&interceptty::Interceptty, &hex::Hex, &raw::Raw];

/// The value of a hex digit.
fn hex_digit(digit: u8) -> Option<u8> {
    // A digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}
