//! Events as they come, a line a call: a call in which no other is made with its result, any other
//! where it begins and where it ends. Likewise an exchange has the time of its request, or that of
//! its reply if other things were shown meanwhile, so that times go on from line to line.

use std::io::Write;

use k485_proto::line::{Role, Word};
use k485_proto::record::{Direction, Time};
use k485_trace::event::Kind;
use k485_trace::filter::Filter;
use k485_trace::tree::{Child, Node, Options, Step};
use k485_trace::{Event, Tree};

use super::exchanges::Exchanges;
use super::live::{Live, Place, Told};
use super::words::{self, Detail, clean, columns, word, write_line};

/// How much a tree of open calls may take, in bytes.
const MOST: usize = 16 << 20;
/// How deep calls are indented.
const DEEP: usize = 24;
/// The most lines that wait below a call: then it gets a line though it is not over.
const BELOW: usize = 64;

/// Shows events.
pub(super) struct Show {
    out: Box<dyn Write>,
    color: bool,
    detail: Detail,
    filter: Option<Filter>,
    tree: Tree,
    frames: Live,
    /// The call that began last, if nothing happened since but within it: it may end in the same
    /// line.
    pending: Option<Pending>,
    /// How many things were shown, or wait to be.
    count: u64,
}

/// A call that was not shown yet.
struct Pending {
    number: u64,
    before: String,
    words: Vec<Word>,
    /// What stands below it.
    below: Vec<(String, Vec<Word>)>,
}

impl Show {
    pub(super) fn new(
        out: Box<dyn Write>,
        color: bool,
        detail: Detail,
        filter: Option<Filter>,
    ) -> Show {
        let tree = Tree::new(Options { fold: 0, most: MOST });
        let frames = Live::new(detail);
        Show { out, color, detail, filter, tree, frames, pending: None, count: 0 }
    }

    /// Another capture begins: its ids are its own.
    pub(super) fn next_capture(&mut self) -> anyhow::Result<()> {
        self.tree = Tree::new(Options { fold: 0, most: MOST });
        self.finish()
    }

    /// Shows an event of a space of ids.
    pub(super) fn take(&mut self, space: usize, event: &Event<'_>) -> anyhow::Result<()> {
        let mut over: Vec<Node> = Vec::new();
        let filter = self.filter.take();
        let mut judge = |node: &Node| {
            if filter.as_ref().is_none_or(|filter| filter.matches(node)) {
                over.push(node.clone());
            }
            false
        };
        let step = self.tree.take(space, event, &mut judge);
        self.filter = filter;
        match step {
            Step::Begin { number, depth } => self.begin(event, number, depth)?,
            Step::End { number, .. } => {
                if let Some(node) = over.pop() {
                    self.end(Some(number), &node, event.time)?;
                }
            }
            Step::Orphan => {
                if let Some(node) = over.pop() {
                    self.end(None, &node, event.time)?;
                }
            }
            Step::Frame { parent, depth } => self.frame(parent, depth, event.time)?,
            Step::Attr { parent, depth } => self.attr(event, parent, depth)?,
            Step::Again => {}
            Step::Other => self.other(event)?,
        }
        // All of it was shown when it came.
        while self.tree.pull().is_some() {}
        Ok(())
    }

    /// Nothing follows: shows what waits for an answer.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.unanswered()?;
        self.flush()
    }

    fn unanswered(&mut self) -> anyhow::Result<()> {
        let told = self.frames.finish();
        self.told(told)
    }

    /// Shows what waits, so that nothing is late; to be called when nothing comes.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.settle()?;
        Ok(self.out.flush()?)
    }

    /// Hands what was shown to the output.
    pub(super) fn hand_over(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// A line that is no event.
    pub(super) fn say(&mut self, time: Option<Time>, text: &str) -> anyhow::Result<()> {
        self.settle()?;
        self.count += 1;
        let words = [word(Role::Warn, format!("-- {} --", clean(text)))];
        self.line(&columns(time, None), &words)
    }

    fn line(&mut self, before: &str, words: &[Word]) -> anyhow::Result<()> {
        Ok(write_line(&mut self.out, self.color, before, words)?)
    }

    /// A line of something within a call: below it, if that waits for its end.
    fn within(
        &mut self,
        number: Option<u64>,
        before: String,
        words: Vec<Word>,
    ) -> anyhow::Result<()> {
        self.count += 1;
        if let Some(pending) = &mut self.pending
            && number == Some(pending.number)
            && pending.below.len() < BELOW
        {
            pending.below.push((before, words));
            return Ok(());
        }
        self.settle()?;
        self.line(&before, &words)
    }

    /// The call that began last is not over: its beginning gets a line.
    fn settle(&mut self) -> anyhow::Result<()> {
        let Some(Pending { before, words, below, .. }) = self.pending.take() else { return Ok(()) };
        self.line(&before, &words)?;
        below.iter().try_for_each(|(before, words)| self.line(before, words))
    }

    /// Whether calls are shown only when they are over, if they are then what is wanted.
    fn waits_for_the_end(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::asks_for_the_end)
    }

    /// Whether an open call is shown.
    fn is_shown(&self, number: Option<u64>) -> bool {
        let Some(filter) = &self.filter else { return true };
        let node = number.and_then(|number| self.tree.node(number));
        !filter.asks_for_the_end() && node.is_some_and(|node| filter.matches(node))
    }

    fn begin(&mut self, event: &Event<'_>, number: u64, depth: usize) -> anyhow::Result<()> {
        self.settle()?;
        self.count += 1;
        let is_shown = self.is_shown(Some(number));
        if let Some(node) = self.tree.node(number).filter(|_| is_shown) {
            let words = words::called(&node.site, node.args.as_ref(), self.detail);
            let before = columns(event.time, None) + &indent(depth);
            self.pending = Some(Pending { number, before, words, below: Vec::new() });
        }
        Ok(())
    }

    fn end(&mut self, number: Option<u64>, node: &Node, time: Option<Time>) -> anyhow::Result<()> {
        let pending = match &self.pending {
            Some(pending) if Some(pending.number) == number => self.pending.take(),
            _ => {
                self.settle()?;
                None
            }
        };
        let was_begun = number.is_some() && pending.is_none() && !self.waits_for_the_end();
        let indent = indent(node.depth);
        if was_begun {
            self.made_frames(node, true, time)?;
            let mut words = vec![word(Role::Minor, format!("end {}", name(node)))];
            words.extend(words::came_to(&node.end, self.detail));
            self.count += 1;
            return self.line(&(columns(time, node.duration) + &indent), &words);
        }
        let words = words::call(node, self.detail);
        // One whose beginning was not told is shown where its end was.
        let told = if number.is_some() { node.begin } else { time };
        self.line(&(columns(told, node.duration) + &indent), &words)?;
        if self.waits_for_the_end() {
            return self.frames_of(node);
        }
        for (before, words) in pending.into_iter().flat_map(|pending| pending.below) {
            self.line(&before, &words)?;
        }
        self.made_frames(node, false, time)?;
        self.count += 1;
        Ok(())
    }

    /// The frames that an event tells.
    fn frame(
        &mut self,
        number: Option<u64>,
        depth: usize,
        time: Option<Time>,
    ) -> anyhow::Result<()> {
        if !self.is_shown(number) {
            return Ok(());
        }
        for record in self.tree.frames().to_vec() {
            let place = Place { number, depth, count: self.count };
            let told = self.frames.push(record, place, time);
            self.told(told)?;
        }
        Ok(())
    }

    /// The frames of a call that is over which no event told; `was_begun` says that other things were
    /// shown since it began.
    fn made_frames(
        &mut self,
        node: &Node,
        was_begun: bool,
        end: Option<Time>,
    ) -> anyhow::Result<()> {
        for child in &node.children {
            let Child::Frame { record, is_told: false, .. } = child else { continue };
            let is_request = record.dir == Some(Direction::Request);
            let before = u64::from(is_request && was_begun);
            let count = self.count.saturating_sub(before);
            let place = Place { number: None, depth: node.depth + 1, count };
            let told = self.frames.push(record.clone(), place, end);
            self.told(told)?;
        }
        Ok(())
    }

    fn told(&mut self, told: Vec<Told>) -> anyhow::Result<()> {
        for Told { place, lines } in told {
            for line in lines {
                let before = columns(line.time, line.latency) + &indent(place.depth);
                self.within(place.number, before, line.words)?;
            }
        }
        Ok(())
    }

    /// The frames of a call that is shown when it is over.
    fn frames_of(&mut self, node: &Node) -> anyhow::Result<()> {
        for leaf in Exchanges::among(&node.children, self.detail.dialect) {
            for line in leaf.lines(self.detail) {
                let before = columns(line.time, line.latency) + &indent(node.depth + 1);
                self.line(&before, &line.words)?;
            }
        }
        Ok(())
    }

    fn attr(&mut self, event: &Event<'_>, number: Option<u64>, depth: usize) -> anyhow::Result<()> {
        let Kind::AttrRead { object, path, attr, value, .. } = &event.kind else { return Ok(()) };
        if self.filter.is_some() {
            return Ok(());
        }
        // The path begins with the object, if the tracer tells one.
        let is_of_it = path
            .strip_prefix(&**object)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let parts = [if is_of_it { "" } else { object }, path, attr];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let value = words::value(value, self.detail);
        let words = vec![
            word(Role::Plain, clean(&parts.join("."))),
            word(Role::Minor, format!("= {value}")),
        ];
        self.within(number, columns(event.time, None) + &indent(depth), words)
    }

    fn other(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        // Nothing before it is answered behind it.
        if let Kind::Connected { .. }
        | Kind::Dropped { .. }
        | Kind::Lost { .. }
        | Kind::Gap { .. } = event.kind
        {
            self.unanswered()?;
        }
        let text = match &event.kind {
            Kind::Connected { message, .. } => format!("connected: {message}"),
            Kind::Dropped { count } => format!("the tracer dropped {count} events"),
            Kind::Lost { reason } => format!("the tracer lost an event: {reason}"),
            Kind::Mark { name } => format!("mark: {name}"),
            Kind::Gap { reason, .. } => format!("gap: {reason}"),
            Kind::Yield { .. } if self.detail.whole => "yield".to_owned(),
            Kind::Other(kind) if self.detail.whole => kind.to_string(),
            _ => return Ok(()),
        };
        self.say(event.time, &text)
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth.min(DEEP))
}

fn name(node: &Node) -> String {
    clean(&format!("{}.{}", node.site.object, node.site.method)).into_owned()
}
