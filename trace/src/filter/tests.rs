use super::*;
use crate::reader::EventReader;
use crate::tree::{Child, Item, Options, Tree};
use proptest::prelude::*;

fn node() -> Node {
    let text = concat!(
        r#"{"type":"call","id":7,"time":1,"object":"box","class":"Box","method":"get_flush_len","#,
        r#""args":"None, T2A","gid":3}"#,
        "\n",
        r#"{"type":"return","id":7,"time":1.2,"object":"box","class":"Box","#,
        r#""method":"get_flush_len","result":160.8,"duration_ms":200}"#,
    );
    let mut tree = Tree::new(Options::default());
    for event in EventReader::new("t", text.as_bytes()) {
        tree.take(0, &event.unwrap(), &mut |_: &Node| true);
    }
    tree.finish(&mut |_: &Node| true);
    match tree.pull() {
        Some(Item::Child(Child::Call(node))) => *node,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_holds_and_what_does_not() {
    let node = node();
    for (text, holds) in [
        ("object==box", true),
        ("object == b*x && method==get_*_len", true),
        ("method==*len*", true),
        ("method==get", false),
        ("method!=get", true),
        ("method~FLUSH", true),
        ("args~\"none, t2a\"", true),
        ("args!~T3A", true),
        ("result==160.8", true),
        ("duration>50ms and duration<=0.2s", true),
        ("self>=200ms", true),
        ("duration<200us", false),
        ("raised || open || orphan", false),
        ("not raised", true),
        ("!(object==box) or id==7", true),
        ("gid==3 && depth==0", true),
        // What a call does not have is in no relation to anything.
        ("tid!=1", false),
        ("error!=x", false),
        ("!(error==x)", true),
    ] {
        assert_eq!(Filter::parse(text).unwrap().matches(&node), holds, "{text}");
    }
    let both = Filter::object("b*").and(Filter::at_least(200_000_000));
    assert!(both.matches(&node) && both.asks_for_the_end());
    assert!(!Filter::parse("object==box && args~x").unwrap().asks_for_the_end());
}

#[test]
fn what_is_wrong_and_where() {
    for (text, column, says) in [
        ("", 1, "expected a field"),
        ("objekt==box", 1, "no field is named objekt; there are object,"),
        ("object==box extra", 13, "expected &&, || or the end, found extra"),
        ("object<box", 7, "object< makes no sense: it is a text"),
        ("duration~5ms", 9, "duration~ makes no sense: it is a number"),
        ("duration>5", 10, "duration cannot be \"5\": write a time with its unit"),
        ("raise", 1, "raise alone means nothing"),
        ("(raised", 8, "expected &&, || or ), found the end"),
        ("object==", 9, "expected a value"),
        ("object==\"x", 9, "has no closing"),
        ("object==\"\\n\"", 10, "no such escape"),
        ("grün==1", 1, "no field is named grün"),
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.problem.to_string().contains(says), "{text}: {error}");
    }
    let deep = "(".repeat(MAX_DEPTH + 1);
    assert_eq!(Filter::parse(&deep).unwrap_err().problem, Problem::TooDeep);
    let long = "x".repeat(MAX_LENGTH + 1);
    assert!(matches!(Filter::parse(&long).unwrap_err().problem, Problem::TooLong { .. }));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z=!<>~&|()\"*\\\\ 0-9äé]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.matches(&node());
        }
    }
}
