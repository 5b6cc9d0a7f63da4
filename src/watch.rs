//! What is shown of a live bus, and when: polls folded (`--quiet-polls`), only what is around a
//! match (`--trigger`), which fields change (`--changes`), a program for each match (`--exec`).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use k485_link::Clock;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Observed, Seen};
use k485_proto::filter::Filter;
use k485_sniffer::fold::Fold;
use k485_sniffer::trigger::{self, Out, Trigger};

use crate::changes::{self, Action, ChangesView};
use crate::decode::ViewArgs;
use crate::exec::{Exec, ExecArgs, Program};
use crate::filter;
use crate::input::Sink;
use crate::view::{Tally, View};
use crate::window::Length;

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
    /// Show nothing but what is around a match of this condition
    #[arg(long, value_name = "EXPR")]
    trigger: Option<String>,
    /// How long before a match
    #[arg(long, value_name = "TIME", default_value = "30s", requires = "trigger")]
    pre: Length,
    /// How long after a match
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "trigger")]
    post: Length,
    #[command(flatten)]
    exec: ExecArgs,
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
        })
    }
}

impl Plan {
    /// Takes the screen or stdout, and starts the thread of `--exec`. `title` names the ports.
    pub(crate) fn open(
        self,
        title: String,
        several: bool,
        clock: Clock,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Watch> {
        let say = Box::new(|what: &str| eprintln!("k485: {what}"));
        let start = |program| Exec::start(program, Arc::clone(stop), say);
        let exec = self.program.map(start).transpose().context("cannot start --exec's thread")?;
        let (face, filter) = if self.changes {
            let (color, filter, dialect) = (self.color, self.filter, self.dialect);
            let options = changes::Options { title, several, color, filter, dialect };
            (Face::Changes(ChangesView::open(self.view, options, clock)?), None)
        } else {
            (Face::View(self.view), self.filter)
        };
        let (fold, trigger) = (self.fold, self.trigger);
        Ok(Watch { face, clock, tally: Tally::default(), filter, fold, trigger, exec })
    }
}

enum Face {
    View(View),
    Changes(ChangesView),
}

/// Shows a live bus.
pub(crate) struct Watch {
    face: Face,
    clock: Clock,
    tally: Tally,
    filter: Option<Filter>,
    fold: Option<Fold>,
    trigger: Option<(Filter, Trigger<Seen>)>,
    exec: Option<Exec>,
}

impl Sink for Watch {
    fn heading(&mut self, _name: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        self.tally.count(seen);
        let view = match &mut self.face {
            Face::Changes(changes) => return Ok(changes.feed(seen)?),
            Face::View(view) => view,
        };
        if !view.shows(seen) {
            return Ok(());
        }
        let is_wanted = self.filter.as_ref().is_none_or(|filter| filter.matches(seen));
        let now = self.clock.now();
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
        if is_wanted { show(view, &mut self.fold, seen, self.clock) } else { Ok(()) }
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
        let now = self.clock.now();
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

    /// Tells what was not told yet, gives the screen back, waits for programs, and sums up. The
    /// rest of the data is left out if it `can` not be `shown`.
    pub(crate) fn finish(mut self, can_show: bool) -> anyhow::Result<()> {
        let polls = self.fold.as_mut().and_then(Fold::finish);
        let result = match &mut self.face {
            Face::View(view) if can_show => {
                polls.map_or(Ok(()), |polls| view.polls(&polls)).and_then(|()| view.flush())
            }
            _ => Ok(()),
        };
        drop(self.face);
        eprintln!("{}", self.tally);
        if let Some(exec) = self.exec {
            eprintln!("{}", exec.finish());
        }
        Ok(result?)
    }

    /// Shows what the trigger lets out.
    fn let_out(&mut self) -> anyhow::Result<()> {
        let (Face::View(view), Some((_, trigger))) = (&mut self.face, &mut self.trigger) else {
            return Ok(());
        };
        while let Some(out) = trigger.pull() {
            match out {
                Out::Begin(begin) => view.trigger(&begin)?,
                Out::Item(seen) => show(view, &mut self.fold, &seen, self.clock)?,
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

/// Shows one thing, or folds it.
fn show(view: &mut View, fold: &mut Option<Fold>, seen: &Seen, clock: Clock) -> anyhow::Result<()> {
    if let Some(fold) = fold {
        let folded = fold.push(seen, clock.now());
        if let Some(polls) = folded.polls {
            view.polls(&polls)?;
        }
        if !folded.show {
            return Ok(());
        }
    }
    Ok(view.show(seen)?)
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
