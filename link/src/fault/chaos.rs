//! Faults of all kinds in five strengths, as rules that anyone could write.

use k485_proto::dialect::Dialect;

use super::Rule;

/// The lowest level of [`chaos`].
pub const CALMEST: u8 = 1;
/// The highest one.
pub const WILDEST: u8 = 5;

/// What each level adds to those below it.
const LEVELS: [&[&str]; WILDEST as usize] = [
    // A bus of a healthy printer: a frame in some thousands is late or lost.
    &["delay 5ms jitter=20ms dir=response p=0.01", "drop p=0.001"],
    // Long wires.
    &[
        "flip_data p=0.003",
        "flip_crc p=0.002",
        "noise_before p=0.003",
        "noise_after p=0.003",
        "split 5ms p=0.005",
    ],
    // A bad plug.
    &[
        "drop p=0.01",
        "truncate p=0.005",
        "duplicate gap=2ms dir=response p=0.003",
        "flip_address p=0.002",
        "delay 40ms jitter=120ms dir=response p=0.01",
        "busy 800ms p=0.001",
    ],
    // Devices that fail.
    &[
        "wrong_status p=0.004",
        "wrong_function dir=response p=0.002",
        "flip_data 3 p=0.01",
        "babble 400ms gap=40ms p=0.0005",
        "offline 4s p=0.0005",
        "reset p=0.0002",
    ],
    // Nothing can be relied on.
    &[
        "drop p=0.05",
        "truncate p=0.02",
        "split 130ms p=0.01",
        "echo p=0.02",
        "offline 15s p=0.0005",
        "slow_boot 6s p=0.0003",
    ],
];

/// The rules of a level in words, those of the lower ones before them; none of level 0, and of a
/// level above [`WILDEST`] those of that.
pub fn chaos_text(level: u8) -> impl Iterator<Item = &'static str> {
    LEVELS.iter().take(level.into()).flat_map(|rules| rules.iter().copied())
}

/// The rules of a level, as [`chaos_text`] writes them.
#[must_use]
pub fn chaos(level: u8, dialect: &'static Dialect) -> Vec<Rule> {
    // They name nothing of a dialect's; a test reads all of them.
    chaos_text(level).filter_map(|text| Rule::parse(text, dialect).ok()).collect()
}
