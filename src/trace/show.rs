//! Events as they come, a line a call: a call in which nothing else happens with its result, any
//! other where it begins and where it ends.

use std::io::Write;

use k485_proto::line::{Role, Word};
use k485_proto::record::Time;
use k485_trace::event::Kind;
use k485_trace::filter::Filter;
use k485_trace::tree::{Child, Item, Node, Options, Step};
use k485_trace::{Event, Tree};

use super::exchanges::Exchanges;
use super::words::{self, Detail, clean, columns, word, write_line};

/// How much a tree of open calls may take, in bytes.
const MOST: usize = 16 << 20;
/// How deep calls are indented.
const DEEP: usize = 24;

/// Shows events.
pub(super) struct Show {
    out: Box<dyn Write>,
    color: bool,
    detail: Detail,
    filter: Option<Filter>,
    tree: Tree,
    /// Frames within no call.
    exchanges: Exchanges,
    /// The call that began last, if nothing happened since: it may end in the same line.
    pending: Option<(u64, String, Vec<Word>)>,
}

impl Show {
    pub(super) fn new(
        out: Box<dyn Write>,
        color: bool,
        detail: Detail,
        filter: Option<Filter>,
    ) -> Show {
        let tree = Tree::new(Options { fold: 0, most: MOST });
        let exchanges = Exchanges::new(detail.dialect);
        Show { out, color, detail, filter, tree, exchanges, pending: None }
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
            // Told with the call they belong to when that is over, or below.
            Step::Frame { .. } | Step::Again => {}
            Step::Other => self.other(event)?,
        }
        while let Some(item) = self.tree.pull() {
            if let Item::Child(Child::Frame { record, .. }) = item
                && self.filter.is_none()
            {
                self.exchanges.push(record);
                self.lone_frames()?;
            }
        }
        Ok(())
    }

    /// Nothing follows: shows what waits for an answer.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.exchanges.finish();
        self.lone_frames()?;
        self.exchanges = Exchanges::new(self.detail.dialect);
        self.flush()
    }

    /// Frames within no call, as soon as they are answered or will not be.
    fn lone_frames(&mut self) -> anyhow::Result<()> {
        while self.exchanges.is_settled() {
            let Some(leaf) = self.exchanges.pop() else { break };
            for line in leaf.lines(self.detail) {
                self.settle()?;
                self.line(&columns(line.time, line.latency), &line.words)?;
            }
        }
        Ok(())
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
        let words = [word(Role::Warn, format!("-- {} --", clean(text)))];
        self.line(&columns(time, None), &words)
    }

    fn line(&mut self, before: &str, words: &[Word]) -> anyhow::Result<()> {
        Ok(write_line(&mut self.out, self.color, before, words)?)
    }

    /// The call that began last is not over: its beginning gets a line.
    fn settle(&mut self) -> anyhow::Result<()> {
        let Some((_, before, words)) = self.pending.take() else { return Ok(()) };
        self.line(&before, &words)
    }

    fn begin(&mut self, event: &Event<'_>, number: u64, depth: usize) -> anyhow::Result<()> {
        self.settle()?;
        let Some(node) = self.tree.node(number) else { return Ok(()) };
        let is_shown = match &self.filter {
            None => true,
            // It is shown when it is over, if it is then what is wanted.
            Some(filter) if filter.asks_for_the_end() => false,
            Some(filter) => filter.matches(node),
        };
        if is_shown {
            let words = words::called(&node.site, node.args.as_ref(), self.detail);
            let before = columns(event.time, None) + &indent(depth);
            self.pending = Some((number, before, words));
        }
        Ok(())
    }

    fn end(&mut self, number: Option<u64>, node: &Node, time: Option<Time>) -> anyhow::Result<()> {
        let is_pending = self.pending.as_ref().map(|pending| pending.0) == number;
        let was_begun = number.is_some()
            && !is_pending
            && !self.filter.as_ref().is_some_and(Filter::asks_for_the_end);
        if is_pending && number.is_some() {
            self.pending = None;
        } else {
            self.settle()?;
        }
        let indent = indent(node.depth);
        if was_begun {
            self.frames_of(node)?;
            let mut words = vec![word(Role::Minor, format!("end {}", name(node)))];
            words.extend(words::came_to(&node.end, self.detail));
            return self.line(&(columns(time, node.duration) + &indent), &words);
        }
        let words = words::call(node, self.detail);
        self.line(&(columns(node.begin, node.duration) + &indent), &words)?;
        self.frames_of(node)
    }

    /// The frames of a call that is over.
    fn frames_of(&mut self, node: &Node) -> anyhow::Result<()> {
        for leaf in Exchanges::among(&node.children, self.detail.dialect) {
            for line in leaf.lines(self.detail) {
                self.line(&(columns(None, None) + &indent(node.depth + 1)), &line.words)?;
            }
        }
        Ok(())
    }

    fn other(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        // Nothing before it is answered behind it.
        if let Kind::Connected { .. }
        | Kind::Dropped { .. }
        | Kind::Lost { .. }
        | Kind::Gap { .. } = event.kind
        {
            self.exchanges.finish();
            self.lone_frames()?;
        }
        let text = match &event.kind {
            Kind::Connected { message, .. } => format!("connected: {message}"),
            Kind::Dropped { count } => format!("the tracer dropped {count} events"),
            Kind::Lost { reason } => format!("the tracer lost an event: {reason}"),
            Kind::Mark { name } => format!("mark: {name}"),
            Kind::Gap { reason, .. } => format!("gap: {reason}"),
            Kind::AttrRead { object, path, attr, value, .. } => {
                if self.filter.is_some() {
                    return Ok(());
                }
                self.settle()?;
                let dot = if path.is_empty() { "" } else { "." };
                let name = format!("{object}.{path}{dot}{attr}");
                let value = words::value(value, self.detail);
                let words =
                    [word(Role::Plain, clean(&name)), word(Role::Minor, format!("= {value}"))];
                return self.line(&columns(event.time, None), &words);
            }
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
