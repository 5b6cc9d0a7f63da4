//! The lines of one row: figures in columns, then words as `decode` shows them, wrapped.

use k485_proto::exchange::Outcome;
use k485_proto::line::Role;
use k485_proto::record::Time;
use k485_sniffer::changes::{Cell, Row, What};
use k485_sniffer::fields::Shown;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// From this width on there is room for the age of the last change.
const WIDE: usize = 100;
/// Below this width the count is the only figure.
const NARROW: usize = 60;
/// How many lines a row has at most: enough for the bytes of the longest frame on 80 columns.
const LINES: usize = 12;
/// How long something that changed is still told from what did not, in nanoseconds.
const RECENT: i64 = 10 * Time::SECOND;

/// How everything looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) bar: Style,
    pub(super) minor: Style,
    pub(super) strong: Style,
    pub(super) warn: Style,
    bad: Style,
    good: Style,
    function: Style,
    hot: Style,
    recent: Style,
}

impl Look {
    /// In colours, or without any.
    pub(super) fn new(color: bool) -> Look {
        let plain = Style::new();
        let fg = |color_: Color| if color { plain.fg(color_) } else { plain };
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Look {
            bar: reversed,
            minor: if color { fg(Color::DarkGray) } else { plain.add_modifier(Modifier::DIM) },
            strong: bold,
            warn: fg(Color::Yellow),
            bad: bold.patch(fg(Color::Red)),
            good: fg(Color::Green),
            function: fg(Color::Cyan),
            hot: if color {
                bold.fg(Color::Black).bg(Color::Yellow)
            } else {
                reversed.add_modifier(Modifier::BOLD)
            },
            recent: if color {
                fg(Color::Yellow)
            } else {
                plain.add_modifier(Modifier::UNDERLINED)
            },
        }
    }
}

/// A word, or a part of one.
struct Piece {
    text: String,
    style: Style,
    /// Whether it stands right behind the one before.
    is_glued: bool,
}

/// The columns' names.
pub(super) fn heading(width: u16) -> Line<'static> {
    let names = match usize::from(width) {
        WIDE.. => "   COUNT   PERIOD  LATENCY  CHANGED  ",
        NARROW.. => "   COUNT   PERIOD  LATENCY  ",
        _ => "   COUNT  ",
    };
    Line::from(format!("{names}DEVICE FUNCTION -> what came back"))
}

/// A row's lines, at least one.
pub(super) fn lines(
    row: &Row,
    now: Time,
    width: usize,
    several: bool,
    look: &Look,
) -> Vec<Line<'static>> {
    let figures = figures(row, now, width);
    let indent = figures.len();
    let quiet = row.is_quiet(now);
    let mut spans = vec![Span::styled(figures, if quiet { look.minor } else { Style::new() })];
    let mut column = indent;
    let mut lines = Vec::new();
    let pieces = pieces(row, now, several, look);
    for piece in pieces {
        // What does not fit into a line of its own is cut.
        let room = width.saturating_sub(indent + 2).max(8);
        let mut text = printable(&piece.text);
        if text.chars().count() > room {
            text = text.chars().take(room - 1).chain(['…']).collect();
        }
        let size = text.chars().count();
        let space = usize::from(!piece.is_glued && column > indent);
        // Dots have room in the last line.
        let is_last = lines.len() + 1 == LINES;
        if column + space + size + usize::from(is_last) > width && column > indent + 2 {
            if is_last {
                spans.push(Span::styled("…", look.minor));
                break;
            }
            lines.push(Line::from(std::mem::take(&mut spans)));
            spans.push(Span::raw(" ".repeat(indent + 2)));
            column = indent + 2;
        } else if space > 0 {
            spans.push(Span::raw(" "));
            column += 1;
        }
        column += size;
        // A highlight is worth seeing in a quiet row, too.
        let style = if quiet && piece.style != look.hot { look.minor } else { piece.style };
        spans.push(Span::styled(text, style));
    }
    lines.push(Line::from(spans));
    lines
}

/// The figures, in columns.
fn figures(row: &Row, now: Time, width: usize) -> String {
    let count = format!("{:>8}", row.count);
    if width < NARROW {
        return count + "  ";
    }
    let period = row.period_ns.map(span).unwrap_or_default();
    let latency = row.latency_ns.map(span).unwrap_or_default();
    let mut text = format!("{count} {period:>8} {latency:>8}  ");
    if width >= WIDE {
        let changed = row.changed().map(|changed| now.since(changed).max(0));
        text = format!("{text}{:>7}  ", changed.map(age).unwrap_or_default());
    }
    text
}

/// What was asked and what came back.
fn pieces(row: &Row, now: Time, several: bool, look: &Look) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |text: String, style: Style, is_glued: bool| {
        pieces.push(Piece { text, style, is_glued });
    };
    if several {
        add(row.key.bus.to_string(), look.minor, false);
    }
    let new = row.is_new(now);
    add(format!("{:<6}", row.device), if new { look.hot } else { look.strong }, false);
    add(row.function_name(), if new { look.hot } else { look.function }, false);
    for word in &row.arguments {
        add(word.text.clone(), role(word.role, look), false);
    }
    add(if row.key.asked.is_some() { "->" } else { "<-" }.to_owned(), look.minor, false);
    if let Some(attempts) = row.attempts.filter(|attempts| *attempts > 1) {
        add(format!("[sent {attempts} times]"), look.warn, false);
    }
    let mut before: Option<&Cell> = None;
    for cell in &row.cells {
        let style = style(cell, now, look);
        match cell.what {
            What::Outcome => {
                // That it was answered is seen by the answer.
                if !cell.is_good || style == look.hot {
                    add(outcome(&cell.value), style, false);
                }
            }
            What::Status => add(cell.value.to_string(), style, false),
            What::Field => {
                let unit = if cell.unit.is_empty() { "" } else { " " };
                add(format!("{}={}{unit}{}", cell.name, cell.value, cell.unit), style, false);
            }
            What::Byte(_) => {
                let is_next = before.is_some_and(|before| {
                    matches!(before.what, What::Byte(_)) && before.name == cell.name
                });
                if !is_next {
                    add(format!("{}=", cell.name), Style::new(), false);
                }
                add(cell.value.to_string(), style, true);
            }
        }
        before = Some(cell);
    }
    pieces
}

fn style(cell: &Cell, now: Time, look: &Look) -> Style {
    let is_recent = cell.changed.is_some_and(|changed| now.since(changed) < RECENT);
    match cell.what {
        _ if cell.is_hot(now) => look.hot,
        _ if cell.notched || !cell.is_there => look.minor,
        What::Status if cell.is_good => look.good,
        What::Status => look.bad,
        What::Outcome if !cell.is_good => look.warn,
        _ if is_recent => look.recent,
        _ => Style::new(),
    }
}

/// An outcome in the words of the other views.
fn outcome(value: &Shown) -> String {
    let name = value.to_string();
    let is = |outcome: Outcome| name == outcome.name();
    match () {
        () if is(Outcome::Timeout) => "no reply".to_owned(),
        () if is(Outcome::Unsolicited) => "[late or unsolicited]".to_owned(),
        () if is(Outcome::RequestNotSeen) => "[request not seen]".to_owned(),
        () if is(Outcome::NoReplyExpected) => "[no reply expected]".to_owned(),
        () => name,
    }
}

fn role(role: Role, look: &Look) -> Style {
    match role {
        Role::Plain => Style::new(),
        Role::Minor => look.minor,
        Role::Device => look.strong,
        Role::Function => look.function,
        Role::Good => look.good,
        Role::Bad => look.bad,
        Role::Warn => look.warn,
    }
}

/// Names can come from anywhere; a width of one column is assumed below.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect()
}

/// `0.4 ms`, `52 ms`, `1.00 s`, `17 min`.
fn span(nanos: i64) -> String {
    let micros = nanos.max(0) / 1000;
    match micros {
        0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1000),
        1_000_000..100_000_000 => {
            format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000)
        }
        _ => age(nanos),
    }
}

/// `0.4 s`, `12 s`, `17 min`, `5 h`, `3 d`.
fn age(nanos: i64) -> String {
    let tenths = nanos.max(0) / (Time::SECOND / 10);
    match tenths / 10 {
        0..10 => format!("{}.{} s", tenths / 10, tenths % 10),
        seconds @ 10..100 => format!("{seconds} s"),
        seconds @ 100..6000 => format!("{} min", seconds / 60),
        seconds @ 6000..360_000 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
