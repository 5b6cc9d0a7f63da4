//! Whether what is heard says the same things again and again, as machines do, or never, as noise.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many bytes in a row are compared.
const WIDTH: usize = 6;
/// How many different rows are remembered; what comes after that is only looked up.
const MOST: usize = 1 << 15;
/// Fewer rows tell nothing.
const ENOUGH: u64 = 40;

/// Counts rows of six bytes that were heard before.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats {
    tail: Vec<u8>,
    known: HashSet<u64>,
    rows: u64,
    again: u64,
}

impl Repeats {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        for row in self.tail.windows(WIDTH) {
            // Long equal levels, as of a break or of slow noise heard fast, give the same few bytes
            // whatever their cause.
            if row.iter().collect::<HashSet<_>>().len() < WIDTH - 1 {
                continue;
            }
            let mut hasher = DefaultHasher::new();
            row.hash(&mut hasher);
            let row = hasher.finish();
            self.rows += 1;
            if self.known.contains(&row) {
                self.again += 1;
            } else if self.known.len() < MOST {
                self.known.insert(row);
            }
        }
        let keep = self.tail.len().saturating_sub(WIDTH - 1);
        self.tail.drain(..keep);
    }

    /// The share of what was heard before, in per cent, where enough was heard.
    pub(super) fn percent(&self) -> Option<u64> {
        (self.rows >= ENOUGH).then(|| self.again * 100 / self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_link::uart::{Line, Noise, heard};
    use k485_proto::message::kind::hex_bytes;
    use std::time::Duration;

    #[test]
    fn noise_does_not_repeat_itself_and_polling_does_at_a_wrong_speed_too() {
        for baud in super::super::hunt::BAUDS {
            let mut repeats = Repeats::default();
            let mut out = Vec::new();
            Noise::new(4).wander(&mut Line::new(1, baud), Duration::from_secs(1), &mut out);
            out.chunks(7).for_each(|chunk| repeats.push(chunk));
            let percent = repeats.percent().expect("enough");
            assert!(percent < 5, "{baud}: {percent}");
        }
        let polls = ["f7010300a2da", "f7011100a2010069063002185333115235383244", "f70203ff0a5c"];
        for baud in [115_200, 460_800] {
            let mut repeats = Repeats::default();
            for _ in 0..20 {
                for text in polls {
                    repeats.push(&heard(Line::new(230_400, baud), &hex_bytes(text).unwrap()));
                }
            }
            assert!(repeats.percent().expect("enough") > 80, "{baud}");
        }
    }
}
