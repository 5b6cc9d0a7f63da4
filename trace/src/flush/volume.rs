//! The host's own function from two colours to a flush volume, and how it cuts a length.
//!
//! The volume is that of the slicers of this family (Bambu Studio, OrcaSlicer, Creality Print): a
//! difference in luminance and one in hue and saturation, as two sides of a triangle with 120
//! degrees between. It gives each of 381 results of the vendor's function exactly
//! (`docs/flush.md`).

use k485_proto::material::{Colour, volume_to_length};

/// The least volume of a flush in mm³; the host flushes so much between equal colours too.
pub const LEAST_VOLUME: u32 = 60;
/// The least length of a flush in mm: the host's `box_need_clean_length`. No shorter one was seen.
pub const LEAST_LENGTH: f64 = 70.0;

/// What a step up in luminance counts, at most, in mm³.
const BRIGHTER: f64 = 560.0;
/// What a step down counts, at most: dark filament hides what is left of a bright one.
const DARKER: f64 = 80.0;
/// What a distance of one in hue and saturation counts, in mm³.
const HUE: f64 = 230.0;
/// The longest distance in hue and saturation that counts.
const FARTHEST: f64 = 1.2;

/// The volume in mm³ that the host flushes from one colour to another, if asked for nothing else.
/// Between 60 and 661 in all that was seen.
#[must_use]
pub fn volume(from: Colour, to: Colour) -> u32 {
    let (bright_from, bright_to) = (luminance(from), luminance(to));
    let (from, to) = (Hsv::of(from), Hsv::of(to));
    let distance = from.distance(to).min(FARTHEST);
    let (luminance, distance) = if bright_to >= bright_from {
        ((bright_to - bright_from).powf(0.7) * BRIGHTER, distance)
    } else {
        // On a dark one less of a hue is seen.
        let seen = 0.67 * to.value + 0.33 * from.value;
        ((bright_from - bright_to) * DARKER, distance.min(seen))
    };
    let hue = HUE * distance;
    // The side opposite to 120 degrees, whose cosine is -1/2.
    let volume = (hue * hue + luminance * luminance + hue * luminance).sqrt();
    // Cut, not rounded; it is positive and far below 2^32.
    (volume as u32).max(LEAST_VOLUME)
}

/// The length in mm that the host flushes from one colour to another: its volume as filament, and
/// [`LEAST_LENGTH`] at least.
///
/// The volume is exact; that nothing else comes in was not seen on a printer (a multiplier, a
/// table from the slicer): [`super::fit`] finds a factor.
#[must_use]
pub fn length(from: Colour, to: Colour) -> f64 {
    volume_to_length(volume(from, to).into()).max(LEAST_LENGTH)
}

/// Between 0 and 1. In whole numbers, so that white has exactly 1.
fn luminance(colour: Colour) -> f64 {
    let [red, green, blue] = colour.rgb().map(u32::from);
    f64::from(30 * red + 59 * green + 11 * blue) / 25_500.0
}

/// A colour as hue (an angle), saturation and value.
#[derive(Clone, Copy)]
struct Hsv {
    hue: f64,
    saturation: f64,
    value: f64,
}

impl Hsv {
    fn of(colour: Colour) -> Hsv {
        let [red, green, blue] = colour.rgb().map(|part| f64::from(part) / 255.0);
        let value = red.max(green).max(blue);
        let chroma = value - red.min(green).min(blue);
        let sixths = if chroma == 0.0 {
            0.0
        } else if value == red {
            (green - blue) / chroma
        } else if value == green {
            (blue - red) / chroma + 2.0
        } else {
            (red - green) / chroma + 4.0
        };
        let saturation = if value == 0.0 { 0.0 } else { chroma / value };
        Hsv { hue: (sixths * 60.0).to_radians(), saturation, value }
    }

    /// How far apart two colours are on the cone of hue and saturation.
    fn distance(self, other: Hsv) -> f64 {
        let place = |hsv: Hsv| {
            let radius = hsv.saturation * hsv.value;
            (radius * hsv.hue.cos(), radius * hsv.hue.sin())
        };
        let ((x, y), (u, v)) = (place(self), place(other));
        (x - u).hypot(y - v)
    }
}

/// The pieces of a flush in mm, as the host's `cal_flush_list` cuts a length: one of 90 to 100,
/// then pieces of 70 to 100. `None` where nobody knows: above 200 and below 230, of which no result
/// was seen, and for what is no length.
#[must_use]
pub fn pieces(length: f64) -> Option<Vec<f64>> {
    const FIRST: f64 = 90.0;
    const MOST: f64 = 100.0;
    const NEXT: f64 = 70.0;
    /// Far above any flush; a list has a bound.
    const LONGEST: f64 = 100_000.0;
    if !(0.0..=LONGEST).contains(&length) || (length > 200.0 && length < 230.0) {
        return None;
    }
    if length <= MOST {
        return Some(vec![length.max(FIRST)]);
    }
    let rest = length - FIRST;
    let count = (rest / NEXT).floor().max(1.0);
    let last = (rest - (count - 1.0) * NEXT).max(NEXT);
    let mut pieces = vec![FIRST];
    // At most LONGEST / NEXT.
    pieces.resize(count as usize, NEXT);
    pieces.push(last);
    if last > MOST {
        // Then all but a longer first one are equal.
        pieces = vec![(length - MOST) / count; count as usize + 1];
        pieces[0] = MOST;
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn colour([red, green, blue]: [u8; 3]) -> Colour {
        Colour { red, green, blue }
    }

    #[test]
    fn results_of_the_vendors_function() {
        let all = [
            ([0, 0, 0], [0, 0, 0], 60),
            ([0, 0, 0], [255, 255, 255], 560),
            ([255, 255, 255], [0, 0, 0], 80),
            ([0, 0, 0], [255, 0, 0], 408),
            ([0, 0, 255], [255, 255, 255], 661),
            ([255, 255, 0], [10, 20, 30], 138),
            ([128, 128, 128], [200, 180, 160], 213),
        ];
        for (from, to, expected) in all {
            assert_eq!(volume(colour(from), colour(to)), expected, "{from:?} {to:?}");
        }
    }

    #[test]
    fn lengths_have_a_least() {
        assert_eq!(length(colour([255; 3]), colour([0; 3])), 70.0);
        assert_eq!(length(colour([0; 3]), colour([255, 0, 0])), 170.0);
    }

    #[test]
    fn pieces_as_the_host_cuts_them() {
        let all: [(f64, &[f64]); 8] = [
            (0.0, &[90.0]),
            (91.0, &[91.0]),
            (101.0, &[90.0, 70.0]),
            (171.0, &[90.0, 81.0]),
            (199.0, &[100.0, 99.0]),
            (250.0, &[90.0, 70.0, 90.0]),
            (271.0, &[100.0, 85.5, 85.5]),
            (400.0, &[90.0, 70.0, 70.0, 70.0, 100.0]),
        ];
        for (length, expected) in all {
            assert_eq!(pieces(length).as_deref(), Some(expected), "{length}");
        }
        for nobody_knows in [201.0, 229.9, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(pieces(nobody_knows), None);
        }
    }

    proptest! {
        #[test]
        fn volumes_stay_in_their_bounds(from: [u8; 3], to: [u8; 3]) {
            let volume = volume(colour(from), colour(to));
            // The longest side opposite to 120 degrees.
            prop_assert!((60..=713).contains(&volume), "{volume}");
            if from == to {
                prop_assert_eq!(volume, 60);
            }
        }

        #[test]
        fn pieces_are_the_length(length in 0.0..2000.0) {
            let Some(pieces) = pieces(length) else {
                prop_assert!((200.0..230.0).contains(&length));
                return Ok(());
            };
            let sum: f64 = pieces.iter().sum();
            let least = match length {
                ..=100.0 => length.max(90.0),
                _ => length.max(160.0),
            };
            prop_assert!((sum - least).abs() < 1e-9, "{length}: {pieces:?}");
            prop_assert!(pieces.iter().all(|piece| (70.0..=100.0).contains(piece)));
        }
    }
}
