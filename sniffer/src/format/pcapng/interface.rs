//! The description of an interface.

use super::block::Fields;
use super::option;

/// What is known of an interface.
pub(super) struct Interface {
    /// The bus's name.
    pub(super) bus: String,
    /// The link type.
    pub(super) link: u32,
    /// The most bytes of a packet that were kept; 0 for all.
    pub(super) limit: u32,
    pub(super) resolution: Resolution,
    /// What to add to times, in seconds.
    pub(super) offset: i64,
}

impl Interface {
    /// Reads a description. An interface without a name gets none, or one from its number where
    /// another has none already.
    pub(super) fn read(body: Fields<'_>, number: usize, has_unnamed: bool) -> Result<Self, String> {
        let mut interface = Interface {
            bus: String::new(),
            link: u32::from(body.u16(0)?),
            limit: body.u32(4)?,
            resolution: Resolution(6),
            offset: 0,
        };
        for option in body.from(8).options() {
            let (code, value) =
                option.map_err(|what| format!("interface {number} is skipped: {what}"))?;
            match code {
                option::IF_NAME => {
                    let name = String::from_utf8_lossy(value.all());
                    interface.bus = name.trim_end_matches('\0').to_owned();
                }
                option::IF_TSRESOL => interface.resolution = Resolution(value.bytes(0, 1)?[0]),
                option::IF_TSOFFSET => interface.offset = value.i64(0)?,
                _ => {}
            }
        }
        if interface.bus.is_empty() && has_unnamed {
            interface.bus = format!("interface {number}");
        }
        Ok(interface)
    }
}

/// The unit of times, as an option writes it: 10 to the power of minus so much, or 2 to it where
/// the highest bit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolution(pub(super) u8);

impl Resolution {
    /// So many units, in nanoseconds, to the nearest.
    pub(super) fn nanos(self, ticks: u64) -> Option<i128> {
        let ticks = i128::from(ticks);
        let power = u32::from(self.0 & 0x7f);
        if self.0 & 0x80 != 0 {
            // Below 2 to the power of 94.
            let scaled = ticks * 1_000_000_000;
            let half = if power == 0 { 0 } else { 1i128 << (power - 1) };
            return Some(scaled.checked_add(half)? >> power);
        }
        match power.checked_sub(9) {
            None | Some(0) => Some(ticks * 10i128.pow(9 - power)),
            Some(over) => Some(match 10i128.checked_pow(over) {
                Some(unit) => (ticks + unit / 2) / unit,
                None => 0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (resolution, ticks, nanos) in [
            (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
            (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
            (0, 5, 5_000_000_000),
            (12, 1_500, 2),
            (12, 1_499, 1),
            (127, u64::MAX, 0),
            (0x80, 3, 3_000_000_000),
            (0x8a, 1, 976_563),
            (0xa0, 1 << 31, 500_000_000),
            (0xff, u64::MAX, 0),
        ] {
            assert_eq!(Resolution(resolution).nanos(ticks), Some(nanos), "{resolution}");
        }
        for resolution in 0..=255 {
            let _ = Resolution(resolution).nanos(u64::MAX);
        }
    }
}
