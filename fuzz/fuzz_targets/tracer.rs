//! A tracer's stream, in lines or in its compact form, and the trees, figures and filters of what is
//! in it.
//!
//! Input: see [`k485_fuzz::RAW`], for a stream; others are generated events, of which some bytes are
//! then spoiled.

#![no_main]

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use k485_fuzz::RAW;
use k485_trace::filter::Filter;
use k485_trace::stats::{Order, Stats};
use k485_trace::stream::{Decoder, Piece};
use k485_trace::survey::Survey;
use k485_trace::tree::{Child, Item, Judge, Node, Options};
use k485_trace::{EventReader, Tree};
use libfuzzer_sys::fuzz_target;

/// One generated event, of a tracer that tells nesting or of one that does not.
fn line(u: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    let (id, parent) = (u.int_in_range(1..=30)?, u.int_in_range(0..=30)?);
    let object = *u.choose(&["serial_485", "box", "rack", ""])?;
    let method = *u.choose(&["cmd_send_data_with_response", "m", "get"])?;
    let time = u.int_in_range(0..=9)?;
    let told = match u.int_in_range(0..=2)? {
        0 => String::new(),
        gid => format!(", \"gid\": {gid}, \"parent\": {parent}"),
    };
    let head = |kind: &str| {
        format!(
            "{{\"type\": \"{kind}\", \"id\": {id}, \"time\": {time}, \"object\": \"{object}\", \
             \"class\": \"C\", \"method\": \"{method}\"{told}"
        )
    };
    // A string takes any text.
    let _ = match u.int_in_range(0..=13)? {
        0..=5 => write!(out, "{}, \"args\": \"{{'_bytes': '0103ff0a'}}, 2\"}}", head("call")),
        6..=8 => write!(out, "{}, \"result\": null, \"duration_ms\": 1.5}}", head("return")),
        9 => write!(out, "{}, \"error\": \"E\", \"exc_type\": \"T\"}}", head("error")),
        10 => {
            write!(out, "{}, \"direction\": \"rx\", \"bytes\": \"f70103ff0a5c\"}}", head("frame"))
        }
        11 => write!(out, "{}, \"attr\": \"a\", \"value\": 1}}", head("attr_read")),
        12 => write!(out, "{{\"type\": \"gap\", \"from\": {time}}}"),
        _ => write!(
            out,
            "{{\"type\": \"{}\", \"count\": 3}}",
            u.choose(&["connected", "dropped", "mark"])?
        ),
    };
    out.push('\n');
    Ok(())
}

fn generated(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let spoiled = u.int_in_range(0..=2)?;
    let mut text = String::new();
    while u.len() > 4 * spoiled {
        line(u, &mut text)?;
    }
    let mut bytes = text.into_bytes();
    for _ in 0..spoiled {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        bytes[at] = u.arbitrary()?;
    }
    Ok(bytes)
}

fn pieces(bytes: &[u8], size: usize) -> Vec<Piece> {
    let mut decoder = Decoder::new();
    let mut pieces = Vec::new();
    for part in bytes.chunks(size) {
        decoder.push(part);
        pieces.extend(std::iter::from_fn(|| decoder.pull()));
    }
    decoder.finish();
    pieces
}

/// Counts calls and wants those of a filter.
struct Wants {
    filter: Option<Filter>,
    stats: Stats,
    calls: u64,
}

impl Judge for Wants {
    fn wants(&mut self, node: &Node) -> bool {
        self.calls += 1;
        self.stats.push(node);
        self.filter.as_ref().is_none_or(|filter| filter.matches(node))
    }
}

fn calls(child: &Child) -> u64 {
    match child {
        Child::Call(node) => node.calls(),
        Child::Run(run) => run.first.calls() * run.count,
        Child::Frame { .. } | Child::Attr { .. } => 0,
    }
}

/// Every call is in the tree once, in the order of beginning within each call.
fn check_tree(text: &str, fold: usize, filter: Option<Filter>) {
    let is_whole = filter.is_none();
    let mut wants = Wants { filter, stats: Stats::default(), calls: 0 };
    let mut tree = Tree::new(Options { fold, ..Options::default() });
    let mut survey = Survey::default();
    let mut items = Vec::new();
    for event in EventReader::new("x", text.as_bytes()).flatten() {
        survey.take(&event, true);
        tree.take(0, &event, &mut wants);
        items.extend(std::iter::from_fn(|| tree.pull()));
    }
    tree.finish(&mut wants);
    items.extend(std::iter::from_fn(|| tree.pull()));
    assert_eq!((tree.held(), tree.open()), (0, 0));
    let told: u64 = items
        .iter()
        .map(|item| match item {
            Item::Child(child) => calls(child),
            _ => 0,
        })
        .sum();
    if is_whole {
        assert_eq!(told, wants.calls, "calls were lost or told twice");
    } else {
        assert!(told <= wants.calls);
    }
    let rows = wants.stats.rows(Order::Own);
    assert_eq!(rows.iter().map(|row| row.calls).sum::<u64>(), wants.calls);
    let _ = survey.figures();
}

fuzz_target!(|input: &[u8]| {
    let stream = match input {
        [RAW, stream @ ..] => stream.to_vec(),
        seed => match generated(&mut Unstructured::new(seed)) {
            Ok(stream) => stream,
            Err(_) => return,
        },
    };
    let whole = pieces(&stream, usize::MAX);
    for size in [1, 7] {
        assert_eq!(pieces(&stream, size), whole, "the stream depends on how it is cut");
    }
    let mut text = String::new();
    for piece in &whole {
        if let Piece::Line(line) = piece {
            assert!(!line.contains('\n'));
            text = text + line + "\n";
        }
    }
    check_tree(&text, 3, None);
    check_tree(&text, 0, None);
    check_tree(&text, 2, Filter::parse("raised || method==m && depth>0").ok());
    // The same bytes as a filter.
    if let Some(filter) =
        std::str::from_utf8(&stream).ok().and_then(|text| Filter::parse(text).ok())
    {
        check_tree(&text, 3, Some(filter));
    }
});
