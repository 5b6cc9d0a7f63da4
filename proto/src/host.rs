//! The vendor host's side of an exchange, without I/O: how long it waits, how often it sends, and
//! which reply it takes for which request; [`ask`], which does all that; and [`engine`], the whole
//! host.
//!
//! Source: the vendor's live host on a bus (its module constants, and what it was seen to do with
//! silence, foreign addresses, other functions and late replies).

pub mod ask;
pub mod engine;

use crate::address::Address;
use crate::dialect::Dialect;
use crate::frame::Frame;
use crate::message::{Function, boxes};
use crate::record::Time;

/// How the host sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long it waits after each transmission, in milliseconds.
    pub timeout_ms: u32,
    /// How often it sends at most, the first time included. It sends again unchanged, 5 to 10 ms
    /// after the time-out.
    pub sends: u8,
}

impl Policy {
    /// How long a reply to one transmission may take in a capture, in nanoseconds: the time-out, with
    /// a quarter and 20 ms more for slow clocks.
    pub(crate) fn wait_ns(self) -> i64 {
        (i64::from(self.timeout_ms) * 5 / 4 + 20) * Time::MILLISECOND
    }
}

/// What the host does for functions that are in none of its tables.
const UNKNOWN: Policy = Policy { timeout_ms: 2_000, sends: 5 };

/// How the host sends this request.
#[must_use]
pub fn policy(request: &Frame<'_>, dialect: &Dialect) -> Policy {
    let Some(function) = dialect.find(request.addr(), request.func()) else {
        return UNKNOWN;
    };
    let timeout_ms = match (request.data(), preloads(function)) {
        // Switching preloading on or off is quick; running it is allowed 300 s a slot.
        ([_, 0 | 1], true) => 2_000,
        ([mask, _], true) => function.timeout_ms * (mask & 0x0f).count_ones().max(1),
        _ => function.timeout_ms,
    };
    Policy { timeout_ms, sends: function.sends }
}

/// Whether this is SET_PRE_LOADING, also as a dialect's that left the time-out as it is.
fn preloads(function: &Function) -> bool {
    let known = &boxes::set_pre_loading::FUNCTION;
    function == known && function.timeout_ms == known.timeout_ms
}

/// Whether the host takes `reply` for the answer to `request`: by address and function, whatever
/// the STATUS.
///
/// A0 is answered from the new address, so there the function alone counts; factory access (EA,
/// EB) is answered from the box's own address, and function 52 as 53 (both seen of the firmware).
#[must_use]
pub fn answers(request: &Frame<'_>, reply: &Frame<'_>) -> bool {
    is_reply_to(request.addr(), request.func(), reply)
}

/// [`answers`], by the request's address and function alone.
fn is_reply_to(addr: Address, func: u8, reply: &Frame<'_>) -> bool {
    let by_func = reply.func() == func || (func == 0x52 && reply.func() == 0x53);
    let by_addr = match addr {
        _ if func == 0xa0 => true,
        Address::FACTORY | Address::FACTORY_SILENT => {
            reply.addr().class() == Some(crate::address::Class::Box)
        }
        addr => reply.addr() == addr,
    };
    by_func && by_addr
}

/// Whether nobody answers: what goes to FF.
#[must_use]
pub fn expects_no_reply(request: &Frame<'_>) -> bool {
    request.addr().is_broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use alloc::vec::Vec;

    fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
        Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
    }

    #[test]
    fn time_outs_as_the_host_has_them() {
        for (raw, timeout_ms, sends) in [
            (frame(1, 0xff, 0x05, &[]), 2_000, 5),
            (frame(1, 0xff, 0x0a, &[]), 3_600_000, 5),
            (frame(1, 0xff, 0x10, &[1, 5, 0]), 15_000, 5),
            (frame(1, 0xff, 0x11, &[1, 1]), 150_000, 5),
            (frame(1, 0xff, 0x0d, &[0x0f, 1]), 2_000, 5),
            (frame(1, 0xff, 0x0d, &[0x02, 2]), 300_000, 5),
            (frame(1, 0xff, 0x0d, &[0x0f, 2]), 1_200_000, 5),
            (frame(1, 0, 0xa2, &[]), 100, 1),
            (frame(0xfe, 0, 0xa1, &[0xfe, 0xfe]), 1_000, 1),
            (frame(0x81, 0, 0x0c, &[0x0b]), 50, 1),
            (frame(0x81, 0, 0x03, &[0]), 60_000, 1),
            (frame(0x21, 0, 0x06, &[]), 1_000, 5),
            (frame(0x11, 0xff, 0x02, &[]), 500, 5),
        ] {
            let request = Frame::from_bytes(&raw).unwrap();
            assert_eq!(
                policy(&request, &crate::dialect::K2),
                Policy { timeout_ms, sends },
                "{request:?}"
            );
        }
    }

    #[test]
    fn replies_are_matched_by_address_and_function() {
        let answered = |request: &[u8], reply: &[u8]| {
            answers(&Frame::from_bytes(request).unwrap(), &Frame::from_bytes(reply).unwrap())
        };
        let poll = frame(1, 0xff, 0x05, &[]);
        assert!(answered(&poll, &frame(1, 0x0c, 0x05, &[2])));
        assert!(!answered(&poll, &frame(2, 0, 0x05, &[2])));
        assert!(!answered(&poll, &frame(1, 0, 0x06, &[2])));
        // The new address answers an assignment.
        let assign = frame(0xfe, 0, 0xa0, &[2; 13]);
        assert!(answered(&assign, &frame(2, 0, 0xa0, &[1; 14])));
        assert!(!answered(&assign, &frame(2, 0, 0xa2, &[1; 14])));
        // An unassigned box answers from FE.
        let who = frame(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
        assert!(answered(&who, &frame(0xfe, 0, 0xa1, &[1; 14])));
        assert!(!answered(&who, &frame(1, 0, 0xa1, &[1; 14])));
        let factory = frame(0xeb, 0xff, 0x52, &[]);
        assert!(answered(&factory, &frame(3, 0, 0x53, &[1, 1])));
        assert!(!answered(&factory, &frame(0x81, 0, 0x53, &[1, 1])));
    }
}
