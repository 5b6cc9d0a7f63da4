//! `--changes`: which fields change, on the whole screen of a terminal; elsewhere a line for each
//! change.

mod rows;
mod screen;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use k485_link::Clock;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_sniffer::changes::Changes;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use crate::view::View;
use screen::Screen;

/// The shortest time between two pictures.
const FRAME: Duration = Duration::from_millis(50);
/// The longest: ages and highlights go on where nothing is heard.
const STILL: Duration = Duration::from_millis(250);
/// How many messages are kept for when the screen is given back.
const NOTES: usize = 100;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// To go on.
    Continue,
    /// To end.
    Quit,
}

/// What a view of changes is opened with.
pub(crate) struct Options {
    /// The names of the ports, for the status bar.
    pub(crate) title: String,
    /// Whether there are several buses, so that lines name theirs.
    pub(crate) several: bool,
    /// Whether to colour.
    pub(crate) color: bool,
    /// What is shown; on the screen it can be changed.
    pub(crate) filter: Option<Filter>,
    /// Whose names the filter knows.
    pub(crate) dialect: &'static Dialect,
}

/// An open view of changes. Dropping it gives the screen back.
pub(crate) struct ChangesView {
    clock: Clock,
    face: Face,
}

enum Face {
    Screen(Box<Full>),
    Lines { view: View, changes: Box<Changes>, several: bool },
}

/// The whole screen.
struct Full {
    terminal: DefaultTerminal,
    screen: Screen,
    events: Receiver<io::Result<Event>>,
    /// When it was drawn last, and whether something happened since.
    drawn: Option<Instant>,
    dirty: bool,
    /// Whether the user has quit.
    is_over: bool,
    notes: VecDeque<String>,
}

impl ChangesView {
    /// The whole screen if `view` is text on a terminal, else lines to `view`.
    pub(crate) fn open(view: View, options: Options, clock: Clock) -> anyhow::Result<ChangesView> {
        let mut changes = Box::new(Changes::new());
        if !view.is_terminal() || view.is_json() {
            changes.filter = options.filter;
            let face = Face::Lines { view, changes, several: options.several };
            return Ok(ChangesView { clock, face });
        }
        // From here on a panic gives the screen back before it is told.
        let terminal = ratatui::try_init().context("cannot take the screen for --changes")?;
        let face = Face::Screen(Box::new(Full {
            terminal,
            screen: Screen::new(*changes, options),
            events: events(),
            drawn: None,
            dirty: true,
            is_over: false,
            notes: VecDeque::new(),
        }));
        Ok(ChangesView { clock, face })
    }

    /// Takes the next thing seen.
    pub(crate) fn feed(&mut self, seen: &Seen) -> io::Result<()> {
        let now = self.clock.now();
        match &mut self.face {
            Face::Screen(full) => {
                full.dirty = true;
                full.screen.feed(seen, now);
                Ok(())
            }
            Face::Lines { view, changes, several } => {
                let is_wanted = changes.filter.as_ref().is_none_or(|filter| filter.matches(seen));
                match changes.push(seen, now).filter(|_| is_wanted) {
                    Some(change) => view.change(&change, *several),
                    None => Ok(()),
                }
            }
        }
    }

    /// Tells what else belongs into the status bar: losses, line errors, a file's size.
    pub(crate) fn status(&mut self, text: &str) {
        if let Face::Screen(full) = &mut self.face {
            full.dirty |= full.screen.status != text;
            text.clone_into(&mut full.screen.status);
        }
    }

    /// Says something: on the screen for a while and, when the screen is given back, on stderr;
    /// without a screen on stderr at once.
    pub(crate) fn say(&mut self, what: &str) {
        match &mut self.face {
            Face::Screen(full) => {
                full.dirty = true;
                full.screen.say(what, self.clock.now());
                if full.notes.len() == NOTES {
                    full.notes.pop_front();
                }
                full.notes.push_back(what.to_owned());
            }
            Face::Lines { .. } => eprintln!("k485: {what}"),
        }
    }

    /// Does what keys ask for and draws, as often as is good; takes `wait` for it at least, unless
    /// the user quits. Lines are handed to the output.
    pub(crate) fn poll(&mut self, wait: Duration) -> anyhow::Result<Action> {
        match &mut self.face {
            Face::Screen(full) => full.poll(self.clock, wait),
            Face::Lines { view, .. } => {
                view.flush()?;
                thread::sleep(wait);
                Ok(Action::Continue)
            }
        }
    }
}

impl Full {
    fn poll(&mut self, clock: Clock, wait: Duration) -> anyhow::Result<Action> {
        let start = Instant::now();
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.event(event, clock)?;
            }
            if self.is_over {
                return Ok(Action::Quit);
            }
            let pause = if self.dirty { FRAME } else { STILL };
            let next = self.drawn.map_or(start, |drawn| drawn + pause);
            if Instant::now() >= next {
                let Full { terminal, screen, .. } = self;
                terminal.draw(|frame| screen.draw(frame, clock.now()))?;
                self.drawn = Some(Instant::now());
                self.dirty = false;
                continue;
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Action::Continue);
            }
            let left = left.min(next.saturating_duration_since(Instant::now()));
            match self.events.recv_timeout(left) {
                Ok(event) => self.event(event, clock)?,
                Err(RecvTimeoutError::Timeout) => {}
                // Its error was told.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left),
            }
        }
    }

    fn event(&mut self, event: io::Result<Event>, clock: Clock) -> anyhow::Result<()> {
        let event = event.context("cannot read keys for --changes")?;
        self.dirty = true;
        self.is_over |= self.screen.event(&event, clock.now()) == Action::Quit;
        Ok(())
    }
}

/// Keys, and new sizes of the terminal, as they come. They are read on a thread of their own, which
/// is never waited for: reading a terminal that was hung up may never return.
fn events() -> Receiver<io::Result<Event>> {
    let (sender, events) = channel();
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.send(event).is_err() || is_last {
                return;
            }
        }
    });
    events
}

impl Drop for Full {
    fn drop(&mut self) {
        // Where the terminal is gone there is nobody to tell.
        let _ = ratatui::try_restore();
        for note in &self.notes {
            let _ = writeln!(io::stderr(), "k485: {note}");
        }
    }
}
