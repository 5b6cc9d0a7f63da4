//! Numbers that look like chance.

/// A small generator (SplitMix64): the same seed gives the same numbers, on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// A generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        // The upper half of a 64-bit product: no modulo, so no bias worth the name.
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u32
    }

    /// True with this probability, from 0 (never) to 1 (always).
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a float between 0 and 1 holds.
        let drawn = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..50).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|n| *n < 1000));
        assert_eq!(Rng::new(1).below(0), 0);
    }

    #[test]
    fn a_chance_is_as_good_as_it_says() {
        let mut rng = Rng::new(3);
        let mut hits = |p| (0..10_000).filter(|_| rng.chance(p)).count();
        assert_eq!((hits(0.0), hits(1.0)), (0, 10_000));
        assert!((2_300..2_700).contains(&hits(0.25)));
    }
}
