//! Directions as logs tell them. `TX` in the log of a host goes to a device, in that of a device
//! the other way, and a passive listener receives both; an arrow may point anywhere, and a `>` may
//! only mark a quotation. What the frames themselves leave no doubt about decides:
//!
//! - `request` and `response` mean what they say;
//! - `TX` and `RX`, and their kin, mean a host's, as soon as one frame says so; the other way round
//!   they are understood once frames of both words say so;
//! - an arrow is believed once frames of both arrows say which is which;
//! - a word or an arrow that frames of both directions have is not believed from then on.

use k485_proto::deframer::{Span, spans};
use k485_proto::dialect::K2;
use k485_proto::direction::certain;
use k485_proto::frame::Frame;
use k485_proto::record::Direction;

/// What a line says of its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) sort: Sort,
    /// [`Direction::Request`] for what was sent, as a host sees it.
    pub(super) dir: Direction,
}

/// How it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// `request`, `response`.
    Name,
    /// `TX`, `read`.
    Side,
    /// `->`, `<`.
    Arrow,
}

impl Way {
    /// The direction that a word names.
    pub(super) fn of_word(word: &[u8]) -> Option<Way> {
        use Direction::{Request, Response};
        let (sort, dir) = match &*word.to_ascii_lowercase() {
            b"tx" | b"txd" | b"send" | b"sent" | b"sending" | b"write" | b"wrote" | b"writing" => {
                (Sort::Side, Request)
            }
            b"rx" | b"rxd" | b"recv" | b"receive" | b"received" | b"receiving" | b"read"
            | b"reading" => (Sort::Side, Response),
            b"request" | b"req" => (Sort::Name, Request),
            b"response" | b"resp" | b"reply" => (Sort::Name, Response),
            _ => return None,
        };
        Some(Way { sort, dir })
    }

    /// The direction of an arrow that a text begins with, and the arrow's size.
    pub(super) fn of_arrow(text: &[u8]) -> Option<(Way, usize)> {
        let (arrow, size) = match text {
            [0xe2, 0x86, 0x92, ..] => (Direction::Request, 3),
            [0xe2, 0x86, 0x90, ..] => (Direction::Response, 3),
            _ => {
                let size = text.iter().take_while(|byte| b"<>-=".contains(byte)).count();
                let dir = match &text[..size] {
                    [b'<', tail @ ..] if !tail.contains(&b'>') => Direction::Response,
                    [head @ .., b'>'] if !head.contains(&b'<') => Direction::Request,
                    _ => return None,
                };
                (dir, size)
            }
        };
        Some((Way { sort: Sort::Arrow, dir: arrow }, size))
    }
}

/// What the frames of a text said of its words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ways {
    sides: Pair,
    arrows: Pair,
}

/// The directions that were seen with the two words of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    sent: Option<Direction>,
    received: Option<Direction>,
    is_broken: bool,
}

impl Ways {
    /// Takes up a frame and gives its direction, where its line tells that.
    pub(super) fn of_frame(&mut self, way: Way, frame: &[u8]) -> Option<Direction> {
        let known = Frame::from_bytes(frame).ok().and_then(|frame| certain(&frame, &K2));
        if let (Some(known), Some(pair)) = (known, self.pair(way.sort)) {
            pair.learn(way.dir, known);
        }
        self.told(way).filter(|told| known.is_none_or(|known| known == *told))
    }

    /// The direction of what is no frame.
    pub(super) fn told(&mut self, way: Way) -> Option<Direction> {
        let is_arrow = way.sort == Sort::Arrow;
        match self.pair(way.sort) {
            None => Some(way.dir),
            Some(pair) => pair.told(way.dir, is_arrow),
        }
    }

    fn pair(&mut self, sort: Sort) -> Option<&mut Pair> {
        match sort {
            Sort::Name => None,
            Sort::Side => Some(&mut self.sides),
            Sort::Arrow => Some(&mut self.arrows),
        }
    }
}

impl Pair {
    fn learn(&mut self, word: Direction, known: Direction) {
        let (this, other) = match word {
            Direction::Request => (&mut self.sent, self.received),
            Direction::Response => (&mut self.received, self.sent),
        };
        let is_other = this.is_some_and(|seen| seen != known) || other == Some(known);
        *this = Some(known);
        self.is_broken |= is_other;
    }

    fn told(&self, word: Direction, is_arrow: bool) -> Option<Direction> {
        let is_straight = match (self.sent, self.received) {
            _ if self.is_broken => return None,
            (None, None) => return None,
            (Some(sent), Some(_)) => sent == Direction::Request,
            _ if is_arrow => return None,
            (Some(sent), None) => Some(sent == Direction::Request).filter(|straight| *straight)?,
            (None, Some(received)) => {
                Some(received == Direction::Response).filter(|straight| *straight)?
            }
        };
        Some(match (is_straight, word) {
            (true, word) => word,
            (false, Direction::Request) => Direction::Response,
            (false, Direction::Response) => Direction::Request,
        })
    }
}

/// Whether a whole frame is in bytes.
pub(super) fn has_frame(bytes: &[u8]) -> bool {
    spans(bytes).any(|span| matches!(span, Span::Frame { .. }))
}
