//! How fast the deframer is, as a ratio to the loops that one would write without it.
//!
//! `cargo bench -p k485-proto` walks 32 MiB of clean and 32 MiB of dirty stream with three
//! subjects and two baselines, in turns within one run, since a machine's clock and neighbours
//! change from minute to minute. A ratio is taken within each round; the table shows the median
//! over the rounds with the least and the greatest. MB are 10^6 bytes.
//!
//! Subjects and baselines must find the same frames at the same offsets, and in the clean stream
//! those that were put in; otherwise the bench panics.
//!
//! `cargo bench -p k485-proto -- --quick` and `cargo test -p k485-proto --benches` walk 256 KiB
//! once: a test that everything agrees, not a measurement.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to a person")]

mod baseline;
mod stream;

use std::hint::black_box;
use std::time::{Duration, Instant};

use baseline::CLoop;
use k485_proto::deframer::{Deframer, Span, spans};
use stream::Tally;

/// How much of each stream is walked, and how often.
struct Plan {
    size: usize,
    rounds: usize,
}

const FULL: Plan = Plan { size: 32 << 20, rounds: 9 };
const QUICK: Plan = Plan { size: 256 << 10, rounds: 1 };

const CLEAN_SEED: u64 = 0x4b34_3835_0000_0001;
const DIRTY_SEED: u64 = 0x4b34_3835_0000_0002;

/// What a USB serial adapter hands over at a time, at most.
const CHUNK: usize = 64;

fn pull_all(deframer: &mut Deframer, mut input: &[u8], tally: &mut Tally) {
    while let Some(span) = deframer.pull(&mut input) {
        count(&span, tally);
    }
}

fn count(span: &Span<'_>, tally: &mut Tally) {
    if let Span::Frame { offset, .. } = span {
        tally.add(*offset);
    }
}

fn close(mut deframer: Deframer, mut tally: Tally) -> Tally {
    while let Some(span) = deframer.idle() {
        count(&span, &mut tally);
    }
    tally
}

fn whole(bytes: &[u8]) -> Tally {
    let (mut deframer, mut tally) = (Deframer::new(), Tally::default());
    pull_all(&mut deframer, bytes, &mut tally);
    close(deframer, tally)
}

fn chunks(bytes: &[u8]) -> Tally {
    let (mut deframer, mut tally) = (Deframer::new(), Tally::default());
    for chunk in bytes.chunks(CHUNK) {
        pull_all(&mut deframer, chunk, &mut tally);
    }
    close(deframer, tally)
}

fn in_memory(bytes: &[u8]) -> Tally {
    let mut tally = Tally::default();
    for span in spans(bytes) {
        count(&span, &mut tally);
    }
    tally
}

/// Something that makes a pass over the stream and tells how long it took.
enum Walker {
    Rust(fn(&[u8]) -> Tally),
    C(CLoop),
}

impl Walker {
    fn pass(&mut self, bytes: &[u8]) -> (Duration, Tally) {
        match self {
            Walker::Rust(walk) => {
                let start = Instant::now();
                let tally = walk(black_box(bytes));
                (start.elapsed(), tally)
            }
            Walker::C(c_loop) => c_loop.pass().expect("the C loop makes its pass"),
        }
    }
}

struct Contestant {
    name: &'static str,
    walker: Walker,
    times: Vec<Duration>,
}

impl Contestant {
    fn new(name: &'static str, walker: Walker) -> Contestant {
        Contestant { name, walker, times: Vec::new() }
    }
}

/// The baselines come first, so that they are the columns: one or two of them.
fn contestants(stream_name: &str, bytes: &[u8]) -> (Vec<Contestant>, usize) {
    let mut all = vec![Contestant::new("crc crate loop", Walker::Rust(baseline::crc_crate_loop))];
    match CLoop::start(stream_name, bytes) {
        Ok(c_loop) => all.push(Contestant::new("C table loop", Walker::C(c_loop))),
        Err(error) => eprintln!("{stream_name}: no C baseline, going on without it: {error}"),
    }
    let baselines = all.len();
    all.push(Contestant::new("pull, whole", Walker::Rust(whole)));
    all.push(Contestant::new("pull, 64-byte chunks", Walker::Rust(chunks)));
    all.push(Contestant::new("spans", Walker::Rust(in_memory)));
    (all, baselines)
}

/// The middle of `values` with the least and the greatest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// How much faster `subject` was than `baseline`, round by round.
fn ratio(subject: &Contestant, baseline: &Contestant) -> String {
    let rounds = subject.times.iter().zip(&baseline.times);
    let (middle, least, greatest) =
        spread(rounds.map(|(own, other)| other.as_secs_f64() / own.as_secs_f64()).collect());
    format!("{middle:.2} ({least:.2}..{greatest:.2})")
}

fn compare(name: &str, bytes: &[u8], planted: Option<Tally>, rounds: usize) {
    let (mut all, baselines) = contestants(name, bytes);
    let mut agreed = planted;
    for round in 0..rounds {
        // Nobody always follows the same neighbour.
        for turn in 0..all.len() {
            let at = (round + turn) % all.len();
            let (time, tally) = all[at].walker.pass(bytes);
            let expected = *agreed.get_or_insert(tally);
            assert_eq!(tally, expected, "{} disagrees on the {name} stream", all[at].name);
            all[at].times.push(time);
        }
    }

    let frames = agreed.unwrap_or_default().frames;
    println!("\n{name}: {} bytes, {frames} frames, rounds: {rounds}", bytes.len());
    if rounds == 1 {
        let names: Vec<_> = all.iter().map(|contestant| contestant.name).collect();
        println!("agree: {}", names.join("; "));
        return;
    }
    print!("{:<22}{:>8}", "", "MB/s");
    for baseline in &all[..baselines] {
        print!("{:>26}", format!("x {}", baseline.name));
    }
    println!();
    for subject in &all {
        let rate = |time: &Duration| bytes.len() as f64 / 1e6 / time.as_secs_f64();
        let (middle, ..) = spread(subject.times.iter().map(rate).collect());
        print!("{:<22}{middle:>8.0}", subject.name);
        for baseline in &all[..baselines] {
            print!("{:>26}", ratio(subject, baseline));
        }
        println!();
    }
}

fn main() {
    // `cargo bench` gives `--bench`; `cargo test` does not.
    let asked = |flag: &str| std::env::args().any(|arg| arg == flag);
    let plan = if asked("--bench") && !asked("--quick") { FULL } else { QUICK };

    let (bytes, planted) = stream::clean(plan.size, CLEAN_SEED);
    compare("clean", &bytes, Some(planted), plan.rounds);
    drop(bytes);
    compare("dirty", &stream::dirty(plan.size, DIRTY_SEED), None, plan.rounds);
}
