//! Which call a call was within, where the tracer does not tell.
//!
//! Calls of one greenlet are a stack; what is seen is several of them mixed. What is inferred:
//!
//! - A call belongs to the stack in which something happened last.
//! - While the send function waits for the bus, its greenlet does nothing: a call of another object
//!   is another greenlet's.
//! - A call that returns before one that seems to be within it did not call that one: what is above
//!   it is another greenlet's.

/// The most stacks that are looked at; real hosts had eight calls open at once.
const MAX_STACKS: usize = 256;

/// An open call on a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The call's number.
    pub(super) number: u64,
    /// Whether it is the send function's, which calls none but its own object.
    pub(super) sends: bool,
    /// The object, as a hash.
    pub(super) object: u64,
}

/// The stacks of one session; the one in which something happened last is the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Stacks(Vec<Vec<Entry>>);

impl Stacks {
    /// Puts a call on its stack; gives the call that it is within.
    pub(super) fn begin(&mut self, entry: Entry) -> Option<u64> {
        let can_call = |top: &Entry| !top.sends || (top.object == entry.object && !entry.sends);
        let at = self.0.iter().rposition(|stack| stack.last().is_some_and(can_call));
        let mut stack = at.map(|at| self.0.remove(at)).unwrap_or_default();
        let parent = stack.last().map(|top| top.number);
        stack.push(entry);
        if self.0.len() >= MAX_STACKS {
            self.0.remove(0);
        }
        self.0.push(stack);
        parent
    }

    /// Takes a call from its stack. If others are above it, they were never within it: gives the
    /// lowest of them, which is within none.
    pub(super) fn end(&mut self, number: u64) -> Option<u64> {
        let is_in = |stack: &&Vec<Entry>| stack.iter().any(|entry| entry.number == number);
        let at = self.0.iter().rposition(|stack| is_in(&stack))?;
        let mut stack = self.0.remove(at);
        let place = stack.iter().rposition(|entry| entry.number == number)?;
        let above = stack.split_off(place + 1);
        stack.pop();
        let lowest = above.first().map(|entry| entry.number);
        for stack in [above, stack] {
            if !stack.is_empty() {
                self.0.push(stack);
            }
        }
        lowest
    }

    /// The call that something belongs to which happens now.
    pub(super) fn top(&self) -> Option<u64> {
        self.0.last().and_then(|stack| stack.last()).map(|entry| entry.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry { number, sends: false, object: 1 }
    }

    fn send(number: u64) -> Entry {
        Entry { number, sends: true, object: 2 }
    }

    #[test]
    fn last_in_first_out() {
        let mut stacks = Stacks::default();
        assert_eq!([1, 2, 3].map(|number| stacks.begin(entry(number))), [None, Some(1), Some(2)]);
        assert_eq!((stacks.end(3), stacks.begin(entry(4))), (None, Some(2)));
        assert_eq!(stacks.top(), Some(4));
        assert_eq!([4, 2, 1].map(|number| stacks.end(number)), [None; 3]);
        assert_eq!((stacks.top(), stacks.end(1)), (None, None));
    }

    #[test]
    fn what_outlives_a_call_was_not_within_it() {
        let mut stacks = Stacks::default();
        for number in 1..=3 {
            stacks.begin(entry(number));
        }
        assert_eq!(stacks.end(2), Some(3));
        // 1 goes on; 3 is another greenlet's.
        assert_eq!(stacks.begin(entry(4)), Some(1));
        assert_eq!([3, 4, 1].map(|number| stacks.end(number)), [None; 3]);
    }

    #[test]
    fn nothing_is_within_a_send_that_waits() {
        let mut stacks = Stacks::default();
        assert_eq!(stacks.begin(entry(1)), None);
        assert_eq!(stacks.begin(send(2)), Some(1));
        assert_eq!(stacks.begin(entry(3)), None, "another greenlet");
        assert_eq!(stacks.begin(Entry { sends: false, ..send(4) }), Some(3));
        assert_eq!(stacks.begin(send(5)), Some(4));
        // Only its own object's calls, and no second send.
        assert_eq!(stacks.begin(Entry { sends: false, ..send(6) }), Some(5));
        assert_eq!(stacks.end(2), None);
        assert_eq!(stacks.begin(entry(7)), Some(1));
    }
}
