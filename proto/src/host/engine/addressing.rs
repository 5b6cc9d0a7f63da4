//! Address management: who is there, who gets which address. Source: the vendor's address master,
//! and its requests on a bus.

use alloc::vec::Vec;

use super::table::{Online, Row, State};
use super::{Event, Need, later, request};
use crate::address::Address;
use crate::frame::Frame;
use crate::message::addressing::{
    get_addr_table, get_slave_info, loader_to_app, online_check, set_slave_addr,
};
use crate::message::codes::Program;
use crate::message::kind::Uniid;
use crate::record::Time;
use crate::status::Status;

/// Between two rounds, in ms: idle, and while printing.
const PAUSE: (u32, u32) = (1_000, 10_000);
/// What the host waits after telling loaders to go on, though nobody answers, in ms.
const LOADER: u32 = 50;
/// How many rounds each pass of the start takes.
const ROUNDS: u8 = 2;
/// So many unanswered questions are forgiven.
const FORGIVEN: u8 = 3;

/// Where address management is. Rows count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The start: A0 to the identities of the saved table.
    Set { round: u8, row: usize },
    /// The start: A3 to those who are not there.
    Get { round: u8, row: usize },
    /// A1: who has no address?
    Introduce,
    /// A0 to those who introduced themselves.
    Assign { row: usize },
    /// A2 to all who have an address.
    Check { row: usize },
    /// 0B, if one is in its loader.
    Loader,
    /// The pause between two rounds.
    Pause(Time),
}

#[derive(Debug)]
pub(super) struct Addressing {
    phase: Phase,
}

impl Addressing {
    pub(super) fn new() -> Addressing {
        Addressing { phase: Phase::Set { round: 0, row: 0 } }
    }

    pub(super) fn need(&mut self, now: Time, state: &State) -> Need {
        loop {
            let next = match self.phase {
                Phase::Set { round, row } => {
                    match find(state, row, |row| row.online == Online::Init) {
                        Some(row) => return self.ask(Phase::Set { round, row }),
                        None if round + 1 < ROUNDS => Phase::Set { round: round + 1, row: 0 },
                        None => Phase::Get { round: 0, row: 0 },
                    }
                }
                Phase::Get { round, row } => {
                    match find(state, row, |row| row.online != Online::Online) {
                        Some(row) => return self.ask(Phase::Get { round, row }),
                        None if round + 1 < ROUNDS => Phase::Get { round: round + 1, row: 0 },
                        None => Phase::Introduce,
                    }
                }
                Phase::Introduce => {
                    let known = |row: &Row| matches!(row.online, Online::Online | Online::WaitAck);
                    if !state.rows.iter().all(known) {
                        return Need::Ask;
                    }
                    Phase::Assign { row: 0 }
                }
                Phase::Assign { row } => {
                    match find(state, row, |row| row.online == Online::WaitAck) {
                        Some(row) => return self.ask(Phase::Assign { row }),
                        None => Phase::Check { row: 0 },
                    }
                }
                Phase::Check { row } => match find(state, row, |row| row.uniid.is_some()) {
                    Some(row) => return self.ask(Phase::Check { row }),
                    None => Phase::Loader,
                },
                Phase::Loader => {
                    if state.rows.iter().any(|row| row.loader && row.online == Online::Online) {
                        return Need::Ask;
                    }
                    Phase::Pause(pause(now, state))
                }
                Phase::Pause(until) if now < until => return Need::Sleep(until),
                Phase::Pause(_) => Phase::Introduce,
            };
            self.phase = next;
        }
    }

    fn ask(&mut self, phase: Phase) -> Need {
        self.phase = phase;
        Need::Ask
    }

    pub(super) fn question(&self, state: &State) -> Vec<u8> {
        match self.phase {
            Phase::Set { row, .. } | Phase::Assign { row } => {
                let uniid = Uniid(state.rows[row].uniid.unwrap_or_default());
                let data = set_slave_addr::Request::Assign { address: address(row), uniid };
                request(Address::UNASSIGNED, &set_slave_addr::FUNCTION, &data.to_vec())
            }
            Phase::Get { row, .. } => request(address(row), &get_addr_table::FUNCTION, &[]),
            Phase::Check { row } => request(address(row), &online_check::FUNCTION, &[]),
            Phase::Loader => {
                let data = loader_to_app::Request::Start { argument: 1 };
                request(Address::ALL, &loader_to_app::FUNCTION, &data.to_vec())
            }
            Phase::Introduce | Phase::Pause(_) => {
                let data = get_slave_info::Request::Window { low: 0xfe, high: 0xfe };
                request(Address::UNASSIGNED, &get_slave_info::FUNCTION, &data.to_vec())
            }
        }
    }

    pub(super) fn told(&mut self, reply: Option<&Frame<'_>>, now: Time, state: &mut State) {
        // A reply with an error counts as none.
        let identity = reply.filter(|reply| reply.status() == Status::OK).and_then(identity);
        self.phase = match self.phase {
            Phase::Set { round, row } => {
                acknowledge(row, reply, identity, now, state);
                Phase::Set { round, row: row + 1 }
            }
            Phase::Get { round, row } => {
                if let Some((program, uniid)) = identity {
                    state.rows[row].uniid = Some(uniid);
                    state.answered(row, program, false, now);
                }
                Phase::Get { round, row: row + 1 }
            }
            Phase::Introduce => {
                if let Some((_, uniid)) = identity
                    && let Some(row) = allocate(uniid, state)
                {
                    state.rows[row].uniid = Some(uniid);
                    state.rows[row].online = Online::WaitAck;
                }
                Phase::Assign { row: 0 }
            }
            Phase::Assign { row } => {
                acknowledge(row, reply, identity, now, state);
                Phase::Assign { row: row + 1 }
            }
            Phase::Check { row } => {
                check(row, identity, now, state);
                Phase::Check { row: row + 1 }
            }
            Phase::Loader => Phase::Pause(later(pause(now, state), LOADER)),
            Phase::Pause(until) => Phase::Pause(until),
        };
    }
}

fn pause(now: Time, state: &State) -> Time {
    later(now, if state.printing { PAUSE.1 } else { PAUSE.0 })
}

fn address(row: usize) -> Address {
    Address(row as u8 + 1)
}

fn find(state: &State, from: usize, fits: impl Fn(&Row) -> bool) -> Option<usize> {
    (from..state.rows.len()).find(|row| fits(&state.rows[*row]))
}

/// Who answered, and from which program.
fn identity(reply: &Frame<'_>) -> Option<(Program, [u8; 12])> {
    // All four answers have this layout.
    match online_check::Reply::parse(reply.addr(), reply.status(), reply.data(), None) {
        Ok(online_check::Reply::Identity { program, uniid, .. }) => Some((program, uniid.0)),
        Err(_) => None,
    }
}

/// What A0 brought: only the new address with the right identity counts.
fn acknowledge(
    row: usize,
    reply: Option<&Frame<'_>>,
    identity: Option<(Program, [u8; 12])>,
    now: Time,
    state: &mut State,
) {
    if let (Some(reply), Some((program, uniid))) = (reply, identity)
        && reply.addr() == address(row)
        && state.rows[row].uniid == Some(uniid)
    {
        state.answered(row, program, true, now);
    }
}

fn check(row: usize, identity: Option<(Program, [u8; 12])>, now: Time, state: &mut State) {
    match identity {
        Some((program, uniid)) if state.rows[row].uniid == Some(uniid) => {
            state.answered(row, program, false, now);
        }
        _ => {
            let lost = state.rows[row].lost.saturating_add(1);
            state.rows[row].lost = lost;
            if lost > FORGIVEN && state.rows[row].online != Online::Offline {
                state.rows[row].online = Online::Offline;
                state.event(Event::Lost(address(row)));
            }
        }
    }
}

/// The row for a device that has introduced itself: its own, also when it is thought to be online
/// (it was restarted then); else a free one; else one whose device is gone.
fn allocate(uniid: [u8; 12], state: &State) -> Option<usize> {
    let own = find(state, 0, |row| row.uniid == Some(uniid));
    own.or_else(|| find(state, 0, |row| row.uniid.is_none()))
        .or_else(|| find(state, 0, |row| matches!(row.online, Online::Offline | Online::Init)))
}
