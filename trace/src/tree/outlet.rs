//! Where complete things go: into the call they are within, or out, those that began first first.

use super::{Child, Item, MAX_WAITING, Step, Tree, node};

impl Tree {
    pub(super) fn tell(&mut self, item: Item) -> Step {
        self.waiting.insert(self.order, Some(item));
        self.settle(MAX_WAITING);
        Step::Other
    }

    /// Puts something into the call that it is within, or beside what is within none.
    pub(super) fn put(&mut self, parent: Option<u64>, child: Child) {
        let size = child.size();
        if self.held + size > self.options.most {
            self.settle(MAX_WAITING);
        }
        let is_over = self.held + size > self.options.most;
        let Some(open) = parent.and_then(|parent| self.open.get_mut(&parent)) else {
            self.held += size;
            self.waiting.insert(child.order(), Some(Item::Child(child)));
            self.settle(MAX_WAITING);
            return;
        };
        if is_over {
            let calls = if let Child::Call(node) = &child { node.calls() } else { 0 };
            open.node.left_out += calls;
            self.left_out += calls;
            return;
        }
        let (before, after) = node::push(&mut open.node.children, child, self.options.fold);
        self.held = (self.held + after).saturating_sub(before);
    }

    /// Lets out what waits for nothing any more; where too much waits, what waits longest.
    pub(super) fn settle(&mut self, most: usize) {
        while let Some(first) = self.waiting.first_entry() {
            if first.get().is_some() {
                if let Some(item) = first.remove() {
                    self.let_out(item);
                }
                continue;
            }
            if self.waiting.len() <= most && self.held <= self.options.most {
                return;
            }
            let done = self.waiting.iter().find(|(_, item)| item.is_some());
            let Some(order) = done.map(|(order, _)| *order) else { return };
            if let Some(item) = self.waiting.remove(&order).flatten() {
                self.let_out(item);
            }
        }
    }

    /// Lets out one thing, folded with those before it.
    pub(super) fn let_out(&mut self, item: Item) {
        let Item::Child(child) = item else {
            self.let_go();
            self.ready.push_back(item);
            return;
        };
        self.held = self.held.saturating_sub(child.size());
        node::push(&mut self.tail, child, self.options.fold);
        let keep = match self.tail.last() {
            _ if self.options.fold < 2 => 0,
            Some(Child::Run(_)) => 1,
            _ => self.options.fold - 1,
        };
        let over = self.tail.len().saturating_sub(keep);
        self.ready.extend(self.tail.drain(..over).map(Item::Child));
    }

    /// Lets out what may have been folded with the next.
    pub(super) fn let_go(&mut self) {
        self.ready.extend(self.tail.drain(..).map(Item::Child));
    }
}
