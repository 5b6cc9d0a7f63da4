//! Which way a frame went. The wire does not say, so it is worked out, and `unknown` is an answer.
//!
//! One frame alone is often enough ([`certain`]): requests to boxes carry STATUS FF, errors come
//! from devices, address management has lengths of its own. Motors use STATUS 00 both ways and some
//! of their replies equal the request byte for byte; there only the sequence helps, which
//! [`exchange`](crate::exchange) keeps.

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

/// DATA bytes in every answer of address management: type, program, identity.
const IDENTITY: usize = 14;

/// The direction, where the frame alone leaves no doubt.
#[must_use]
pub fn certain(frame: &Frame<'_>, dialect: &Dialect) -> Option<Direction> {
    use Direction::{Request, Response};
    let data = frame.data();
    match frame.status() {
        Status::REQUEST => return Some(Request),
        Status::OK => {}
        _ => return Some(Response),
    }
    let asked = match frame.func() {
        0xa0 => 13,
        0xa1 => 2,
        0xa2 | 0xa3 => 0,
        // Nothing answers from a group's address.
        _ if frame.addr().is_broadcast() => return Some(Request),
        _ => return by_layout(frame, dialect),
    };
    match data.len() {
        IDENTITY => Some(Response),
        len if len == asked => Some(Request),
        _ => None,
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

/// By what the declared layouts allow.
fn by_layout(frame: &Frame<'_>, dialect: &Dialect) -> Option<Direction> {
    let class = dialect.class(frame.addr())?;
    let Some(function) = dialect.find(frame.addr(), frame.func()) else {
        // Requests to boxes and the rack carry FF, so what has 00 is a reply, known or not.
        return (matches!(class, Class::Box | Class::Rack)).then_some(Direction::Response);
    };
    // A motor that tells its address (80–88) is not asked to do that operation (01, 02).
    if let (Class::Motor, 0x0e, [0x80..=0x88]) = (class, frame.func(), frame.data()) {
        return Some(Direction::Response);
    }
    let asked = function.decode_request(frame.addr(), frame.data()).misfit.is_none();
    let replied = fits_reply(function, frame);
    match (asked, replied) {
        (true, false) if function.request_status == Status::OK => Some(Direction::Request),
        // A request with STATUS 00 to a box is not the vendor's, but others may send one.
        (true, false) => None,
        (false, true) => Some(Direction::Response),
        _ if function.request_status == Status::REQUEST => Some(Direction::Response),
        _ => None,
    }
}

/// Whether some reply layout takes the frame's data.
fn fits_reply(function: &'static Function, frame: &Frame<'_>) -> bool {
    let message = function.decode_reply(frame.addr(), frame.status(), frame.data(), None);
    // Without the request the layout may stay open, when more than one fits.
    matches!(message.misfit, None | Some(message::Misfit::RequestUnknown))
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
        ] {
            assert_eq!(of(hex), dir, "{hex}");
        }
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
