//! The whole screen: its state, what keys do to it, how it is drawn.

use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_proto::filter::{Filter, MAX_LENGTH};
use k485_proto::record::Time;
use k485_sniffer::changes::{Changes, MAX_ROWS};
use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::rows::{self, Look};
use super::{Action, Options};

/// How long something said stays, in nanoseconds.
const SAID: i64 = 6 * Time::SECOND;

const HELP: [(&str, &str); 11] = [
    ("n", "notch: mute every field that is highlighted now"),
    ("N", "take all notches away"),
    ("space", "stand still, and go on"),
    ("s", "sort: device, changed, count, period"),
    ("/", "show only what a filter holds for; Enter with none: all"),
    ("arrows", "scroll; PgUp PgDn by pages, Home End"),
    ("q", "quit, as Ctrl-C"),
    ("", ""),
    ("grey", "a row that was silent for some periods; a notched field;"),
    ("", "a field that the last reply did not have"),
    ("PERIOD", "the mean distance, the newest weighing most"),
];

/// What is on the screen.
pub(super) struct Screen {
    changes: Changes,
    /// While it stands still: what it shows, and since when.
    still: Option<(Changes, Time)>,
    /// The filter that is being written.
    input: Option<String>,
    /// Something said, and when.
    said: Option<(String, Time)>,
    /// The first line of the rows that is shown.
    scroll: usize,
    /// How many lines of rows there is room for.
    page: usize,
    help: bool,
    title: String,
    several: bool,
    look: Look,
    dialect: &'static Dialect,
    /// The filter as it was written.
    filter: String,
    pub(super) status: String,
}

impl Screen {
    pub(super) fn new(mut changes: Changes, options: Options) -> Screen {
        let filter = options.filter.as_ref().map_or_else(String::new, Filter::to_string);
        changes.filter = options.filter;
        Screen {
            changes,
            still: None,
            input: None,
            said: None,
            scroll: 0,
            page: 1,
            help: false,
            title: options.title,
            several: options.several,
            look: Look::new(options.color),
            dialect: options.dialect,
            filter,
            status: String::new(),
        }
    }

    pub(super) fn feed(&mut self, seen: &Seen, now: Time) {
        self.changes.push(seen, now);
    }

    /// Says something for a while.
    pub(super) fn say(&mut self, what: &str, now: Time) {
        self.said = Some((what.to_owned(), now));
    }

    /// Does what a key asks for.
    pub(super) fn event(&mut self, event: &Event, now: Time) -> Action {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Press => self.key(*key, now),
            _ => Action::Continue,
        }
    }

    fn key(&mut self, key: KeyEvent, now: Time) -> Action {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        if let Some(input) = self.input.take() {
            self.write(input, key, now);
            return Action::Continue;
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Action::Continue;
        }
        if std::mem::take(&mut self.help) && key.code != KeyCode::Char('q') {
            return Action::Continue;
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('n') => self.notch(now),
            KeyCode::Char('N') => {
                let count = self.changes.clear_notches();
                if let Some((still, _)) = &mut self.still {
                    still.clear_notches();
                }
                self.say(&format!("{} taken away", counted(count, "notch", "notches")), now);
            }
            KeyCode::Char(' ') => {
                self.still = match self.still.take() {
                    Some(_) => None,
                    None => Some((self.changes.clone(), now)),
                };
            }
            KeyCode::Char('s') => {
                self.changes.order = self.changes.order.next();
                let order = self.changes.order;
                if let Some((still, _)) = &mut self.still {
                    still.order = order;
                }
                self.scroll = 0;
            }
            KeyCode::Char('/') => self.input = Some(self.filter.clone()),
            KeyCode::Char('?') => self.help = true,
            KeyCode::Esc => self.said = None,
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(self.page),
            KeyCode::Home => self.scroll = 0,
            // Drawing knows where the end is.
            KeyCode::End => self.scroll = usize::MAX,
            _ => {}
        }
        Action::Continue
    }

    fn notch(&mut self, now: Time) {
        let count = match &mut self.still {
            Some((still, since)) => {
                let count = still.notch(*since);
                self.changes.notch_as(still);
                count
            }
            None => self.changes.notch(now),
        };
        let what = match count {
            0 => "nothing changes just now".to_owned(),
            _ => format!("{} notched", counted(count, "field", "fields")),
        };
        self.say(&what, now);
    }

    /// A key while the filter is being written.
    fn write(&mut self, mut input: String, key: KeyEvent, now: Time) {
        self.said = None;
        match key.code {
            KeyCode::Esc => return,
            KeyCode::Enter => match self.read(&input) {
                Ok(filter) => {
                    if let Some((still, _)) = &mut self.still {
                        still.filter.clone_from(&filter);
                    }
                    let hint = filter.as_ref().and_then(|filter| filter.hints().first());
                    if let Some(hint) = hint {
                        let what = format!("column {}: {}", hint.column, hint.text);
                        self.say(&what, now);
                    }
                    self.changes.filter = filter;
                    self.filter = input;
                    self.scroll = 0;
                    return;
                }
                Err(error) => self.say(&error, now),
            },
            KeyCode::Backspace => {
                input.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => input.clear(),
            KeyCode::Char(c)
                if !key.modifiers.contains(KeyModifiers::CONTROL)
                    && input.len() < MAX_LENGTH
                    && !c.is_control() =>
            {
                input.push(c);
            }
            _ => {}
        }
        self.input = Some(input);
    }

    /// The filter of a text, or what is wrong with it in a line.
    fn read(&self, text: &str) -> Result<Option<Filter>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Filter::parse(text, self.dialect)
            .map(Some)
            .map_err(|error| format!("column {}: {}", error.column, error.problem))
    }

    /// Draws it.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, now: Time) {
        let [bar, head, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        if self.said.as_ref().is_some_and(|(_, at)| now.since(*at) > SAID) {
            self.said = None;
        }
        frame.render_widget(self.bar(bar.width).style(self.look.bar), bar);
        let (changes, at) = match &self.still {
            Some((still, since)) => (still, *since),
            None => (&self.changes, now),
        };
        frame.render_widget(rows::heading(head.width).style(self.look.minor), head);
        let shown = changes.rows();
        let wide = usize::from(body.width);
        let lines: Vec<Line> = shown
            .iter()
            .flat_map(|row| rows::lines(row, at, wide, self.several, &self.look))
            .collect();
        self.page = usize::from(body.height).max(1);
        self.scroll = self.scroll.min(lines.len().saturating_sub(self.page));
        let page: Vec<Line> = match (shown.len(), changes.len()) {
            (0, 0) => vec![Line::from(" nothing heard yet").style(self.look.minor)],
            (0, _) => vec![Line::from(" nothing that the filter holds for").style(self.look.minor)],
            _ => lines.into_iter().skip(self.scroll).take(self.page).collect(),
        };
        frame.render_widget(Paragraph::new(page), body);
        frame.render_widget(self.foot(foot.width), foot);
        if self.help {
            self.draw_help(frame, body);
        }
    }

    /// The status bar.
    fn bar(&self, width: u16) -> Line<'static> {
        let changes = &self.changes;
        let mut parts = vec![self.title.clone()];
        if self.still.is_some() {
            parts.push("STANDING STILL".to_owned());
        }
        let shown = changes.rows().len();
        match changes.len() {
            all if all == shown => parts.push(counted(all, "row", "rows")),
            all => parts.push(format!("{shown} of {all} rows")),
        }
        parts.push(format!("{} frames", changes.frames));
        let (bytes, places) = (changes.noise_bytes, changes.noise);
        parts.push(match places {
            0 => "no noise".to_owned(),
            _ => format!("noise: {bytes} B in {places}"),
        });
        parts.extend(Some(self.status.clone()).filter(|status| !status.is_empty()));
        let notches = changes.notches();
        if notches > 0 {
            parts.push(format!("{notches} notched"));
        }
        if changes.forgotten > 0 {
            parts.push(format!("{} rows beyond {MAX_ROWS} gone", changes.forgotten));
        }
        parts.push(format!("by {}", changes.order.name()));
        Line::from(cut(&format!(" {}", parts.join(" | ")), usize::from(width)))
    }

    /// The last line: the filter, something said, or the keys.
    fn foot(&self, width: u16) -> Line<'static> {
        let width = usize::from(width);
        let said = self.said.as_ref().map(|(what, _)| what.clone());
        if let Some(input) = &self.input {
            // Its end is what is being written.
            let room = width.saturating_sub(3 + said.as_ref().map_or(0, |said| said.len() + 2));
            let hidden = input.chars().count().saturating_sub(room.max(12));
            let text: String = input.chars().skip(hidden).collect();
            let error = said.map(|said| Span::styled(format!("  {said}"), self.look.warn));
            let cursor = Span::styled(" ", Style::new().reversed());
            let spans = [Span::styled(" /", self.look.strong), Span::raw(text), cursor];
            return Line::from_iter(spans.into_iter().chain(error));
        }
        if let Some(said) = said {
            return Line::styled(cut(&format!(" {said}"), width), self.look.warn);
        }
        let keys = " q quit  n notch  N clear  space pause  s sort  / filter  ? help";
        let mut spans = vec![Span::styled(keys, self.look.minor)];
        if !self.filter.is_empty() {
            let filter =
                cut(&format!("  filter: {}", self.filter), width.saturating_sub(keys.len()));
            spans.push(Span::styled(filter, self.look.warn));
        }
        Line::from(spans)
    }

    fn draw_help(&self, frame: &mut Frame<'_>, body: Rect) {
        let lines = HELP.map(|(key, what)| {
            Line::from_iter([Span::styled(format!(" {key:<8}"), self.look.strong), Span::raw(what)])
        });
        let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
        let [place] = Layout::vertical([Constraint::Max(height)]).flex(Flex::Center).areas(body);
        let [place] = Layout::horizontal([Constraint::Max(74)]).flex(Flex::Center).areas(place);
        frame.render_widget(Clear, place);
        let block = Block::bordered().title(" keys; any key closes this ");
        frame.render_widget(Paragraph::new(Vec::from(lines)).block(block), place);
    }
}

/// At most so many characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests;
