use super::*;
use proptest::prelude::*;

/// Some events as our own tracer sends them, in both forms.
const BOTH: &str = include_str!("../../../tests/vectors/trace-wire.json");
const CHANGE: &str = "{\"type\": \"wire\", \"wire\": \"binary\", \"version\": 1}\n";

fn both() -> (String, Vec<u8>) {
    let value: serde_json::Value = serde_json::from_str(BOTH).unwrap();
    let chunks = hex::decode(value["stream"].as_str().unwrap()).unwrap();
    let lines = value["lines"].as_array().unwrap().iter();
    (lines.map(|line| format!("{}\n", line.as_str().unwrap())).collect(), chunks)
}

fn pieces(bytes: &[u8], size: usize) -> (Vec<Piece>, Vec<u8>) {
    let mut decoder = Decoder::new();
    let mut pieces = Vec::new();
    for part in bytes.chunks(size) {
        decoder.push(part);
        pieces.extend(std::iter::from_fn(|| decoder.pull()));
    }
    (pieces, decoder.finish())
}

fn lines(text: &str) -> Vec<Piece> {
    text.lines().map(|line| Piece::Line(line.to_owned())).collect()
}

#[test]
fn both_forms_give_the_same_lines_however_they_are_cut() {
    let (text, chunks) = both();
    let changed = [CHANGE.as_bytes(), &chunks].concat();
    for size in [1, 2, 7, 64, 1 << 20] {
        assert_eq!(pieces(text.as_bytes(), size), (lines(&text), vec![]));
        assert_eq!(pieces(&changed, size), (lines(&text), vec![]));
    }
    for line in text.lines() {
        crate::Event::parse(line, 1, 0).unwrap();
    }
    // A chunk that is not whole is left.
    let (some, rest) = pieces(&changed[..changed.len() - 1], 100);
    assert!(some.len() < lines(&text).len() && !rest.is_empty());
}

#[test]
fn what_is_no_line_is_told() {
    let long = "x".repeat(MAX_LINE + 5);
    let text = format!(
        "\r\n{{\"type\": \"a\", \"v\": NaN}}\nnonsense\n{long}\n\
         {{\"type\": \"refused\", \"message\": \"no token\"}}\n{{\"ty"
    );
    let (got, rest) = pieces(text.as_bytes(), 1000);
    let [Piece::Line(first), Piece::Bad { why, text }, Piece::Bad { why: skipped, .. }, last] =
        &got[..]
    else {
        panic!("{got:?}")
    };
    assert_eq!(first, "{\"type\": \"a\", \"v\": \"NaN\"}");
    assert!(why.starts_with("expected") && text == "nonsense", "{why}");
    assert_eq!(skipped, "a line of 1048581 bytes, the most is 1048576; skipped");
    assert_eq!((last, &rest[..]), (&Piece::Refused("no token".into()), &b"{\"ty"[..]));
}

#[test]
fn a_compact_stream_that_makes_no_sense_is_broken() {
    let (_, chunks) = both();
    // Where the labels end.
    let labels = 5 + u32::from_le_bytes(chunks[1..5].try_into().unwrap()) as usize;
    let broken = |bytes: &[u8]| {
        let (got, _) = pieces(&[CHANGE.as_bytes(), bytes].concat(), 50);
        match got.last() {
            Some(Piece::Broken(why)) => why.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(broken(b"E\xff\xff\xff\xff"), "a chunk of 4294967295 bytes, the most is 16777216");
    assert_eq!(broken(b"E\0\0\0\0"), "a chunk of events is too short");
    assert_eq!(broken(b"D\x01\0\0\0."), "a chunk of dropped events has a wrong length");
    assert_eq!(broken(&chunks[labels..]), "label 0 was not told");
    let (got, rest) = pieces(&[CHANGE.as_bytes(), b"X\x01\0\0\0."].concat(), 50);
    assert_eq!((got.len(), rest.len()), (0, 0), "a kind of a later version is passed over");
    let newer = CHANGE.replace('1', "2");
    let (got, _) = pieces(newer.as_bytes(), 50);
    assert!(matches!(&got[..], [Piece::Broken(why)] if why.contains("update")));
}

#[test]
fn whom_a_client_may_speak_to() {
    let ours = "{\"type\":\"connected\",\"schema\":1,\"wire\":{\"binary\":1},\"pid\":7}";
    assert!(Greeting::of(ours).speaks_binary());
    assert_eq!(Greeting::of(ours).pid, Some(7));
    for other in [
        "{\"type\":\"connected\",\"message\":\"TraceHooks streaming connected\"}",
        "{\"type\":\"connected\",\"schema\":1,\"wire\":{\"binary\":2}}",
        "{\"schema\": \"x\"}",
        "",
    ] {
        assert!(!Greeting::of(other).speaks_binary(), "{other}");
    }
    assert_eq!(
        hello(true, Some("a\"b")),
        "{\"k485\":\"hello\",\"token\":\"a\\\"b\",\"wire\":\"binary\"}\n"
    );
    assert_eq!(hello(false, None), "{\"k485\":\"hello\"}\n");
}

proptest! {
    /// Chunks of which some bytes are spoiled, cut anywhere: nothing panics, and how they are cut
    /// does not matter.
    #[test]
    fn spoiled_chunks(
        spoil in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        size in 1usize..200,
    ) {
        let (_, mut chunks) = both();
        for (at, byte) in spoil {
            let at = at.index(chunks.len());
            chunks[at] = byte;
        }
        let bytes = [CHANGE.as_bytes(), &chunks].concat();
        prop_assert_eq!(pieces(&bytes, size).0, pieces(&bytes, usize::MAX).0);
    }
}
