//! Captures as a generator makes them, and what the pairer sees in them.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use k485_proto::deframer::spans;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Pairer, Seen};
use k485_proto::record::{Call, Direction, Gap, GapReason, Origin, Record, Time, Verdict};

use crate::{Plain, next_piece};

/// What happens to the pairer.
#[derive(Debug, Clone)]
pub enum Step {
    /// It is given a record.
    Push(Record),
    /// It is told the time.
    Tick(Time),
}

/// The steps of a generated capture: times, directions, calls, bare frames, now and then odd ones.
pub fn steps(u: &mut Unstructured<'_>) -> Result<Vec<Step>> {
    const MS: i64 = Time::MILLISECOND;
    const LATER: [i64; 8] = [0, MS, 12 * MS, 60 * MS, 200 * MS, 2_600 * MS, 20_000 * MS, -5 * MS];
    let names: [Arc<str>; 3] = ["".into(), "serial_485".into(), u.arbitrary::<&str>()?.into()];
    let (mut last, mut now, mut steps) = (None, 0_i64, Vec::new());
    while !u.is_empty() {
        now =
            if u.ratio(15, 16)? { now.saturating_add(*u.choose(&LATER)?) } else { u.arbitrary()? };
        let time = u.ratio(7, 8)?.then_some(Time(now));
        let bus = if u.ratio(7, 8)? { &names[0] } else { u.choose(&names)? };
        let call = if u.ratio(1, 6)? {
            let duration_ns = u.arbitrary()?;
            Some(Call { id: u.int_in_range(0..=5)?, timeout_ms: u.arbitrary()?, duration_ns })
        } else {
            None
        };
        let dir = match u.int_in_range(0..=7)? {
            0 => Some(Direction::Request),
            1 => Some(Direction::Response),
            2 if call.is_some() => Some(Direction::Response),
            3 if call.is_some() => Some(Direction::Request),
            _ => None,
        };
        let known = |record| Record { time, bus: bus.clone(), dir, call, ..record };
        let empty = Record {
            time: None,
            bus: bus.clone(),
            dir: None,
            offset: u.arbitrary()?,
            bytes: Vec::new(),
            origin: Origin::Wire,
            verdict: Verdict::NoReply,
            call: None,
        };
        match u.int_in_range(0..=15)? {
            0 => steps.push(Step::Tick(Time(now))),
            1 if call.is_some() => steps.push(Step::Push(known(empty))),
            3 if u.ratio(1, 4)? => {
                let reason = *u.choose(&GapReason::ALL)?;
                let gap = Gap { reason, ns: u.arbitrary()?, bytes: u.arbitrary()? };
                let offset = empty.offset;
                let record = Record::of_gap(gap, time, bus.clone());
                steps.push(Step::Push(Record { offset, ..record }));
            }
            2 => {
                let bytes = Plain::arbitrary(u)?.bare();
                let bare = Record { bytes, origin: Origin::Bare, verdict: Verdict::Frame, ..empty };
                steps.push(Step::Push(known(bare)));
            }
            _ => {
                let bytes = next_piece(u, &mut last)?;
                let records = spans(&bytes).map(|span| known(Record::of_span(&span)));
                steps.extend(records.map(Step::Push));
            }
        }
    }
    Ok(steps)
}

/// All that a pairer sees.
#[must_use]
pub fn seen(steps: Vec<Step>, dialect: &'static Dialect) -> Vec<Seen> {
    let mut pairer = Pairer::with_dialect(dialect);
    for step in steps {
        match step {
            Step::Push(record) => pairer.push(record),
            Step::Tick(now) => pairer.tick(now),
        }
    }
    pairer.finish();
    std::iter::from_fn(|| pairer.pull()).collect()
}
