//! Frames as they come: an exchange as soon as it is over.

use std::collections::HashMap;

use k485_proto::exchange::{Outcome, Pairer, Seen};
use k485_proto::line;
use k485_proto::record::{Direction, Record, Time};

use super::exchanges::{self, Line};
use super::words::Detail;

/// How many requests are remembered with their place.
const MOST: usize = 4096;

/// Pairs frames, whatever calls they are within.
pub(super) struct Live {
    pairer: Pairer,
    detail: Detail,
    /// Where requests were told, by what pairs them.
    asked: HashMap<Option<u64>, Place>,
}

/// Where a frame was told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// The number of the call that it is within.
    pub(super) number: Option<u64>,
    /// How many calls are around it.
    pub(super) depth: usize,
    /// How many things were shown before it.
    pub(super) count: u64,
}

/// Lines, and where they belong.
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) lines: Vec<Line>,
}

impl Live {
    pub(super) fn new(detail: Detail) -> Live {
        Live { pairer: Pairer::with_dialect(detail.dialect), detail, asked: HashMap::new() }
    }

    /// Takes a frame; `now` is when it was told. Gives what is complete with it.
    pub(super) fn push(&mut self, record: Record, place: Place, now: Option<Time>) -> Vec<Told> {
        let id = record.call.map(|call| call.id);
        let asks = record.dir != Some(Direction::Response);
        self.pairer.push(record);
        let told = self.pull(place, now);
        if asks {
            if self.asked.len() >= MOST {
                self.asked.clear();
            }
            self.asked.insert(id, place);
        }
        told
    }

    /// Nothing before this is answered behind it: gives the requests that are open.
    pub(super) fn finish(&mut self) -> Vec<Told> {
        self.pairer.finish();
        let told = self.pull(Place::default(), None);
        self.asked.clear();
        told
    }

    fn pull(&mut self, here: Place, now: Option<Time>) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(seen) = self.pairer.pull() {
            let told = match seen {
                // Told when it is known what becomes of it.
                Seen::Frame(_) => continue,
                Seen::Lone(frame) => {
                    let line =
                        Line { time: frame.record.time, latency: None, words: line::frame(&frame) };
                    Told { place: here, lines: vec![line] }
                }
                Seen::Noise(record) | Seen::Gap(record) => {
                    Told { place: here, lines: vec![exchanges::noise(&record)] }
                }
                Seen::Exchange(exchange) => {
                    let subject = exchange.request.as_ref().or(exchange.response.as_ref());
                    let id = subject.and_then(|frame| frame.record.call).map(|call| call.id);
                    let asked = exchange.request.as_ref().and_then(|_| self.asked.remove(&id));
                    let place = asked.unwrap_or(here);
                    // What was shown meanwhile was later than the request.
                    let time = match exchange.outcome {
                        Outcome::Unfinished => exchange.time,
                        _ if place.count == here.count => exchange.time,
                        _ => now.or(exchange.time),
                    };
                    Told { place, lines: exchanges::lines(&exchange, time, self.detail) }
                }
            };
            all.push(told);
        }
        all
    }
}
