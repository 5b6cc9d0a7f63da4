//! Only what is around a match: some time before it and some time after it.
//!
//! A [`Trigger`] holds the items of the last while in a ring. When it [fires](Trigger::fire), the
//! ring comes out, and then everything until some time has passed since the last match; then it
//! waits for the next. So an item comes out if and only if a match was at most [`Options::post_ns`]
//! before it or at most [`Options::pre_ns`] after it, but for what the ring had no room for, and
//! that is told.
//!
//! What an item is, is the caller's business: what is shown, or what is written to a file.

use std::collections::VecDeque;

use k485_proto::record::Time;

/// How much the ring holds at most, in bytes, if nothing else is said.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How much around a match is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long before a match, in nanoseconds; not negative.
    pub pre_ns: i64,
    /// How long after it, in nanoseconds; not negative.
    pub post_ns: i64,
    /// How much the ring holds, in bytes as the items' sizes are told.
    pub max_bytes: usize,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out<T> {
    /// A match, with nothing coming out before it.
    Begin(Begin),
    /// An item.
    Item(T),
    /// Nothing more comes out until the next match.
    End,
}

/// How a stretch of items begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The match.
    pub at: Time,
    /// How many items of before it (and the match itself, if it was pushed first) come now.
    pub held: usize,
    /// The time of the last item that is missing from what was to come before the match, as the
    /// ring had no room for it; `None` where it is all there.
    pub cut: Option<Time>,
}

/// A ring of items, let out by matches.
///
/// Times that go back count as the latest one before them.
#[derive(Debug)]
pub struct Trigger<T> {
    options: Options,
    ring: VecDeque<(Time, usize, T)>,
    /// The sizes of what is in the ring.
    bytes: usize,
    /// The last item that the ring had no room for.
    cut: Option<Time>,
    now: Option<Time>,
    /// Until when everything comes out.
    until: Option<Time>,
    out: VecDeque<Out<T>>,
}

impl<T> Trigger<T> {
    /// Nothing held, waiting for a match.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Trigger {
            options,
            ring: VecDeque::new(),
            bytes: 0,
            cut: None,
            now: None,
            until: None,
            out: VecDeque::new(),
        }
    }

    /// How much around a match is wanted.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// Takes the next item with its time and its size in bytes.
    pub fn push(&mut self, time: Time, size: usize, item: T) {
        let time = self.advance(time);
        if self.until.is_some() {
            self.out.push_back(Out::Item(item));
            return;
        }
        self.ring.push_back((time, size, item));
        self.bytes = self.bytes.saturating_add(size);
        while self.bytes > self.options.max_bytes
            && let Some((time, size, _)) = self.ring.pop_front()
        {
            self.bytes -= size;
            self.cut = Some(time);
        }
    }

    /// Tells of a match at this time. An item that is itself the match is pushed before.
    pub fn fire(&mut self, time: Time) {
        let at = self.advance(time);
        if self.until.is_none() {
            let begin = Begin { at, held: self.ring.len(), cut: self.cut.take() };
            self.out.push_back(Out::Begin(begin));
            self.out.extend(self.ring.drain(..).map(|(_, _, item)| Out::Item(item)));
            self.bytes = 0;
        }
        self.until = Some(Time(at.0.saturating_add(self.options.post_ns)));
    }

    /// Tells the time, where nothing comes that has one.
    pub fn tick(&mut self, now: Time) {
        self.advance(now);
    }

    /// The next thing to let out; `None` until more is pushed.
    pub fn pull(&mut self) -> Option<Out<T>> {
        self.out.pop_front()
    }

    /// Whether everything comes out now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.until.is_some()
    }

    /// The time now, after what is over by it has ended.
    fn advance(&mut self, time: Time) -> Time {
        let now = self.now.map_or(time, |now| now.max(time));
        self.now = Some(now);
        if self.until.is_some_and(|until| now > until) {
            self.until = None;
            self.out.push_back(Out::End);
        }
        let is_old = |time: Time| now.since(time) > self.options.pre_ns;
        while let Some(&(time, size, _)) = self.ring.front()
            && is_old(time)
        {
            self.ring.pop_front();
            self.bytes -= size;
        }
        self.cut = self.cut.filter(|cut| !is_old(*cut));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: Options = Options { pre_ns: 30, post_ns: 10, max_bytes: MAX_BYTES };

    fn all<T>(trigger: &mut Trigger<T>) -> Vec<Out<T>> {
        std::iter::from_fn(|| trigger.pull()).collect()
    }

    #[test]
    fn before_and_after_a_match() {
        let mut trigger = Trigger::new(OPTIONS);
        for time in [0, 10, 20, 40] {
            trigger.push(Time(time), 1, time);
        }
        assert_eq!(all(&mut trigger), []);
        trigger.fire(Time(40));
        let begin = Begin { at: Time(40), held: 3, cut: None };
        let held = [10, 20, 40].map(Out::Item);
        assert_eq!(all(&mut trigger), [&[Out::Begin(begin)][..], &held].concat());
        // A match within the time after goes on; the last moment still belongs to it.
        trigger.push(Time(45), 1, 45);
        trigger.fire(Time(45));
        trigger.push(Time(55), 1, 55);
        assert_eq!(all(&mut trigger), [45, 55].map(Out::Item));
        assert!(trigger.is_open());
        // It ends by the clock alone, once.
        trigger.tick(Time(56));
        trigger.tick(Time(57));
        assert_eq!(all(&mut trigger), [Out::End]);
        // What came out does not come again with the next match.
        trigger.push(Time(60), 1, 60);
        trigger.fire(Time(60));
        let begin = Begin { at: Time(60), held: 1, cut: None };
        assert_eq!(all(&mut trigger), [Out::Begin(begin), Out::Item(60)]);
    }

    #[test]
    fn what_the_ring_had_no_room_for_is_told() {
        let mut trigger = Trigger::new(Options { max_bytes: 100, ..OPTIONS });
        for time in 0..6 {
            trigger.push(Time(time), 30, time);
        }
        trigger.fire(Time(6));
        let begin = Begin { at: Time(6), held: 3, cut: Some(Time(2)) };
        assert_eq!(all(&mut trigger)[..2], [Out::Begin(begin), Out::Item(3)]);
        // What is cut and too old anyway is no loss, and a cut is told once.
        trigger.push(Time(20), 101, 20);
        trigger.tick(Time(51));
        trigger.fire(Time(51));
        let begin = Begin { at: Time(51), held: 0, cut: None };
        assert_eq!(all(&mut trigger), [Out::End, Out::Begin(begin)]);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push { size: usize },
        Fire,
        Tick,
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
        let step = prop_oneof![
            6 => (1usize..20).prop_map(|size| Step::Push { size }),
            1 => Just(Step::Fire),
            1 => Just(Step::Tick),
        ];
        prop::collection::vec((-3i64..12, step), 0..80)
    }

    proptest! {
        /// An item comes out exactly if a match is near enough, in order, once; and with too
        /// little room only what is told as cut is missing.
        #[test]
        fn as_its_definition_says(
            steps in steps(),
            pre_ns in 0i64..60,
            post_ns in 0i64..40,
            room in prop_oneof![Just(usize::MAX), 1usize..60],
        ) {
            let mut trigger = Trigger::new(Options { pre_ns, post_ns, max_bytes: room });
            let (mut told, mut latest) = (0, i64::MIN);
            let (mut items, mut matches) = (Vec::new(), Vec::new());
            let (mut out, mut cuts) = (Vec::new(), Vec::new());
            let mut open = false;
            for (at, (distance, step)) in steps.into_iter().enumerate() {
                told += distance;
                latest = latest.max(told);
                match step {
                    Step::Push { size } => {
                        items.push((at, latest));
                        trigger.push(Time(told), size, at);
                    }
                    Step::Fire => {
                        matches.push((at, latest));
                        trigger.fire(Time(told));
                    }
                    Step::Tick => trigger.tick(Time(told)),
                }
                let held: usize = trigger.ring.iter().map(|(_, size, _)| size).sum();
                prop_assert_eq!(held, trigger.bytes);
                prop_assert!(held <= room);
                for thing in all(&mut trigger) {
                    match thing {
                        Out::Begin(begin) => {
                            prop_assert!(!open);
                            open = true;
                            cuts.extend(begin.cut.map(|cut| (begin.at.0, cut.0)));
                        }
                        Out::Item(item) => {
                            prop_assert!(open);
                            out.push(item);
                        }
                        Out::End => {
                            prop_assert!(open);
                            open = false;
                        }
                    }
                }
                prop_assert_eq!(open, trigger.is_open());
            }
            let near = |(at, time): (usize, i64)| {
                matches.iter().any(|&(fired, m)| {
                    if fired > at { m - time <= pre_ns } else { time - m <= post_ns }
                })
            };
            let wanted: Vec<usize> =
                items.iter().copied().filter(|&item| near(item)).map(|(at, _)| at).collect();
            if room == usize::MAX {
                prop_assert_eq!(&out, &wanted);
                prop_assert!(cuts.is_empty());
            } else {
                // Nothing that is not wanted, nothing twice; what is missing is in a cut.
                let mut rest = out.iter().peekable();
                for &(at, time) in &items {
                    if rest.next_if(|next| **next == at).is_some() {
                        prop_assert!(wanted.contains(&at));
                    } else if wanted.contains(&at) {
                        let is_told = cuts.iter().any(|&(m, cut)| time <= cut && m - time <= pre_ns);
                        prop_assert!(is_told, "{at} is missing");
                    }
                }
                prop_assert!(rest.next().is_none());
            }
        }
    }
}
