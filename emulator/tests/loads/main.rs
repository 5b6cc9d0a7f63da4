//! Loads and unloads in virtual time, a thousand of them: boxes of any number, slots, lengths of
//! tube, and a trouble in every second one. Whatever happened, filament is nowhere twice, and once
//! what is broken is mended and what is latched is cleared, a load and an unload work, and the
//! odometer tells the path's length.
//!
//! A failure prints the seed of its world; `K485_LOADS_SEED=N` runs that world alone, and
//! `K485_LOADS_WORLDS=N` more worlds than usual.

#[path = "../common/mod.rs"]
mod common;
mod host;
mod round;
mod trouble;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use round::Tale;

/// How many worlds there are, and how many rounds (each a load and an unload) each has.
const WORLDS: u64 = 50;
const ROUNDS: u32 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn a_thousand_loads_and_unloads() {
    if let Some(seed) = number("K485_LOADS_SEED") {
        let tale = round::play(seed, ROUNDS);
        assert!(tale.wrong.is_none(), "{}", report(seed, &tale, usize::MAX));
        return;
    }
    let worlds = number("K485_LOADS_WORLDS").unwrap_or(WORLDS);
    let next = AtomicU64::new(0);
    let work = || {
        let mut tales = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds {
                return tales;
            }
            tales.push((seed, round::play(seed, ROUNDS)));
        }
    };
    let tales: Vec<(u64, Tale)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a world panicked")).collect()
    });
    let wrong: Vec<String> = tales
        .iter()
        .filter(|(_, tale)| tale.wrong.is_some())
        .map(|(seed, tale)| report(*seed, tale, 12))
        .collect();
    assert!(wrong.is_empty(), "{} of {worlds} worlds:\n{}", wrong.len(), wrong.join("\n"));
    // The troubles were troubles: they spoiled loads, and not all of them.
    let sum = |of: fn(&Tale) -> u32| tales.iter().map(|(_, tale)| of(tale)).sum::<u32>();
    let (clean, troubled, spoiled) = (sum(|t| t.clean), sum(|t| t.troubled), sum(|t| t.spoiled));
    let all = u32::try_from(worlds).unwrap_or(u32::MAX).saturating_mul(ROUNDS);
    assert_eq!(clean + troubled, all);
    assert!(spoiled > troubled / 4 && spoiled < troubled, "{spoiled} of {troubled} were spoiled");
}

/// What is wrong, and the last lines before it.
fn report(seed: u64, tale: &Tale, lines: usize) -> String {
    let wrong = tale.wrong.as_deref().unwrap_or("");
    let last = tale.lines.len().saturating_sub(lines);
    let last: Vec<&str> = tale.lines[last..].iter().map(String::as_str).collect();
    format!("K485_LOADS_SEED={seed}: {wrong}\n  {}", last.join("\n  "))
}

/// The same world twice says the same to the last byte.
#[test]
fn the_same_seed_tells_the_same_tale() {
    let (first, second) = (round::play(1_000, 4), round::play(1_000, 4));
    assert_eq!(first.heard, second.heard);
    assert!(first.heard.len() > 1_000);
}
