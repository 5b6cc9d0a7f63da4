//! What the fuzz targets share: the wire as a generator makes it, and how an input says which way
//! it is to be read.
//!
//! An input whose first byte is [`RAW`] is the rest of its bytes as they are, so that a seed can be
//! written by hand. All others feed a generator, which makes whole frames likely: bytes that were
//! mutated at random mostly fail the CRC.

use arbitrary::{Arbitrary, Result, Unstructured};
use k485_proto::address::{Address, Class};
use k485_proto::frame::{Frame, HEAD, MAX_DATA};
use k485_proto::message;
use k485_proto::status::Status;

pub mod capture;

/// The first byte of inputs that are taken as they are.
pub const RAW: u8 = b'r';

/// An address that is mostly one of those that sources name.
pub fn address(u: &mut Unstructured<'_>) -> Result<Address> {
    const KNOWN: [u8; 17] = [
        0x01, 0x02, 0x03, 0x04, 0x11, 0x21, 0x22, 0x80, 0x81, 0x84, 0x91, 0xea, 0xeb, 0xfc, 0xfd,
        0xfe, 0xff,
    ];
    Ok(Address(if u.ratio(7, 8)? { *u.choose(&KNOWN)? } else { u.arbitrary()? }))
}

/// A STATUS: mostly a request's or a good reply's.
pub fn status(u: &mut Unstructured<'_>) -> Result<Status> {
    Ok(Status(match u.int_in_range(0..=7)? {
        0..=2 => 0x00,
        3..=5 => 0xff,
        6 => *u.choose(&[0x01, 0x02, 0x03, 0x08, 0x0c, 0x30])?,
        _ => u.arbitrary()?,
    }))
}

/// A declared function with an address of its class.
pub fn function(u: &mut Unstructured<'_>) -> Result<(Address, &'static message::Function)> {
    let class = *u.choose(&Class::ALL)?;
    let function = *u.choose(message::functions(class))?;
    let addr = match class {
        Class::Box => *u.choose(&[0x01, 0x02, 0x04, 0xfe, 0xea, 0xeb])?,
        Class::Addressing => *u.choose(&[0x01, 0x03, 0x81, 0xfe, 0xfd, 0xff])?,
        Class::Motor => *u.choose(&[0x80, 0x81, 0x82, 0x88, 0xfd])?,
        Class::Belt => *u.choose(&[0x21, 0x22])?,
        Class::Rack | Class::Other(_) => 0x11,
    };
    Ok((Address(addr), function))
}

/// DATA of a frame: short, in fields' sizes or with a tag's text in it, now and then of any length.
pub fn data(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let size = match u.int_in_range(0..=7)? {
        0 => 0,
        1..=5 => u.int_in_range(0..=15)?,
        6 => u.int_in_range(0..=60)?,
        _ => u.int_in_range(0..=MAX_DATA)?,
    };
    if u.ratio(1, 8)? {
        let mut text = Vec::new();
        while text.len() < size && !u.is_empty() {
            let bodies: [&[u8]; 4] =
                [b"none", b"busy", b"A02100001101001010FFFFFF0165000001000000", b""];
            text.extend_from_slice(&[*u.choose(b"ABCDE")?, b':']);
            text.extend_from_slice(u.choose(&bodies)?);
            text.push(b';');
        }
        text.truncate(size);
        return Ok(text);
    }
    // Small numbers are what most fields know.
    let small = u.ratio(1, 2)?;
    (0..size).map(|_| if small { u.int_in_range(0..=17) } else { u.arbitrary() }).collect()
}

/// What a frame says, without its framing.
#[derive(Debug, Clone)]
pub struct Plain {
    /// ADDR.
    pub addr: Address,
    /// STATUS.
    pub status: Status,
    /// FUNC.
    pub func: u8,
    /// DATA, never longer than a frame can carry.
    pub data: Vec<u8>,
}

impl Plain {
    /// The frame on the wire.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        Frame::to_vec(self.addr, self.status, self.func, &self.data)
            .expect("no more data than a frame can carry")
    }

    /// The frame as the host's calls carry it.
    #[must_use]
    pub fn bare(&self) -> Vec<u8> {
        let wire = self.wire();
        wire[1..wire.len() - 1].to_vec()
    }
}

impl<'a> Arbitrary<'a> for Plain {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (addr, func) = if u.ratio(3, 4)? {
            let (addr, function) = function(u)?;
            (addr, function.code)
        } else {
            (address(u)?, u.arbitrary()?)
        };
        Ok(Plain { addr, status: status(u)?, func, data: data(u)? })
    }
}

/// The next thing on a wire where `last` was the last frame: a frame, a reply, a retry, or a
/// disturbance.
pub fn next_piece(u: &mut Unstructured<'_>, last: &mut Option<Plain>) -> Result<Vec<u8>> {
    let frame = match (u.int_in_range(0..=9)?, &*last) {
        (0..=2, Some(last)) => Plain { status: status(u)?, data: data(u)?, ..last.clone() },
        (3, Some(last)) => last.clone(),
        (4, _) => return noise(u),
        (5, _) => {
            let mut wire = Plain::arbitrary(u)?.wire();
            let at = u.choose_index(wire.len())?;
            if u.ratio(1, 2)? {
                wire[at] ^= u.int_in_range(1..=255)?;
            } else {
                wire.truncate(at);
            }
            return Ok(wire);
        }
        _ => Plain::arbitrary(u)?,
    };
    Ok(last.insert(frame).wire())
}

/// Bytes that are no frame but by chance, with heads among them.
fn noise(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let size = if u.ratio(1, 8)? { u.int_in_range(0..=700)? } else { u.int_in_range(0..=9)? };
    (0..size).map(|_| if u.ratio(1, 8)? { Ok(HEAD) } else { u.arbitrary() }).collect()
}
