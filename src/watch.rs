//! What is shown of a live bus, and when: polls folded (`--quiet-polls`), only what is around a
//! match (`--trigger`), which fields change (`--changes`), a program for each match (`--exec`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use k485_link::Clock;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Observed, Seen};
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::fold::Fold;
use k485_sniffer::trigger::{self, Out, Trigger};

use crate::changes::{self, Action, ChangesView};
use crate::decode::ViewArgs;
use crate::exec::{self, Exec, ExecArgs, Program};
use crate::filter;
use crate::input::Sink;
use crate::length::Length;
use crate::view::View;

/// What a frame takes in memory beside its bytes, about.
const FRAME_SIZE: usize = 512;

/// How a live bus is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Tell polls that come to the same as last time in one line, now and then
    #[arg(long, conflicts_with_all = ["changes", "frames"])]
    quiet_polls: bool,
    /// Show which fields change: on a terminal a full screen (? there tells the keys), else a line
    /// for each change
    #[arg(long, conflicts_with_all = ["frames", "verbose", "trigger", "exec"])]
    changes: bool,
    /// Show and write nothing but what is around a match of this condition
    #[arg(long, value_name = "EXPR")]
    trigger: Option<String>,
    /// How long before a match
    #[arg(long, value_name = "TIME", default_value = "30s", requires = "trigger")]
    pre: Length,
    /// How long after a match
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "trigger")]
    post: Length,
    /// End after so many exchanges (frames with --frames) were shown
    #[arg(long, value_name = "N", conflicts_with = "changes",
          value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    exec: ExecArgs,
}

/// What a watch is opened with.
pub(crate) struct Setting {
    /// The names of the ports.
    pub(crate) title: String,
    /// Whether there are several buses.
    pub(crate) several: bool,
    /// Whether it happens now; else time is what the records tell.
    pub(crate) live: bool,
    /// The time.
    pub(crate) clock: Clock,
    /// Set when it is to end.
    pub(crate) stop: Arc<AtomicBool>,
}

/// How it will be shown: everything that can be wrong was looked at.
pub(crate) struct Plan {
    view: View,
    color: bool,
    filter: Option<Filter>,
    dialect: &'static Dialect,
    changes: bool,
    fold: Option<Fold>,
    trigger: Option<(Filter, Trigger<Seen>)>,
    program: Option<Program>,
    count: Option<u64>,
}

impl WatchArgs {
    /// Looks at what the user asked for, before any port is opened.
    pub(crate) fn plan(
        &self,
        view: &ViewArgs,
        filter: Option<Filter>,
        dialect: &'static Dialect,
    ) -> anyhow::Result<Plan> {
        let options = trigger::Options {
            pre_ns: self.pre.0,
            post_ns: self.post.0,
            max_bytes: trigger::MAX_BYTES,
        };
        let trigger = match &self.trigger {
            Some(text) => {
                let condition = filter::read(text, view.frames, dialect).context("--trigger")?;
                Some((condition, Trigger::new(options)))
            }
            None => None,
        };
        Ok(Plan {
            view: view.open(None)?,
            color: view.color(),
            filter,
            dialect,
            changes: self.changes,
            fold: self.quiet_polls.then(Fold::default),
            trigger,
            program: self.exec.find()?,
            count: self.count,
        })
    }
}

impl Plan {
    /// The condition of `--trigger` with an empty ring as large as its own, for what is kept.
    pub(crate) fn trigger<T>(&self) -> Option<(Filter, Trigger<T>)> {
        let (condition, trigger) = self.trigger.as_ref()?;
        Some((condition.clone(), Trigger::new(trigger.options())))
    }

    /// Takes the screen or stdout, and starts the thread of `--exec`.
    pub(crate) fn open(self, setting: Setting) -> anyhow::Result<Watch> {
        let Setting { title, several, live, clock, stop } = setting;
        let say = Box::new(|what: &str| eprintln!("k485: {what}"));
        let start = |program| Exec::start(program, Arc::clone(&stop), say);
        let exec = self.program.map(start).transpose().context("cannot start --exec's thread")?;
        let (face, filter) = if self.changes {
            let (color, filter, dialect) = (self.color, self.filter, self.dialect);
            let options = changes::Options { title, several, color, filter, dialect };
            (Face::Changes(ChangesView::open(self.view, options, clock)?), None)
        } else {
            (Face::View(self.view), self.filter)
        };
        let (fold, trigger) = (self.fold, self.trigger);
        let now = Time(i64::MIN);
        Ok(Watch { face, live, clock, now, filter, fold, trigger, exec, left: self.count, stop })
    }
}

enum Face {
    View(View),
    Changes(ChangesView),
}

/// Shows a live bus.
pub(crate) struct Watch {
    face: Face,
    live: bool,
    clock: Clock,
    /// The time of what was seen last.
    now: Time,
    filter: Option<Filter>,
    fold: Option<Fold>,
    trigger: Option<(Filter, Trigger<Seen>)>,
    exec: Option<Exec>,
    /// How many more things are shown; `None` for all.
    left: Option<u64>,
    stop: Arc<AtomicBool>,
}

impl Sink for Watch {
    fn heading(&mut self, _name: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        let now = self.now(seen);
        let view = match &mut self.face {
            Face::Changes(changes) => return Ok(changes.feed(seen)?),
            Face::View(view) => view,
        };
        // What a trigger waits for may be something that is not shown itself.
        let is_wanted =
            view.shows(seen) && self.filter.as_ref().is_none_or(|filter| filter.matches(seen));
        let is_match = match &mut self.trigger {
            Some((condition, trigger)) => {
                if is_wanted {
                    trigger.push(now, size(seen), seen.clone());
                }
                let fires = condition.matches(seen);
                if fires {
                    trigger.fire(now);
                }
                fires
            }
            None => is_wanted,
        };
        if let Some(exec) = self.exec.as_mut().filter(|_| is_match) {
            exec.push(seen)?;
        }
        if self.trigger.is_some() {
            return self.let_out();
        }
        if is_wanted { self.show(seen) } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.face {
            Face::View(view) => Ok(view.flush()?),
            Face::Changes(_) => Ok(()),
        }
    }
}

impl Watch {
    /// What time alone brings: counts that are due, the end of what is around a match, keys. To be
    /// called after every read.
    pub(crate) fn tick(&mut self) -> anyhow::Result<Action> {
        if self.live {
            self.now = self.clock.now();
        }
        let now = self.now;
        if let Some((_, trigger)) = &mut self.trigger {
            trigger.tick(now);
            self.let_out()?;
        }
        match &mut self.face {
            Face::Changes(changes) => return changes.poll(Duration::ZERO),
            Face::View(view) => {
                if let Some(polls) = self.fold.as_mut().and_then(|fold| fold.tick(now)) {
                    view.polls(&polls)?;
                }
                view.flush()?;
            }
        }
        Ok(Action::Continue)
    }

    /// Tells what was not told yet, gives the screen back, and waits for programs: what they came
    /// to. The rest of the data is left out if it `can` not be `shown`.
    pub(crate) fn finish(mut self, can_show: bool) -> (io::Result<()>, Option<exec::Summary>) {
        let polls = self.fold.as_mut().and_then(Fold::finish);
        let result = match &mut self.face {
            Face::View(view) if can_show => {
                polls.map_or(Ok(()), |polls| view.polls(&polls)).and_then(|()| view.flush())
            }
            _ => Ok(()),
        };
        drop(self.face);
        (result, self.exec.map(Exec::finish))
    }

    /// Says something on stderr, or on the screen if that is taken.
    pub(crate) fn say(&mut self, what: &str) -> anyhow::Result<()> {
        match &mut self.face {
            Face::Changes(changes) => changes.say(what),
            Face::View(view) => {
                view.flush()?;
                eprintln!("k485: {what}");
            }
        }
        Ok(())
    }

    /// Tells how it stands with the file.
    pub(crate) fn status(&mut self, text: &str) {
        if let Face::Changes(changes) = &mut self.face {
            changes.status(text);
        }
    }

    /// The time now: of a bus that is heard now the clock's, else what the records tell.
    fn now(&mut self, seen: &Seen) -> Time {
        self.now = if self.live {
            self.clock.now()
        } else {
            seen.time().map_or(self.now, |time| time.max(self.now))
        };
        self.now
    }

    /// Shows one thing, or folds it.
    fn show(&mut self, seen: &Seen) -> anyhow::Result<()> {
        let Face::View(view) = &mut self.face else { return Ok(()) };
        if self.left == Some(0) {
            return Ok(());
        }
        if let Some(fold) = &mut self.fold {
            let folded = fold.push(seen, self.now);
            if let Some(polls) = folded.polls {
                view.polls(&polls)?;
            }
            if !folded.show {
                return Ok(());
            }
        }
        view.show(seen)?;
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.stop.store(true, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Shows what the trigger lets out.
    fn let_out(&mut self) -> anyhow::Result<()> {
        while let Some(out) = self.trigger.as_mut().and_then(|(_, trigger)| trigger.pull()) {
            let Face::View(view) = &mut self.face else { return Ok(()) };
            match out {
                Out::Begin(begin) => view.trigger(&begin)?,
                Out::Item(seen) => self.show(&seen)?,
                Out::End => {
                    if let Some(polls) = self.fold.as_mut().and_then(Fold::finish) {
                        view.polls(&polls)?;
                    }
                    view.gap()?;
                }
            }
        }
        Ok(())
    }
}

/// What something seen takes in memory, about.
fn size(seen: &Seen) -> usize {
    let frame = |frame: &Observed| FRAME_SIZE + 2 * frame.record.bytes.len();
    match seen {
        Seen::Frame(observed) | Seen::Lone(observed) => frame(observed),
        Seen::Noise(record) | Seen::Gap(record) => FRAME_SIZE + record.bytes.len(),
        Seen::Exchange(exchange) => {
            let frames = [&exchange.request, &exchange.response].into_iter().flatten();
            FRAME_SIZE + frames.map(|observed| frame(observed)).sum::<usize>()
        }
    }
}
