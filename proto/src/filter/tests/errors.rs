//! What is no filter says where and why.

use super::*;

/// Every error: the filter, its column, and a part of what it says.
#[test]
fn errors_point_at_their_column() {
    for (text, column, part) in [
        ("", 1, "the filter is empty"),
        ("   ", 1, "the filter is empty"),
        ("addr==", 7, "expected a value (one with other characters in quotes), found the end"),
        ("addr==&&noise", 7, "found &&"),
        ("addr=box1", 5, "write == for equal"),
        ("noise & frame", 7, "write && for and"),
        ("noise | frame", 7, "write || for or"),
        ("noise && ", 10, "expected a field, a word such as noise, or (, found the end"),
        ("(noise", 7, "expected &&, || or ), found the end"),
        ("noise)", 6, "expected &&, || or the end, found )"),
        ("noise frame", 7, "found frame"),
        ("bus=='x'", 6, "is no quote here"),
        ("ümlaut==1", 1, "put a value that has it in quotes"),
        ("bus==\"ü\" && §", 13, "'§' means nothing here"),
        ("bus==\"hub", 6, "no closing"),
        ("bus==\"a\\q\"", 8, "no such escape"),
        ("bus==\"\\\"ü\\q\"", 10, "no such escape"),
        ("data==c5 42", 10, "found 42"),
        ("adr==box1", 1, "no field is named adr; did you mean addr?"),
        ("noise||latncy>1ms", 8, "did you mean latency?"),
        ("device==box1", 1, "did you mean addr?"),
        ("frobnicate==1", 1, "docs/filter.md"),
        ("stage.x==1", 1, "x is part of nothing"),
        ("tags.a.material==1", 1, "its parts are A, B, C, D, rest, not a"),
        ("tags.A.colr==1", 1, "its parts are material"),
        ("tags.A.raw.x==1", 1, "x is part of nothing"),
        ("tags==none", 5, "tags.A.material"),
        ("timeout", 1, "write outcome==timeout"),
        ("noise || box1", 10, "write addr==box1"),
        ("motor", 1, "write addr==motor"),
        ("GET_BOX_STATE", 1, "write func==GET_BOX_STATE"),
        ("OK", 1, "write status==OK"),
        ("state", 1, "as in state==…"),
        ("niose", 1, "did you mean noise?"),
        ("xyzzyx", 1, "the words that do are noise, gap, frame"),
        ("addr==box7", 7, "did you mean box"),
        ("addr==nobody", 7, "it is a device such as box1"),
        ("addr==FE", 7, "hex is written 0xFE (unassigned)"),
        ("addr==256", 7, "hex is written 0x256"),
        ("addr<box", 5, "is a class of devices"),
        ("func==A2", 7, "hex is written 0xA2 (ONLINE_CHECK)"),
        ("func==GET_BOX_STAET", 7, "did you mean GET_BOX_STATE?"),
        ("func==whatever", 7, "it is a function's name"),
        ("func<GET_BOX_STATE", 5, "names have no order"),
        ("status==RETRUDE_ER2", 9, "did you mean RETRUDE_ERR"),
        ("status==1A", 9, "hex is written 0x1A (RETRUDE_ERR7)"),
        ("status==bad", 9, "it is a name such as OK"),
        ("status==REQUEST", 9, "requests are found by request"),
        ("outcome==timout", 10, "did you mean timeout?"),
        ("outcome==x", 10, "it is one of answered, timeout, no_reply_expected"),
        ("outcome>timeout", 8, "outcome has no order"),
        ("outcome~time", 8, "~ searches texts and bytes"),
        ("latency>50", 9, "write 50ms"),
        ("latency>fast", 9, "a time such as 50ms"),
        ("latency>50 ms", 9, "write 50ms"),
        ("time>12:30", 6, "--since"),
        ("attempts>two", 10, "it is a number"),
        ("len==0x", 6, "it is a number"),
        ("data==c5.", 7, "even number of hex digits"),
        ("data~c5.", 6, "pairs of hex digits"),
        ("data~\"\"", 6, "pairs of hex digits"),
        ("data<00", 5, "data has no order"),
        ("dir==up", 6, "it is one of request, response, unknown"),
        ("reason==crc", 9, "it is one of garbage"),
        ("class==boxes", 8, "it is one of box, addressing"),
        ("form==FeedPol", 7, "did you mean FeedPoll?"),
        ("state==idel", 8, "did you mean idle?"),
        ("state==A2", 8, "hex is written 0xA2"),
        ("state<idle", 6, "names have no order"),
        ("temperature==warm", 14, "it is a number"),
        ("temperature~25", 12, "is a number; write =="),
        ("slot==T5A", 7, "it is slots such as T1A"),
        ("slot==T1A+T2A", 7, "it is slots such as T1A"),
        ("slot<A", 5, "slot has no order"),
        ("ran==E", 6, "did you mean A?"),
        ("errors~overload", 8, "it is one of encoder_jump"),
        ("uniid==x1", 8, "even number of hex digits"),
        ("address==nobody", 10, "it is a device such as box1"),
        ("id==param_boot_kay", 5, "did you mean param_boot_key?"),
        ("addr in box1", 9, "expected {, as in addr in {box1, box2}"),
        ("addr in {box1 box2}", 15, "expected , or }"),
        ("addr in {box1, bxo2}", 16, "did you mean box2?"),
        ("addr in {}", 10, "expected a value"),
    ] {
        let error =
            Filter::parse(text, &K2).map(|filter| panic!("{text} is {filter}")).unwrap_err();
        assert_eq!(error.column, column, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn the_caret_stands_under_the_column() {
    let error = Filter::parse("noise || adr==box1", &K2).unwrap_err();
    let shown = "column 10: no field is named adr; did you mean addr?\n  \
                 noise || adr==box1\n           ^";
    assert_eq!(error.to_string(), shown);
    // Deep in a long filter both are still in a line of a terminal; control characters are not.
    let long = format!("{}x\t\u{1b}adr==1", "noise || ".repeat(40));
    let shown = Filter::parse(&long, &K2).unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].chars().count() < 100 && !lines[1].contains(char::is_control));
    let at = lines[2].chars().count() - 1;
    assert_eq!(lines[1].chars().nth(at), Some(' '), "{shown}");
    assert_eq!(lines[1].chars().nth(at - 2), Some('x'), "{shown}");
}
