//! Which way a frame went. The wire does not say, so it is worked out, and `unknown` is an answer.
//!
//! One frame alone is often enough ([`certain`]): STATUS FF is a request, address management has
//! lengths of its own, and most payloads fit one side of their function only. Where both fit, who
//! sends what is a hint ([`alone`]): the known hosts ask boxes with FF. Motors use STATUS 00 both
//! ways and some of their replies equal the request byte for byte, and a loader's F0 has a byte each
//! way; there only the sequence helps, which [`exchange`](crate::exchange) keeps.

use crate::address::Class;
use crate::dialect::Dialect;
use crate::frame::Frame;
use crate::message::{self, Function};
use crate::record::Direction;
use crate::status::Status;

/// How a frame's direction is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Source {
    /// The capture tells it.
    Given,
    /// Length, STATUS and function allow only this one.
    Certain,
    /// From what went before.
    Inferred,
    /// It is not known.
    Unknown,
}

impl Source {
    /// One lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Given => "given",
            Source::Certain => "certain",
            Source::Inferred => "inferred",
            Source::Unknown => "unknown",
        }
    }
}

/// The direction that a frame alone tells, and how well: `Certain` where it leaves no doubt,
/// `Inferred` where only hosts and devices that nobody has seen would send it the other way.
#[must_use]
pub fn alone(frame: &Frame<'_>, dialect: &Dialect) -> (Option<Direction>, Source) {
    if let Some(dir) = certain(frame, dialect) {
        return (Some(dir), Source::Certain);
    }
    match likely(frame, dialect) {
        Some(dir) => (Some(dir), Source::Inferred),
        None => (None, Source::Unknown),
    }
}

/// The direction, where the frame alone leaves no doubt: where it is no request, or no reply, by
/// what is declared for its function.
///
/// Box firmware takes a request with any STATUS, so a STATUS other than FF alone is no proof.
#[must_use]
pub fn certain(frame: &Frame<'_>, dialect: &Dialect) -> Option<Direction> {
    use Direction::{Request, Response};
    if frame.status() == Status::REQUEST {
        return Some(Request);
    }
    let function = dialect.find(frame.addr(), frame.func());
    if frame.status() == Status::OK {
        if let 0xa0..=0xa3 = frame.func() {
            return by_identity(frame);
        }
        // Nothing answers from everyone's address.
        if frame.addr().is_broadcast() {
            return Some(Request);
        }
        // A motor that tells its address (80–88) is not asked to do that operation (01, 02).
        if let (Some(Class::Motor), 0x0e, [0x80..=0x88]) =
            (dialect.class(frame.addr()), frame.func(), frame.data())
        {
            return Some(Response);
        }
    }
    let function = function?;
    match (fits_request(function, frame), fits_reply(function, frame)) {
        (false, Fit::Layout) => Some(Response),
        (true, Fit::No) if function.request_status == frame.status() => Some(Request),
        _ => None,
    }
}

/// The direction that is to be expected of a frame that is not [`certain`], by who sends what: the
/// hosts that are known send FF to boxes and the rack, and errors come from devices.
fn likely(frame: &Frame<'_>, dialect: &Dialect) -> Option<Direction> {
    let errs = frame.status() != Status::OK;
    let Some(function) = dialect.find(frame.addr(), frame.func()) else {
        return errs.then_some(Direction::Response);
    };
    match (fits_request(function, frame), fits_reply(function, frame)) {
        _ if errs => Some(Direction::Response),
        // Not how the vendor's host asks, but no reply at all.
        (true, Fit::No) => Some(Direction::Request),
        (false, Fit::AnyBytes) => Some(Direction::Response),
        _ => (function.request_status == Status::REQUEST).then_some(Direction::Response),
    }
}

/// Whether the frame could be a request that a host sends: no reply for certain, and by its layout a
/// request, or of a function that nobody knows.
pub(crate) fn may_ask(frame: &Frame<'_>, dialect: &Dialect) -> bool {
    match certain(frame, dialect) {
        Some(dir) => dir == Direction::Request,
        None => dialect
            .find(frame.addr(), frame.func())
            .is_none_or(|function| fits_request(function, frame)),
    }
}

/// Whether `reply`, right behind `request`, tells by itself that it answers it: of the classes whose
/// replies may equal the request, a reply that could be the next request tells nothing.
pub(crate) fn pairs(request: &Frame<'_>, reply: &Frame<'_>, dialect: &Dialect) -> bool {
    if !crate::host::answers(request, reply) || !may_ask(request, dialect) {
        return false;
    }
    match certain(reply, dialect) {
        Some(dir) => dir == Direction::Response,
        None => match dialect.find(reply.addr(), reply.func()) {
            Some(function) => {
                (function.request_status == Status::REQUEST || function.class == Class::Addressing)
                    && fits_reply(function, reply) != Fit::No
            }
            None => !is_two_faced(reply, dialect),
        },
    }
}

/// Whether requests and replies of this device look alike (STATUS 00 both ways), so that what
/// [`certain`] says by the layout can be wrong for a malformed frame, and the sequence knows better.
#[must_use]
pub(crate) fn is_two_faced(frame: &Frame<'_>, dialect: &Dialect) -> bool {
    let class = dialect.class(frame.addr());
    frame.status() == Status::OK
        && !matches!(frame.func(), 0xa0..=0xa3)
        && !matches!(class, Some(Class::Box | Class::Rack) | None)
}

/// Which way a frame of A0–A3 with STATUS 00 went: every answer is type, program and identity.
fn by_identity(frame: &Frame<'_>) -> Option<Direction> {
    let asked = match frame.func() {
        0xa0 => 13,
        0xa1 => 2,
        _ => 0,
    };
    match frame.data() {
        // Devices take requests of another length, so this one's length alone does not tell.
        [1..=3, 0 | 1, identity @ ..] if identity.len() == 12 => Some(Direction::Response),
        data if data.len() == asked => Some(Direction::Request),
        _ => None,
    }
}

fn fits_request(function: &'static Function, frame: &Frame<'_>) -> bool {
    function.decode_request(frame.addr(), frame.data()).misfit.is_none()
}

/// How a reply's layouts take a frame's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// None takes it.
    No,
    /// Only one that takes any bytes, since nobody knows them.
    AnyBytes,
    /// One does.
    Layout,
}

fn fits_reply(function: &'static Function, frame: &Frame<'_>) -> Fit {
    let message = function.decode_reply(frame.addr(), frame.status(), frame.data(), None);
    match message.misfit {
        // Without the request the layout may stay open, when more than one fits.
        Some(message::Misfit::RequestUnknown) => Fit::Layout,
        Some(_) => Fit::No,
        None => match &*message.fields {
            [raw] if raw.field.kind == &message::kind::REST => Fit::AnyBytes,
            _ => Fit::Layout,
        },
    }
}

/// Whether the address is probably damaged: ADDR is outside the CRC, so a frame with a wrong one is
/// whole. True for an address in no table, for a box's kind of request elsewhere, and for a
/// function that this device's class lacks and another one has.
#[must_use]
pub fn is_implausible(frame: &Frame<'_>, dialect: &Dialect) -> bool {
    let addr = frame.addr();
    if dialect.is_unknown(addr) {
        return true;
    }
    let Some(class) = dialect.class(addr) else {
        return false;
    };
    let spoken = matches!(class, Class::Box | Class::Rack | Class::Other(_));
    if frame.status() == Status::REQUEST && !spoken {
        return true;
    }
    dialect.find(addr, frame.func()).is_none()
        && dialect.all_functions().any(|f| f.code == frame.func() && f.class != class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::K2;
    use crate::message::kind::hex_bytes;

    fn of(hex: &str) -> Option<Direction> {
        certain(&Frame::from_bytes(&hex_bytes(hex).unwrap()).unwrap(), &K2)
    }

    #[test]
    fn one_frame_alone() {
        use Direction::{Request, Response};
        for (hex, dir) in [
            ("f70103ff0a5c", Some(Request)),
            ("f70107000a19240000e7", Some(Response)),
            ("f70103010f85", Some(Response)),
            ("f7010300a2da", Some(Request)),
            ("f7011100a2010069063002185333115235383244", Some(Response)),
            // Request and reply of A1 both have ADDR FE.
            ("f7fe0500a1fefef8", Some(Request)),
            ("f7fe1100a101006906300218533311523538329c", Some(Response)),
            ("f7fe1000a00169063002185333115235383278", Some(Request)),
            ("f7011100a0010069063002185333115235383229", Some(Response)),
            ("f7ff04000e0189", Some(Request)),
            ("f7ff04000b01c8", Some(Request)),
            // Motors: the query is ambiguous by itself, its reply is not.
            ("f78104000c0b95", None),
            ("f7810b000c0000000000000000fb", Some(Response)),
            ("f781040011011d", None),
            // A parameter's write is too long for a reply.
            ("f781090006010e3333b33f0d", Some(Request)),
            ("f781050006020e90", None),
            // The address that a motor tells is no operation of that function.
            ("f78104000e0280", None),
            ("f78104000e8100", Some(Response)),
            // Belt modules: the empty request cannot be a reply of theirs.
            ("f721030006af", Some(Request)),
            // A motor without an address answers from FD, as a box does from FE.
            ("f7fd0500a1fdfdce", Some(Request)),
            ("f7fd1100a10201cdab052252bc248a39e339e32b", Some(Response)),
            ("f7851100a00201cdab052252bc248a39e339e39e", Some(Response)),
            // A loader's F0 has a byte each way; versions and the application's refusal are replies.
            ("f7010400f0004c", None),
            ("f7850400f0e0e2", None),
            ("f7011c00f0636673305f3035305f4733322d636673305f3030305f313133e1", Some(Response)),
            ("f7010301f076", Some(Response)),
            // Boxes take requests with any STATUS; this one is asked or answered with one byte.
            ("f70104000800f0", None),
            // A byte more than A0 has, and no identity.
            ("f7fe1100a0026906300218533311523538320049", None),
        ] {
            assert_eq!(of(hex), dir, "{hex}");
        }
    }

    #[test]
    fn what_is_to_be_expected() {
        use Direction::{Request, Response};
        let expected = |status: u8, func: u8, data: &[u8]| {
            let raw = Frame::to_vec(crate::address::Address(1), Status(status), func, data);
            alone(&Frame::from_bytes(&raw.unwrap()).unwrap(), &K2)
        };
        // The sensors' mask, which the selector in the request looks like.
        assert_eq!(expected(0, 0x08, &[0]), (Some(Response), Source::Inferred));
        // An error without data to a request without data.
        assert_eq!(expected(3, 0x05, &[]), (Some(Response), Source::Inferred));
        assert_eq!(expected(1, 0x0f, &[]), (Some(Response), Source::Certain));
        // Asked with 00, which no known host does.
        assert_eq!(expected(0, 0x05, &[]), (Some(Request), Source::Inferred));
        // A function that nobody knows.
        assert_eq!(expected(0, 0x7e, &[1]), (None, Source::Unknown));
        assert_eq!(expected(1, 0x7e, &[]), (Some(Response), Source::Inferred));
    }

    #[test]
    fn damaged_addresses() {
        let implausible = |addr: u8, status: u8, func: u8| {
            let raw =
                Frame::to_vec(crate::address::Address(addr), Status(status), func, &[]).unwrap();
            is_implausible(&Frame::from_bytes(&raw).unwrap(), &K2)
        };
        assert!(implausible(0x41, 0xff, 0x0a));
        assert!(implausible(0x81, 0xff, 0x0a));
        assert!(implausible(0x81, 0x00, 0x0a));
        assert!(!implausible(0x01, 0xff, 0x0a));
        assert!(!implausible(0x01, 0xff, 0x12));
        assert!(!implausible(0x81, 0x00, 0x0c));
        assert!(!implausible(0x91, 0x00, 0x0c));
    }
}
