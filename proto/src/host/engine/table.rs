//! What the host knows: the table of addresses, the boxes, the printer.

use alloc::collections::VecDeque;

use super::{Config, Event, Want, What};
use crate::address::Address;
use crate::key::Key;
use crate::message::codes::Program;
use crate::record::Time;
use crate::slot::Slot;

/// How many events and wants are kept while nobody takes them; older ones are dropped.
const KEPT: usize = 1024;

/// Whether the device of a row is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Online {
    /// It is not.
    #[default]
    Offline,
    /// It answers.
    Online,
    /// It is known from the saved table and was not asked yet.
    Init,
    /// It introduced itself and has to be given its address.
    WaitAck,
}

/// A row of the table of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// Whose address it is.
    pub uniid: Option<[u8; 12]>,
    /// Whether it is there.
    pub online: Online,
    /// How often it was asked in vain since it last answered.
    pub lost: u8,
    /// Whether it runs its loader.
    pub loader: bool,
}

/// A box, beside its address.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BoxInfo {
    /// Whether it was greeted.
    pub ready: bool,
    /// When it is to be greeted.
    pub greet: Option<Time>,
    /// Whether a reply has broken the polling of it.
    pub broken: bool,
    /// Whether its silence was told.
    pub silence_told: bool,
}

/// What all callers share.
#[derive(Debug)]
pub(super) struct State {
    pub config: Config,
    pub rows: [Row; 4],
    pub boxes: [BoxInfo; 4],
    /// When the first box came.
    pub since: Option<Time>,
    pub toolhead: bool,
    pub printing: bool,
    pub loaded: Option<Slot>,
    /// The box that a job works with.
    pub working: Option<u8>,
    /// The odometer of the loaded box, and when it was read.
    pub odometer: Option<f32>,
    pub events: VecDeque<Event>,
    pub wants: VecDeque<Want>,
}

impl State {
    pub(super) fn new(config: Config) -> State {
        let row = |uniid: Option<[u8; 12]>| Row {
            uniid,
            online: if uniid.is_some() { Online::Init } else { Online::Offline },
            ..Row::default()
        };
        State {
            rows: config.saved.map(row),
            config,
            boxes: [BoxInfo::default(); 4],
            since: None,
            toolhead: false,
            printing: false,
            loaded: None,
            working: None,
            odometer: None,
            events: VecDeque::new(),
            wants: VecDeque::new(),
        }
    }

    /// The row of an address.
    pub(super) fn index(&self, address: Address) -> Option<usize> {
        matches!(address.0, 1..=4).then(|| usize::from(address.0) - 1)
    }

    pub(super) fn event(&mut self, event: Event) {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn message(&mut self, key: Key, address: Address) {
        self.event(Event::Message { key, address });
    }

    pub(super) fn want(&mut self, what: What, takes_ms: u32) {
        if self.wants.len() == KEPT {
            self.wants.pop_front();
        }
        self.wants.push_back(Want { what, takes_ms });
    }

    /// The boxes that are online and run their application, by number.
    pub(super) fn online(&self) -> impl DoubleEndedIterator<Item = u8> {
        let rows = self.rows;
        (1..=4u8).filter(move |number| {
            let row = &rows[usize::from(*number) - 1];
            row.online == Online::Online && !row.loader
        })
    }

    /// A box has answered address management.
    pub(super) fn answered(&mut self, index: usize, program: Program, assigned: bool, now: Time) {
        let was = core::mem::replace(&mut self.rows[index].online, Online::Online);
        let row = &mut self.rows[index];
        row.lost = 0;
        let was_loader = core::mem::replace(&mut row.loader, program == Program::LOADER);
        let address = Address(index as u8 + 1);
        if let (true, Some(uniid)) = (assigned, row.uniid) {
            self.event(Event::Assigned { address, uniid });
        }
        let came = was != Online::Online || assigned;
        if came && !assigned {
            self.event(Event::Online(address));
        }
        // A box that is feeding is deaf, and counts as lost meanwhile; it is not greeted again.
        let feeding = self.working == Some(address.0) && !assigned;
        if (came && !feeding) || was_loader {
            let since = *self.since.get_or_insert(now);
            let settled = super::later(since, self.config.settle_ms);
            self.boxes[index].ready = false;
            self.boxes[index].broken = false;
            self.boxes[index].silence_told = false;
            self.boxes[index].greet = Some(settled.max(now));
        }
    }

    /// A function of a box was not answered at all: it is told once, and the box is greeted anew.
    pub(super) fn silent(&mut self, address: Address, now: Time) {
        let Some(index) = self.index(address) else { return };
        if !core::mem::replace(&mut self.boxes[index].silence_told, true) {
            self.message(Key(831), address);
        }
        if self.boxes[index].ready {
            self.boxes[index].ready = false;
            self.boxes[index].greet = Some(now);
        }
    }
}
