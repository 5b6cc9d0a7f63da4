//! What holds for every input: nothing panics, and every call and every return is given once.

use k485_proto::record::{Direction, Record, Verdict};
use k485_trace::bus::SEND;
use k485_trace::{EventReader, Kind, MergedEvents, TraceReader, looks_like_trace};
use proptest::prelude::*;

/// How the tellings of one call lie in the trace.
#[derive(Debug, Clone)]
struct Plan {
    /// The frame's DATA.
    data: Vec<u8>,
    /// Told under two labels.
    doubled: bool,
    /// What comes back: nothing at all, `null`, an exception, bytes.
    back: Back,
    /// How many events later it comes back.
    later: usize,
}

#[derive(Debug, Clone)]
enum Back {
    Never,
    Null,
    Error,
    Bytes(Vec<u8>),
}

fn plan() -> impl Strategy<Value = Plan> {
    let back = prop_oneof![
        1 => Just(Back::Never),
        1 => Just(Back::Null),
        1 => Just(Back::Error),
        4 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Back::Bytes),
    ];
    (proptest::collection::vec(any::<u8>(), 0..4), any::<bool>(), back, 0..12_usize)
        .prop_map(|(data, doubled, back, later)| Plan { data, doubled, back, later })
}

fn bare(plan: &Plan) -> Vec<u8> {
    let mut bytes = vec![0x01, 3 + plan.data.len() as u8, 0xff, 0x0a];
    bytes.extend(&plan.data);
    bytes
}

fn event(kind: &str, id: usize, time: usize, object: &str, rest: &str) -> String {
    format!(
        r#"{{"type": "{kind}", "id": {id}, "time": 1700000000.{time:06}, "object": "{object}", "class": "W", "method": "{SEND}", {rest}}}"#
    )
}

/// The lines of the two labels' files, with the times that merge them.
fn lines(plans: &[Plan], first_id: usize) -> [Vec<(usize, String)>; 2] {
    const LABELS: [&str; 2] = ["serial_485 serial485", "serial_485"];
    let mut files = [Vec::new(), Vec::new()];
    let mut open: Vec<(usize, usize, &Plan)> = Vec::new();
    let (mut time, mut id) = (0, first_id);
    for at in 0..plans.len() + 16 {
        // Whose time has come returns, the inner telling before the outer one.
        let due: Vec<_> = open.extract_if(.., |(when, ..)| *when <= at).collect();
        for (_, id, plan) in due {
            for label in (0..=usize::from(plan.doubled)).rev() {
                let (kind, rest) = match &plan.back {
                    Back::Never => continue,
                    Back::Null => ("return", r#""result": null"#.to_owned()),
                    Back::Error => ("error", r#""error": "E""#.to_owned()),
                    Back::Bytes(bytes) => {
                        ("return", format!(r#""result": {{"_bytes": "{}"}}"#, hex::encode(bytes)))
                    }
                };
                files[label].push((time, event(kind, id + label, time, LABELS[label], &rest)));
                time += 1;
            }
        }
        let Some(plan) = plans.get(at) else { continue };
        let args = format!(r#""args": "{{'_bytes': '{}'}}, 2""#, hex::encode(bare(plan)));
        for label in 0..=usize::from(plan.doubled) {
            files[label].push((time, event("call", id + label, time, LABELS[label], &args)));
            time += 1;
        }
        open.push((at + plan.later, id, plan));
        id += 1 + usize::from(plan.doubled);
    }
    files
}

fn text(lines: impl IntoIterator<Item = (usize, String)>) -> String {
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// Every request once and in order; every return once, with the bytes that came back.
fn check(records: &[Record], plans: &[Plan]) -> Result<(), TestCaseError> {
    let requests: Vec<_> =
        records.iter().filter(|record| record.dir == Some(Direction::Request)).collect();
    prop_assert_eq!(requests.len(), plans.len());
    for (request, plan) in requests.iter().zip(plans) {
        prop_assert_eq!(&request.bytes, &bare(plan));
    }
    let mut known = 0;
    for (request, plan) in requests.iter().zip(plans) {
        let id = request.call.unwrap().id;
        prop_assert_eq!(requests.iter().filter(|other| other.call.unwrap().id == id).count(), 1);
        let back: Vec<_> = records
            .iter()
            .filter(|record| record.call.unwrap().id == id)
            .filter(|record| record.dir == Some(Direction::Response))
            .collect();
        let bytes: Vec<u8> = back.iter().flat_map(|record| record.bytes.clone()).collect();
        known += 1 + back.len();
        match &plan.back {
            Back::Never => prop_assert!(back.is_empty()),
            Back::Null | Back::Error => {
                prop_assert_eq!(back.len(), 1);
                prop_assert_eq!(back[0].verdict, Verdict::NoReply);
            }
            Back::Bytes(expected) => prop_assert_eq!(&bytes, expected),
        }
        prop_assert!(back.iter().all(|record| record.bus == request.bus));
    }
    prop_assert_eq!(known, records.len(), "no record without its request");
    Ok(())
}

/// A line that is valid, of any type.
fn valid_line() -> impl Strategy<Value = String> {
    prop_oneof![
        plan().prop_map(|plan| {
            let [lines, _] = lines(&[plan], 7);
            lines[0].1.clone()
        }),
        Just(event("return", 7, 5, "a b", r#""result": {"_bytes": "f70103ff0a5c"}"#)),
        Just(r#"{"type": "return", "id": 7, "result": NaN, "duration_ms": 1e-05}"#.to_owned()),
        Just(r#"{"type": "connected", "time": 1.5, "active_traces": [["a", "b"]]}"#.to_owned()),
        Just(r#"{"type": "attr_read", "attr": "\u00e9\n", "value": {"a": []}}"#.to_owned()),
    ]
}

/// How many lines are not blank.
fn filled(input: &[u8]) -> usize {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let lines = input.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count()
}

proptest! {
    #[test]
    fn every_call_and_return_is_given_once(
        plans in proptest::collection::vec(plan(), 0..24),
        first_id in 0..1000_usize,
    ) {
        let [one, two] = lines(&plans, first_id);
        let (first, second) = (text(one.clone()), text(two.clone()));
        let read = |files: &[&str]| -> Vec<Record> {
            let files = files.iter().map(|file| EventReader::new("t", file.as_bytes()));
            TraceReader::merged(files).map(Result::unwrap).collect()
        };
        let apart = read(&[&first, &second]);
        check(&apart, &plans)?;

        let mut all: Vec<_> = one.into_iter().chain(two).collect();
        all.sort();
        let together = read(&[&text(all)]);
        // One file or two: the same but for the places.
        let bare = |records: &[Record]| -> Vec<Record> {
            records.iter().map(|record| Record { offset: 0, ..record.clone() }).collect()
        };
        prop_assert_eq!(bare(&together), bare(&apart));
    }

    #[test]
    fn sessions_in_one_file_are_kept_apart(
        sessions in proptest::collection::vec(proptest::collection::vec(plan(), 1..12), 1..4),
    ) {
        // Ids that restart, with a greeting between.
        let mut whole = String::new();
        for plans in &sessions {
            let [one, two] = lines(plans, 1);
            let mut all: Vec<_> = one.into_iter().chain(two).collect();
            all.sort();
            whole += "{\"type\": \"connected\"}\n";
            whole += &text(all);
        }
        let records: Vec<Record> =
            TraceReader::new("t", whole.as_bytes()).map(Result::unwrap).collect();
        let plans: Vec<Plan> = sessions.into_iter().flatten().collect();
        check(&records, &plans)?;
    }

    #[test]
    fn arbitrary_bytes(input in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = looks_like_trace(&input);
        prop_assert_eq!(EventReader::new("t", &input[..]).count(), filled(&input));
        prop_assert!(TraceReader::new("t", &input[..]).count() <= filled(&input));
    }

    #[test]
    fn mutated_lines(
        lines in proptest::collection::vec(valid_line(), 1..6),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut input = lines.join("\n").into_bytes();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        input.truncate(cut.index(input.len()) + 1);
        let _ = looks_like_trace(&input);
        // Every line is an event or a complaint.
        prop_assert_eq!(EventReader::new("t", &input[..]).count(), filled(&input));
        for record in TraceReader::new("t", &input[..]).flatten() {
            prop_assert_eq!(record.wire().is_some(), record.verdict == Verdict::Frame);
        }
    }

    #[test]
    fn the_iterator_and_the_lender_give_the_same(
        lines in proptest::collection::vec(valid_line(), 0..6),
    ) {
        let input = lines.join("\r\n");
        let copies: Vec<_> = EventReader::new("t", input.as_bytes()).collect();
        let mut lender = EventReader::new("t", input.as_bytes());
        let mut merged = MergedEvents::new([EventReader::new("t", input.as_bytes())]);
        for copy in &copies {
            let lent = lender.next_event().map(|item| item.map(|event| event.into_owned()));
            prop_assert_eq!(lent.as_ref(), Some(copy));
            let event = copy.as_ref().unwrap();
            prop_assert!(!matches!(&event.kind, Kind::Other(_)));
            prop_assert_eq!(merged.next(), Some(Ok((0, event.clone()))));
        }
        prop_assert!(lender.next_event().is_none());
        prop_assert!(merged.next().is_none());
        prop_assert_eq!(copies.len(), lines.len());
    }
}
