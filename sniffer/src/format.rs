//! The capture formats, one module each, reading and, where it makes sense, writing.

mod by_line;
mod cells;
mod clock;
pub mod compressed;
pub mod hex;
pub mod interceptty;
mod joiner;
pub mod json;
pub mod jsonl;
mod lines;
pub mod log;
pub mod monitor;
mod note;
pub mod pcap;
pub mod pcapng;
pub mod raw;
pub mod saleae;
mod seconds;
mod sides;
pub mod sigrok;
pub mod socat;
mod steps;
pub mod strace;
pub mod table;
#[cfg(test)]
mod told;
pub mod write;
pub mod written;

use crate::capture::Format;

/// The formats of this crate, in the order in which they are asked about an input.
pub const ALL: &[&dyn Format] = &[
    &pcapng::Pcapng,
    &pcap::Pcap,
    &jsonl::Jsonl,
    &log::Log,
    &interceptty::Interceptty,
    &saleae::Saleae,
    &sigrok::Sigrok,
    &socat::Socat,
    &strace::Strace,
    &json::Json,
    &monitor::Monitor,
    &table::Table,
    &hex::Hex,
    &raw::Raw,
];

/// The value of a hex digit.
fn hex_digit(digit: u8) -> Option<u8> {
    // A digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The bytes that pairs of hex digits write, and nothing else.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?);
    text.as_bytes().chunks_exact(2).map(pair).collect()
}

/// A piece of an input as a complaint shows it: as much as a person needs to find it, and no
/// control characters, which a terminal would obey.
fn shown(text: &str) -> String {
    shortened(text, 32)
}

/// The first `most` characters of a text, without control characters; `…` says that it goes on.
fn shortened(text: &str, most: usize) -> String {
    let visible = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    let mut short: String = text.chars().take(most).map(visible).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}
