//! The host's engine against the same worlds: it sends what the vendor's host sent, in that order. What
//! recurs by the clock (A1, A2, 0A, 0E) is left out, and so are repetitions that the filament decides:
//! polls of a feed, rounds of pushing.

use std::error::Error;
use std::path::Path;

use k485_emulator::hand::Hand;
use k485_proto::frame::Frame;
use k485_proto::host::ask::Step;
use k485_proto::host::engine::{Config, Host, Job, What, printer_params};
use k485_proto::record::Time;

use crate::bench::Bench;
use crate::player::Wire;
use crate::{script, stage};

/// A file, whether its host has the boxes' identities and starts motors, and what it is told to do.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    motors: bool,
    jobs: &'static [&'static str],
}

pub(crate) const CASES: [Case; 6] = [
    Case { name: "startup_one_box", motors: false, jobs: &[] },
    Case { name: "motor_startup", motors: true, jobs: &[] },
    Case { name: "start_saved_table_and_load", motors: false, jobs: &["load"] },
    Case { name: "load_T1A", motors: false, jobs: &["load"] },
    Case { name: "load_and_unload", motors: false, jobs: &["load", "unload"] },
    Case { name: "change_T1A_T2B", motors: false, jobs: &["load", "change"] },
];

/// How long the start is watched, and a job at most.
const START: i64 = 30 * Time::SECOND;
const JOB: i64 = 300 * Time::SECOND;

struct Run {
    host: Host,
    wire: Bench,
    sent: Vec<Vec<u8>>,
}

impl Run {
    fn go(&mut self, until: Time, jobs: bool) {
        while self.wire.now() < until && !(jobs && self.host.job().is_none()) {
            self.host.toolhead(self.wire.toolhead());
            let step = self.host.poll(self.wire.now());
            for want in self.host.take_wants() {
                let hand = match want.what {
                    What::Extrude { mm } => Hand::Extrude { mm: f64::from(mm), speed: None },
                    What::Cut => Hand::Cut,
                    What::Heat { .. } | What::Clean => continue,
                };
                self.wire.act(&hand);
            }
            match step {
                Step::Send => {
                    let end = self.wire.say(self.host.request());
                    self.sent.push(self.host.request().to_vec());
                    self.host.sent(end);
                }
                Step::Wait(time) => {
                    for (time, bytes) in self.wire.listen(time.min(until)) {
                        self.host.heard(&bytes, time);
                    }
                }
                Step::Done => unreachable!("the host never ends"),
            }
        }
    }
}

pub(crate) fn run(folder: &Path, case: &Case) -> Result<String, Box<dyn Error>> {
    let path = folder.join("transcripts").join(format!("{}.txt", case.name));
    let lines = script::read(&std::fs::read_to_string(path)?)?;
    let vendor: Vec<Vec<u8>> = lines.iter().map(|line| line.request.clone()).collect();
    let (world, _) = stage::world(&lines, 1, Time(0));
    let mut saved = [None; 4];
    // A host that assigns before it has asked has a table.
    let first = vendor.iter().find(|raw| !matches!(raw[1], 0x80..=0xfd | 0xff));
    if first.is_some_and(|raw| raw[4] == 0xa0) {
        for raw in vendor.iter().filter(|raw| raw[4] == 0xa0) {
            saved[usize::from(raw[5]) - 1] = raw[6..18].try_into().ok();
        }
    }
    let motors = case.motors.then(printer_params);
    let config = Config { saved, motors, ..Config::default() };
    let wire = Bench::new(world, false);
    let mut run = Run { host: Host::new(config, wire.now()), wire, sent: Vec::new() };
    run.go(Time(run.wire.now().0 + START), false);
    if lines.iter().all(|line| line.frame().func() != 0xa0) {
        // The transcript begins later.
        run.sent.clear();
    }
    for job in case.jobs {
        let [from, to] = ["T1A", "T2B"].map(|name| name.parse().expect("a slot"));
        let job = match *job {
            "load" => Job::Load(from),
            "unload" => Job::Unload(from),
            _ => Job::Change { from, to },
        };
        run.host.start(job, run.wire.now())?;
        run.go(Time(run.wire.now().0 + JOB), true);
    }
    let (vendor, ours) = (essence(&vendor), essence(&run.sent));
    // A transcript may end earlier, or go on with what it was told to try by hand.
    let common = vendor.iter().zip(&ours).take_while(|(vendor, ours)| vendor == ours).count();
    let whole = common == ours.len() || common == vendor.len();
    if whole && common > 4 {
        let (vendor, ours) = (vendor.len(), ours.len());
        return Ok(format!("{common} requests in the same order, of {vendor} and {ours}"));
    }
    let at =
        |words: &[String]| words.get(common..).map(|rest| rest.iter().take(6).cloned().collect());
    let (vendor, ours): (Option<Vec<_>>, Option<Vec<_>>) = (at(&vendor), at(&ours));
    Err(format!("{}: after {common} requests {vendor:?}, ours {ours:?}", case.name).into())
}

/// The requests without what recurs by the clock, each repetition once.
fn essence(requests: &[Vec<u8>]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for raw in requests {
        let frame = Frame::from_bytes(raw).expect("a request");
        if matches!((frame.addr().0, frame.func()), (_, 0xa1 | 0xa2) | (1..=4, 0x0a | 0x0e)) {
            continue;
        }
        let word = format!("{frame:?}");
        // Polls and rounds of [push, buffer]. What else comes twice in a row is said twice.
        let repeats = matches!((frame.func(), frame.data()), (0x10, [_, 5 | 7, _]) | (0x05, []));
        if !(repeats && words.iter().rev().take(2).any(|before| *before == word)) {
            words.push(word);
        }
    }
    words
}
