use super::*;
use crate::reader::EventReader;
use k485_proto::frame::Hex;
use k485_proto::record::Time;
use proptest::prelude::*;

/// An event in the seed's form: `call 7 1.5 box get_len T1A`, `return 7 1.6 box get_len 5`.
fn seed(words: &str) -> String {
    let parts: Vec<&str> = words.splitn(6, ' ').collect();
    let [kind, id, time, object, method, rest] = parts[..] else { panic!("{words}") };
    let tail = match kind {
        "call" => format!("\"args\":\"{rest}\""),
        "return" => format!("\"result\":{rest},\"duration_ms\":1.5"),
        _ => format!("\"error\":\"{rest}\",\"traceback\":\"\",\"duration_ms\":1.5"),
    };
    format!(
        "{{\"type\":\"{kind}\",\"id\":{id},\"time\":{time},\"object\":\"{object}\",\"class\":\"C\",\
         \"method\":\"{method}\",{tail}}}\n"
    )
}

fn items_of(text: &str, options: Options, judge: &mut dyn Judge) -> (Vec<Item>, Tree) {
    let mut tree = Tree::new(options);
    let mut items = Vec::new();
    for event in EventReader::new("t", text.as_bytes()) {
        tree.take(0, &event.unwrap(), judge);
        items.extend(std::iter::from_fn(|| tree.pull()));
    }
    tree.finish(judge);
    items.extend(std::iter::from_fn(|| tree.pull()));
    (items, tree)
}

/// The tree in one line: `a(x)=5[b()=null]`.
fn told(text: &str) -> String {
    told_with(text, Options::default(), &mut |_: &Node| true)
}

fn told_with(text: &str, options: Options, judge: &mut dyn Judge) -> String {
    let (items, tree) = items_of(text, options, judge);
    assert_eq!((tree.held(), tree.open()), (0, 0));
    items.iter().map(item).collect::<Vec<_>>().join(" ")
}

fn item(item: &Item) -> String {
    match item {
        Item::Child(child) => one(child),
        Item::Connected { .. } => "connected".into(),
        Item::Dropped { count, .. } => format!("dropped:{count}"),
        Item::Lost { reason, .. } => format!("lost:{reason}"),
        Item::Mark { name, .. } => format!("mark:{name}"),
        Item::Gap { reason, .. } => format!("gap:{reason}"),
    }
}

fn one(child: &Child) -> String {
    match child {
        Child::Call(node) => call(node),
        Child::Run(run) => format!("{}x{}", call(&run.first), run.count),
        Child::Frame { record, .. } => {
            format!("{}:{}", record.dir.unwrap().name(), Hex(&record.bytes))
        }
        Child::Attr { name, value, .. } => format!("{name}={value}"),
    }
}

fn call(node: &Node) -> String {
    let args = node.args.as_ref().map_or("?", |args| &args.text);
    let end = match &node.end {
        End::Returned(result) => format!("={result}"),
        End::Raised { error, .. } => format!("!{error}"),
        End::NotSeen => "…".into(),
    };
    let mut within: Vec<String> = node.children.iter().map(one).collect();
    let counts = [(node.hidden, "hidden"), (node.left_out, "left out")];
    within.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    let within = if within.is_empty() { String::new() } else { format!("[{}]", within.join(" ")) };
    format!("{}({args}){end}{within}", node.site.method)
}

fn lines(events: &[&str]) -> String {
    events.iter().map(|event| seed(event)).collect()
}

#[test]
fn nesting_is_inferred_from_the_order() {
    let text = lines(&[
        "call 1 1 box tool T2A",
        "call 2 1.1 box len None",
        "return 2 1.2 box len 160.8",
        "call 3 1.3 rack speed 1",
        "error 3 1.4 rack speed Timeout",
        "return 1 1.5 box tool true",
        "call 4 2 box late x",
    ]);
    assert_eq!(told(&text), "tool(T2A)=true[len(None)=160.8 speed(1)!Timeout] late(x)…");
    let (items, _) = items_of(&text, Options::default(), &mut |_: &Node| true);
    let Item::Child(Child::Call(tool)) = &items[0] else { panic!() };
    assert_eq!(tool.nesting, Nesting::Inferred);
    // What it took, less what was within.
    assert_eq!((tool.duration, tool.own), (Some(1_500_000), Some(0)));
    assert_eq!((tool.depth, tool.begin), (0, Some(Time(1_000_000_000))));
}

#[test]
fn what_outlives_a_call_is_beside_it() {
    let text = lines(&[
        "call 1 1 box a x",
        "call 2 1.1 box b x",
        "call 3 1.2 box c x",
        "return 1 1.3 box a 1",
        "call 4 1.4 box d x",
        "return 4 1.5 box d 4",
        "return 3 1.6 box c 3",
        "return 2 1.7 box b 2",
    ]);
    assert_eq!(told(&text), "a(x)=1 b(x)=2[c(x)=3[d(x)=4]]");
}

#[test]
fn told_nesting_counts_more_than_the_order() {
    let event = |text: &str, parent: &str| {
        text.trim_end().strip_suffix('}').unwrap().to_owned()
            + &format!(",\"tid\":1,\"gid\":1,\"parent\":{parent},\"depth\":0,\"mono\":5}}\n")
    };
    let text = [
        event(&seed("call 1 1 box a x"), "null"),
        event(&seed("call 2 1.1 rack b x"), "null"),
        event(&seed("call 3 1.2 box c x"), "1"),
        event(&seed("call 4 1.3 rack d x"), "2"),
        event(&seed("return 3 1.4 box c 3"), "1"),
        event(&seed("return 2 1.5 rack b 2"), "null"),
        event(&seed("return 4 1.6 rack d 4"), "2"),
        event(&seed("call 5 1.7 rack e x"), "99"),
        event(&seed("return 1 1.8 box a 1"), "null"),
        event(&seed("return 5 1.9 rack e 5"), "99"),
    ]
    .concat();
    assert_eq!(told(&text), "a(x)=1[c(x)=3] b(x)=2 d(x)=4 e(x)=5");
    let (items, _) = items_of(&text, Options::default(), &mut |_: &Node| true);
    let nesting: Vec<Nesting> = items
        .iter()
        .map(|item| match item {
            Item::Child(Child::Call(node)) => node.nesting,
            other => panic!("{other:?}"),
        })
        .collect();
    use Nesting::{ParentNotSeen, Told};
    assert_eq!(nesting, [Told, Told, Told, ParentNotSeen]);
}

#[test]
fn frames_are_made_of_send_calls_or_told() {
    let send = |id: u32, time: &str| {
        seed(&format!("call {id} {time} serial_485 {SEND} {{'_bytes': '0103ff0a'}}, 2"))
    };
    let back = |id: u32, time: &str, result: &str| {
        seed(&format!("return {id} {time} serial_485 {SEND} {result}"))
    };
    let reply = "{\"_bytes\": \"f70103ff0a5c\"}";
    let text = send(1, "1") + &back(1, "1.1", reply);
    assert_eq!(
        told(&text),
        format!(
            "{SEND}({{'_bytes': '0103ff0a'}}, 2)={reply}[request:0103ff0a response:f70103ff0a5c]"
        )
    );
    let frame = "{\"type\":\"frame\",\"object\":\"serial_485\",\"direction\":\"tx\",\
                 \"bytes\":\"0103ff0a\",\"parent\":2,\"time\":2}\n";
    let text = send(2, "2") + frame + &back(2, "2.1", "null");
    assert_eq!(
        told(&text),
        format!("{SEND}({{'_bytes': '0103ff0a'}}, 2)=null[request:0103ff0a response:]")
    );
    // The end alone, and a frame within nothing.
    assert_eq!(
        told(&(back(9, "3", reply) + &frame.replace('2', "8"))),
        format!("{SEND}(?)={reply}[response:f70103ff0a5c] request:0103ff0a")
    );
}

#[test]
fn alike_calls_in_a_row_are_folded_with_what_is_within_them() {
    let mut text = seed("call 1 1 box outer x");
    for n in 0..7 {
        text += &seed(&format!("call {} 1.1 box poll {n}", 2 * n + 2));
        text += &seed(&format!("call {} 1.1 box inner {n}", 2 * n + 3));
        text += &seed(&format!("return {} 1.2 box inner {n}", 2 * n + 3));
        let kind = if n == 5 { "error" } else { "return" };
        text += &seed(&format!("{kind} {} 1.2 box poll {n}", 2 * n + 2));
    }
    text += &seed("return 1 2 box outer 0");
    assert_eq!(
        told(&text),
        "outer(x)=0[poll(0)=0[inner(0)=0]x5 poll(5)!5[inner(5)=5] poll(6)=6[inner(6)=6]]"
    );
    let plain = told_with(&text, Options { fold: 0, ..Options::default() }, &mut |_: &Node| true);
    assert_eq!(plain.matches("poll").count(), 7);
    // The same at the top.
    let roots: String = (1..6)
        .flat_map(|n| [format!("call {n} 1 box p {n}"), format!("return {n} 1 box p {n}")])
        .map(|event| seed(&event))
        .collect();
    assert_eq!(told(&roots), "p(1)=1x5");
}

#[test]
fn what_nobody_wants_is_counted() {
    let text = lines(&[
        "call 1 1 box a x",
        "call 2 1 box b x",
        "call 3 1 box c x",
        "return 3 1 box c 3",
        "return 2 1 box b 2",
        "call 4 1 box d x",
        "return 4 1 box d 4",
        "return 1 1 box a 1",
        "call 5 1 box d x",
        "return 5 1 box d 5",
    ]);
    let only = |name: &'static str| {
        let mut judge = move |node: &Node| node.site.method == name;
        told_with(&text, Options::default(), &mut judge)
    };
    assert_eq!(only("c"), "a(x)=1[b(x)=2[c(x)=3] 1 hidden]");
    assert_eq!(only("a"), "a(x)=1[3 hidden]");
    assert_eq!(only("none"), "");
}

#[test]
fn sessions_marks_drops_and_gaps() {
    let gap = "{\"type\":\"gap\",\"from\":1,\"to\":3,\"reason\":\"closed\"}\n";
    let text = seed("call 100 1 box a x")
        + "{\"type\":\"mark\",\"name\":\"here\",\"time\":1}\n"
        + "{\"type\":\"dropped\",\"count\":7}\n"
        + "{\"type\":\"lost\",\"reason\":\"no text\"}\n"
        + gap
        + gap
        + "{\"type\":\"connected\",\"time\":3}\n"
        + &seed("call 1 3 box b x")
        + &seed("return 100 3 box a 1");
    // The call began before all of it.
    assert_eq!(
        told(&text),
        "a(x)… mark:here dropped:7 lost:no text gap:closed connected b(x)… a(?)=1"
    );
    // Ids that go back are a new session, too.
    let text = lines(&["call 100 1 box a x", "call 1 2 box b x", "return 1 2 box b 1"]);
    assert_eq!(told(&text), "a(x)… b(x)=1");
}

#[test]
fn a_doubled_call_is_one_and_knows_both_labels() {
    let text = lines(&[
        "call 1 1 prtouch m x",
        "call 2 1 axis m x",
        "call 3 1 prtouch inner x",
        "return 3 1 prtouch inner 0",
        "return 2 1 axis m 5",
        "return 1 1 prtouch m 5",
    ]);
    let (items, _) = items_of(&text, Options::default(), &mut |_: &Node| true);
    let [Item::Child(Child::Call(node))] = &items[..] else { panic!("{items:?}") };
    assert_eq!((&*node.site.object, &node.also[..]), ("prtouch", &["axis".to_owned()][..]));
    assert_eq!(node.children.len(), 1);
}

#[test]
fn a_doubled_call_ends_as_its_outer_telling_does() {
    let both = [
        "call 1 1 prtouch m x",
        "call 2 1 axis m x",
        "return 2 1.3 axis m 5",
        "call 3 1.4 box other x",
        "return 3 1.4 box other 0",
    ];
    let outer = "return 1 1.5 prtouch m 6";
    let text = lines(&both) + &seed(outer).replace("1.5,", "2.5,").replace(":1.5}", ":2.5}");
    assert_eq!(told(&text), "m(x)=6 other(x)=0", "the inner end is the place where it is left");
    let (items, _) = items_of(&text, Options::default(), &mut |_: &Node| true);
    let Item::Child(Child::Call(node)) = &items[0] else { panic!("{items:?}") };
    assert_eq!((node.id, node.duration), (1, Some(2_500_000)));
    // Without it the inner one's is all there is.
    assert_eq!(told(&lines(&both)), "m(x)=5 other(x)=0");
}

#[test]
fn a_call_that_hands_its_work_to_another_object_is_not_doubled() {
    let event = |text: &str, parent: u32| {
        text.trim_end().strip_suffix('}').unwrap().to_owned()
            + &format!(",\"gid\":1,\"parent\":{parent}}}\n")
    };
    let text = event(&seed("call 1 1 motor_a dele 5"), 0)
        + &event(&seed("call 2 1 motor_b dele 5"), 1)
        + &event(&seed("return 2 1 motor_b dele 5"), 1)
        + &event(&seed("return 1 1 motor_a dele 6"), 0);
    assert_eq!(told(&text), "dele(5)=6[dele(5)=5]");
    // The nesting is inferred where the schema alone says so.
    let text = "{\"type\":\"connected\",\"schema\":1}\n".to_owned()
        + &lines(&[
            "call 1 1 motor_a dele 5",
            "call 2 1 motor_b dele 5",
            "return 2 1 motor_b dele 5",
            "return 1 1 motor_a dele 6",
        ]);
    assert_eq!(told(&text), "connected dele(5)=6[dele(5)=5]");
}

#[test]
fn memory_is_bounded_and_depth_too() {
    let mut text = seed("call 1 1 box outer x");
    for n in 2..2_000 {
        text += &seed(&format!("call {n} 1 box m{n} {}", "y".repeat(200)));
        text += &seed(&format!("return {n} 1 box m{n} 1"));
    }
    text += &seed("return 1 2 box outer 0");
    let options = Options { fold: 0, most: 100_000 };
    let (items, tree) = items_of(&text, options, &mut |_: &Node| true);
    let [Item::Child(Child::Call(node))] = &items[..] else { panic!() };
    assert_eq!(node.calls(), 1_999);
    assert!(node.left_out > 1_000 && node.children.len() > 50, "{}", node.left_out);
    assert_eq!(tree.left_out(), node.left_out);

    let deep: String = (1..2_000).map(|n| seed(&format!("call {n} 1 box m x"))).collect();
    let (items, _) = items_of(&deep, Options::default(), &mut |_: &Node| true);
    let calls: u64 = items
        .iter()
        .map(|item| match item {
            Item::Child(Child::Call(node)) => node.calls(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(calls, 1_999);
}

proptest! {
    /// Whatever comes: every call and every end without one is in the tree once, in order, and
    /// nothing is held at the end.
    #[test]
    fn nothing_is_lost(
        events in prop::collection::vec((0u8..8, 1u64..12, 0u8..3, any::<bool>(), 0u64..12), 0..200),
        fold in 0usize..5,
    ) {
        let mut text = String::new();
        for (kind, id, object, is_told, parent) in &events {
            let object = ["box", "rack", "serial_485"][usize::from(*object)];
            let method = if object == "serial_485" { SEND } else { "m" };
            let mut line = match kind {
                0..=3 => seed(&format!("call {id} 1 {object} {method} {{'_bytes': '0103ff0a'}}")),
                4..=6 => seed(&format!("return {id} 1 {object} {method} null")),
                _ => seed(&format!("error {id} 1 {object} {method} E")),
            };
            if *is_told {
                line = line.trim_end().strip_suffix('}').unwrap().to_owned()
                    + &format!(",\"gid\":1,\"parent\":{parent}}}\n");
            }
            text += &line;
        }
        let mut judged = 0;
        let mut judge = |_: &Node| { judged += 1; true };
        let (items, tree) = items_of(&text, Options { fold, ..Options::default() }, &mut judge);
        prop_assert_eq!((tree.held(), tree.open(), tree.left_out()), (0, 0, 0));
        let mut calls = 0;
        for item in &items {
            let Item::Child(child) = item else { panic!("{item:?}") };
            match child {
                Child::Call(node) => calls += node.calls(),
                Child::Run(run) => calls += run.first.calls() * run.count,
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(calls, judged);
    }
}
