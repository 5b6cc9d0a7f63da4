use super::*;
use crate::event::Context;

fn site(object: &'static str) -> Site<'static> {
    Site { object: object.into(), class: "C".into(), method: "m".into() }
}

/// An event of another tracer than k485's.
fn at(time: Option<Time>) -> Event<'static> {
    let kind = crate::event::Kind::Other("".into());
    Event { line: 1, offset: 0, time, context: Context::default(), kind }
}

/// An event of k485's own tracer.
fn own() -> Event<'static> {
    Event { context: Context { gid: Some(1), ..Context::default() }, ..at(None) }
}

fn call(number: u64) -> Begin {
    Begin::Call { number }
}

#[test]
fn ends_in_any_order() {
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(None), 10, &site("a"), "x", 'x'), call(1));
    assert_eq!(calls.call(0, &at(None), 11, &site("a"), "x", 'y'), call(2), "one label: two calls");
    assert_eq!(calls.call(1, &at(None), 10, &site("a"), "z", 'z'), call(3), "another file");
    assert_eq!(calls.end(0, &at(None), 10, &site("a"), ""), End::Of { number: 1, value: 'x' });
    assert_eq!(
        calls.end(0, &at(None), 11, &Site::default(), ""),
        End::Of { number: 2, value: 'y' }
    );
    assert_eq!(calls.end(0, &at(None), 10, &site("a"), ""), End::Orphan { number: 4 });
    assert_eq!(
        calls.end(1, &at(None), 10, &site("b"), ""),
        End::Orphan { number: 5 },
        "another object"
    );
    assert_eq!((calls.open(), calls.given_up()), (1, 0));
}

#[test]
fn a_doubled_call_is_one_call_in_one_file_or_two() {
    for inner in [0, 1] {
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, &at(None), 4, &site("a"), "x", 'o'), call(1));
        assert_eq!(
            calls.call(inner, &at(None), 5, &site("b"), "x", 'i'),
            Begin::Again { number: 1 }
        );
        let (number, value) = (1, 'o');
        let end = calls.end(inner, &at(None), 5, &site("b"), "");
        assert_eq!(end, End::Inner { number, value });
        let end = calls.end(0, &at(None), 4, &site("a"), "");
        assert_eq!(end, End::Of { number, value }, "the outer one is what the caller saw");
        assert_eq!((calls.open(), calls.doubled.len()), (0, 0));
        // The next call is another one, though ids and labels look the same.
        assert_eq!(calls.call(0, &at(None), 6, &site("a"), "x", 'n'), call(2));
    }
}

#[test]
fn equal_calls_of_two_greenlets_are_two_doubled_calls() {
    let mut calls = OpenCalls::new();
    let begins = [(4, "a"), (5, "b"), (6, "a"), (7, "b")]
        .map(|(id, object)| calls.call(0, &at(None), id, &site(object), "x", ()));
    let again = |number| Begin::Again { number };
    assert_eq!(begins, [call(1), again(1), call(2), again(2)]);
    let ends = [(5, "b"), (7, "b"), (4, "a"), (6, "a")]
        .map(|(id, object)| calls.end(0, &at(None), id, &site(object), ""));
    let of = |number| End::Of { number, value: () };
    let inner = |number| End::Inner { number, value: () };
    assert_eq!(ends, [inner(1), inner(2), of(1), of(2)]);
}

#[test]
fn nothing_is_doubled_where_calls_are_told_once() {
    // By what the events tell, or by the line that their source began with.
    for (schema, told) in [(None, own()), (Some(1), at(None))] {
        let mut calls = OpenCalls::new();
        calls.connected(0, schema);
        // The outer one hands its work to the other object.
        assert_eq!(calls.call(0, &told, 1, &site("a"), "5", 'a'), call(1));
        assert_eq!(calls.call(0, &told, 2, &site("b"), "5", 'b'), call(2));
        assert_eq!(calls.end(0, &told, 2, &site("b"), "5"), End::Of { number: 2, value: 'b' });
        assert_eq!(calls.end(0, &told, 1, &site("a"), "6"), End::Of { number: 1, value: 'a' });
        // Nor are ends whose calls were not seen.
        assert_eq!(calls.end(0, &told, 8, &site("b"), "5"), End::Orphan { number: 3 });
        assert_eq!(calls.end(0, &told, 7, &site("a"), "5"), End::Orphan { number: 4 });
        // Ids that go back are the same tracer's; another tracer's source is its own.
        assert_eq!(calls.call(0, &told, 90, &site("a"), "5", 'a'), call(5));
        assert_eq!(calls.call(0, &told, 1, &site("a"), "5", 'a'), call(6));
        assert_eq!(calls.call(0, &told, 2, &site("b"), "5", 'b'), call(7));
        assert_eq!(calls.call(1, &at(None), 3, &site("c"), "5", 'c'), call(8));
        assert_eq!(calls.call(1, &at(None), 4, &site("d"), "5", 'd'), Begin::Again { number: 8 });
        calls.connected(0, None);
        assert_eq!(calls.call(0, &at(None), 8, &site("a"), "5", 'a'), call(9));
        assert_eq!(calls.call(0, &at(None), 9, &site("b"), "5", 'b'), Begin::Again { number: 9 });
    }
}

#[test]
fn an_inner_end_is_the_end_where_the_outer_telling_is_gone() {
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(None), 4, &site("a"), "x", ()), call(1));
    assert_eq!(calls.call(1, &at(None), 5, &site("b"), "x", ()), Begin::Again { number: 1 });
    calls.restart(0);
    assert_eq!(calls.end(1, &at(None), 5, &site("b"), ""), End::Of { number: 1, value: () });
    // The outer one that ends first is the end, whatever comes of the other.
    assert_eq!(calls.call(0, &at(None), 6, &site("a"), "x", ()), call(2));
    assert_eq!(calls.call(0, &at(None), 7, &site("b"), "x", ()), Begin::Again { number: 2 });
    assert_eq!(calls.end(0, &at(None), 6, &site("a"), ""), End::Of { number: 2, value: () });
    assert_eq!(calls.end(0, &at(None), 7, &site("b"), ""), End::Again { number: 2 });
}

#[test]
fn a_call_has_a_bounded_number_of_labels() {
    let mut calls = OpenCalls::new();
    let labels: Vec<String> = (0..=MAX_LABELS).map(|label| label.to_string()).collect();
    let mut begin = |id: usize| {
        let site = Site { object: labels[id].as_str().into(), ..Site::default() };
        calls.call(0, &at(None), id as u64, &site, "", ())
    };
    assert_eq!(begin(0), call(1));
    for id in 1..MAX_LABELS {
        assert_eq!(begin(id), Begin::Again { number: 1 });
    }
    assert_eq!(begin(MAX_LABELS), call(2));
}

#[test]
fn calls_that_only_look_doubled() {
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(None), 4, &site("a"), "x", ()), call(1));
    assert_eq!(calls.call(0, &at(None), 5, &site("b"), "y", ()), call(2), "other arguments");
    assert_eq!(calls.call(0, &at(None), 7, &site("a"), "y", ()), call(3), "no neighbour");
    let End::Of { .. } = calls.end(0, &at(None), 7, &site("a"), "") else { panic!() };
    assert_eq!(
        calls.call(0, &at(None), 8, &site("b"), "y", ()),
        call(4),
        "the first one has ended"
    );
}

#[test]
fn three_labels_and_a_lost_inner_end() {
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(None), 4, &site("a"), "x", ()), call(1));
    assert_eq!(calls.call(0, &at(None), 5, &site("b"), "x", ()), Begin::Again { number: 1 });
    assert_eq!(calls.call(0, &at(None), 6, &site("c"), "x", ()), Begin::Again { number: 1 });
    assert_eq!(calls.end(0, &at(None), 5, &site("b"), ""), End::Inner { number: 1, value: () });
    assert_eq!(calls.end(0, &at(None), 4, &site("a"), ""), End::Of { number: 1, value: () });
    assert_eq!(calls.doubled.len(), 1);
    calls.restart(0);
    assert_eq!((calls.doubled.len(), calls.given_up()), (0, 1));
}

#[test]
fn a_call_of_a_past_session_is_no_twin() {
    let second = |second| Some(Time(second * Time::SECOND));
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(second(0)), 4, &site("a"), "x", ()), call(1));
    assert_eq!(calls.call(1, &at(second(6)), 5, &site("b"), "x", ()), call(2));
    assert_eq!(calls.call(2, &at(second(6)), 4, &site("a"), "x", ()), Begin::Again { number: 2 });
    // The newest of two that fit.
    assert_eq!(calls.call(3, &at(second(6)), 7, &site("a"), "z", ()), call(3));
    assert_eq!(calls.call(4, &at(second(7)), 7, &site("a"), "z", ()), call(4));
    assert_eq!(calls.call(5, &at(second(8)), 8, &site("b"), "z", ()), Begin::Again { number: 4 });
}

#[test]
fn a_doubled_end_without_its_call() {
    let mut calls = OpenCalls::<()>::new();
    assert_eq!(calls.end(0, &at(None), 5, &site("a"), "7"), End::Orphan { number: 1 });
    assert_eq!(calls.end(1, &at(None), 4, &site("b"), "7"), End::Again { number: 1 });
    assert_eq!(calls.end(1, &at(None), 3, &site("a"), "7"), End::Orphan { number: 2 });
    assert_eq!(
        calls.end(1, &at(None), 2, &site("a"), "7"),
        End::Orphan { number: 3 },
        "the same label"
    );
    assert_eq!(
        calls.end(1, &at(None), 1, &site("b"), "8"),
        End::Orphan { number: 4 },
        "another result"
    );
}

#[test]
fn restarts() {
    let mut calls = OpenCalls::new();
    assert_eq!(calls.call(0, &at(None), 100, &site("a"), "x", ()), call(1));
    assert_eq!(
        calls.call(0, &at(None), 84, &site("a"), "y", ()),
        call(2),
        "threads turned two lines"
    );
    assert_eq!(calls.call(0, &at(None), 83, &site("a"), "z", ()), call(3), "a restart");
    assert_eq!(calls.end(0, &at(None), 100, &site("a"), ""), End::Orphan { number: 4 });
    assert_eq!(
        calls.call(0, &at(None), 83, &site("a"), "z", ()),
        call(5),
        "the id is open: a restart"
    );
    assert_eq!(calls.call(1, &at(None), 1, &site("a"), "", ()), call(6), "another file's ids");
    assert_eq!(calls.open(), 2);
    calls.restart(0);
    assert_eq!((calls.open(), calls.given_up()), (1, 4));
}

#[test]
fn the_oldest_makes_room() {
    let mut calls = OpenCalls::new();
    for id in 0..MAX_OPEN as u64 {
        assert_eq!(calls.call(0, &at(None), id, &site("a"), "", id), call(id + 1));
    }
    let begin = calls.call(0, &at(None), u64::MAX, &site("a"), "", 0);
    assert_eq!(begin, call(MAX_OPEN as u64 + 1));
    assert_eq!((calls.open(), calls.given_up(), calls.crowded_out()), (MAX_OPEN, 0, 1));
    assert_eq!(calls.end(0, &at(None), 1, &site("a"), ""), End::Of { number: 2, value: 1 });
}
