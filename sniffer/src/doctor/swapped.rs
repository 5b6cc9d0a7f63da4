//! What the usual polls look like with A and B swapped.
//!
//! The image of a frame is worked out with the model of the line ([`k485_link::uart`]), for a bus
//! whose idle level is inverted too and for one where it is not; what both have in common is looked
//! for. It is the same at every speed, as long as the port has the speed of the bus.

use std::collections::BTreeMap;

use k485_link::uart::{Line, heard};
use k485_proto::address::Address;
use k485_proto::dialect::Dialect;
use k485_proto::frame::Frame;
use k485_proto::status::Status;

/// The shortest image that is looked for: a shorter one is met in noise.
const SHORTEST: usize = 4;

/// A poll and its image.
#[derive(Debug, Clone)]
struct Image {
    name: String,
    bytes: Vec<u8>,
}

/// Counts the images of the usual polls in a stream.
#[derive(Debug, Clone)]
pub(super) struct Swapped {
    images: Vec<Image>,
    /// The end of what was heard before, shorter than the longest image.
    tail: Vec<u8>,
    hits: BTreeMap<String, u64>,
}

impl Swapped {
    pub(super) fn new(dialect: &'static Dialect) -> Swapped {
        let mut images = Vec::new();
        let mut add = |addr: u8, status: Status, func: u8, data: &[u8]| {
            let addr = Address(addr);
            let Ok(frame) = Frame::to_vec(addr, status, func, data) else { return };
            let name = dialect.find(addr, func).map_or("?", |function| function.name);
            let bytes = image(&frame);
            if bytes.len() >= SHORTEST {
                images.push(Image { name: format!("{name} to {}", dialect.device(addr)), bytes });
            }
        };
        for addr in 1..=4 {
            add(addr, Status::OK, 0xa2, &[]);
            add(addr, Status::OK, 0xa3, &[]);
            add(addr, Status::REQUEST, 0x0a, &[]);
            add(addr, Status::REQUEST, 0x05, &[]);
            add(addr, Status::REQUEST, 0x14, &[]);
            add(addr + 0x80, Status::OK, 0x0c, &[0x0b]);
        }
        add(0xfe, Status::OK, 0xa1, &[0xfe, 0xfe]);
        Swapped { images, tail: Vec::new(), hits: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let longest = self.images.iter().map(|image| image.bytes.len()).max().unwrap_or(0);
        let before = self.tail.len();
        self.tail.extend_from_slice(bytes);
        for image in &self.images {
            let size = image.bytes.len();
            // Only those that end in the new bytes.
            let from = (before + 1).saturating_sub(size);
            let found = self.tail[from..].windows(size).filter(|at| *at == image.bytes).count();
            if found > 0 {
                *self.hits.entry(image.name.clone()).or_default() += found as u64;
            }
        }
        let keep = self.tail.len().saturating_sub(longest.saturating_sub(1));
        self.tail.drain(..keep);
    }

    /// How often each poll's image was seen.
    pub(super) fn hits(&self) -> &BTreeMap<String, u64> {
        &self.hits
    }
}

/// What a port reads of a frame on swapped wires, as far as it does not depend on what the line
/// does behind it.
fn image(frame: &[u8]) -> Vec<u8> {
    let biased = heard(Line::swapped(k485_link::BAUD, k485_link::BAUD), frame);
    let unbiased = heard(Line::swapped_unbiased(k485_link::BAUD, k485_link::BAUD), frame);
    let same = biased.iter().zip(&unbiased).take_while(|(a, b)| a == b);
    same.map(|(byte, _)| *byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_link::uart::Noise;
    use k485_proto::dialect::K2;
    use k485_proto::message::kind::hex_bytes;
    use std::time::Duration;

    #[test]
    fn the_usual_polls_have_images_of_their_own() {
        let swapped = Swapped::new(&K2);
        assert_eq!(swapped.images.len(), 25, "{:02x?}", swapped.images);
        for (at, image) in swapped.images.iter().enumerate() {
            let others = swapped.images.iter().skip(at + 1);
            assert!(others.clone().all(|other| other.bytes != image.bytes), "{image:02x?}");
        }
    }

    #[test]
    fn polls_are_seen_at_any_speed_in_any_chunking_and_not_on_straight_wires() {
        let polls: Vec<u8> = ["f7010300a2da", "f70203ff0a5c", "f7fe0500a1fefef8"]
            .iter()
            .flat_map(|text| {
                let poll = hex_bytes(text).unwrap();
                heard(Line::swapped(115_200, 115_200), &poll)
            })
            .collect();
        for size in 1..=polls.len() {
            let mut swapped = Swapped::new(&K2);
            polls.chunks(size).for_each(|chunk| swapped.push(chunk));
            let hits: Vec<_> = swapped.hits().iter().map(|(name, n)| (name.as_str(), *n)).collect();
            assert_eq!(
                hits,
                [
                    ("GET_BOX_STATE to box2", 1),
                    ("GET_SLAVE_INFO to unassigned", 1),
                    ("ONLINE_CHECK to box1", 1)
                ]
            );
        }
        let mut straight = Swapped::new(&K2);
        for text in ["f7010300a2da", "f70203ff0a5c", "f7fe0500a1fefef8"] {
            straight.push(&hex_bytes(text).unwrap());
        }
        assert!(straight.hits().is_empty());
    }

    #[test]
    fn noise_is_no_swapped_bus() {
        let mut swapped = Swapped::new(&K2);
        let mut out = Vec::new();
        let mut line = Line::new(1, 230_400);
        Noise::new(5).wander(&mut line, Duration::from_secs(10), &mut out);
        swapped.push(&out);
        assert!(out.len() > 50_000, "{}", out.len());
        assert!(swapped.hits().is_empty(), "{:?}", swapped.hits());
    }
}
