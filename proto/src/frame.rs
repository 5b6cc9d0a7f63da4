//! One packet on the wire: `F7 | ADDR | LEN | STATUS | FUNC | DATA[0..n] | CRC`.
//!
//! LEN is one byte and counts STATUS to CRC, so it is `n + 3` and a whole frame is `LEN + 3` bytes
//! long (6 to 258). There is no escaping: F7 may occur inside a frame. Source: every frame of two
//! independent captures, and the box firmware's parser (docs, section "Frame").
//!
//! Nothing in this module panics on any input.

use alloc::vec::Vec;
use core::fmt;

use nom::bytes::streaming::{tag, take};
use nom::number::streaming::u8 as byte;
use nom::{IResult, Parser};

use crate::address::Address;
use crate::crc::crc8;
use crate::status::Status;

/// The first byte of every frame.
pub const HEAD: u8 = 0xf7;
/// The smallest LEN: STATUS, FUNC and CRC, no DATA.
pub const MIN_LEN: u8 = 3;
/// The shortest frame, in bytes.
pub const MIN_FRAME: usize = MIN_LEN as usize + 3;
/// The longest frame, in bytes (LEN 255).
pub const MAX_FRAME: usize = u8::MAX as usize + 3;
/// The most DATA bytes a frame can carry.
pub const MAX_DATA: usize = u8::MAX as usize - MIN_LEN as usize;

/// A checked view of one frame: head, length and CRC are right.
///
/// It borrows the bytes and copies nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    raw: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte is not F7.
    #[error("no frame head: expected f7, found {found:02x}")]
    NoHead {
        /// The byte where F7 was expected.
        found: u8,
    },
    /// LEN is below 3, the smallest that holds STATUS, FUNC and CRC.
    #[error("bad length: LEN is {len}, the least is 3")]
    BadLength {
        /// LEN as received.
        len: u8,
    },
    /// The CRC over LEN..DATA does not match the last byte.
    #[error("bad CRC: expected {expected:02x}, received {received:02x}")]
    BadCrc {
        /// The CRC computed from the bytes.
        expected: u8,
        /// The CRC byte of the candidate.
        received: u8,
    },
    /// There are fewer bytes than LEN asks for.
    #[error("truncated: {have} bytes, a frame needs {need}")]
    Truncated {
        /// How many bytes the frame needs; while LEN is not there yet, what the head needs.
        need: usize,
        /// How many bytes there are.
        have: usize,
    },
    /// A whole frame is followed by more bytes ([`Frame::from_bytes`] only).
    #[error("{extra} bytes after the frame's end")]
    Trailing {
        /// How many bytes follow.
        extra: usize,
    },
    /// More DATA than LEN can count (emitting only).
    #[error("{len} data bytes do not fit: LEN is one byte, the most is {MAX_DATA}")]
    DataTooLong {
        /// How many DATA bytes were given.
        len: usize,
    },
}

/// The grammar: head, address, LEN, and LEN bytes that end in the CRC.
#[inline]
fn packet(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    let (input, _) = tag(&[HEAD][..])(input)?;
    let (input, (_addr, len)) = (byte, byte).parse(input)?;
    let (input, body) = take(len)(input)?;
    Ok((input, (len, body)))
}

impl<'a> Frame<'a> {
    /// Reads one frame from the front of `input`; gives it and what follows it.
    ///
    /// # Errors
    /// Every [`FrameError`] but `Trailing` and `DataTooLong`. `Truncated` means that more bytes
    /// could still make it a frame; all the others are final.
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let have = input.len();
        match input {
            [first, ..] if *first != HEAD => return Err(FrameError::NoHead { found: *first }),
            [_, _, len, ..] if *len < MIN_LEN => return Err(FrameError::BadLength { len: *len }),
            _ => {}
        }
        match packet(input) {
            Ok((rest, (_len, body))) => {
                let raw = &input[..have - rest.len()];
                let received = body[body.len() - 1];
                let expected = crc8(&raw[2..raw.len() - 1]);
                if received == expected {
                    Ok((Frame { raw }, rest))
                } else {
                    Err(FrameError::BadCrc { expected, received })
                }
            }
            // The head and LEN were checked above, so all that can be wrong is that bytes lack.
            Err(_) => {
                let need = input.get(2).map_or(3, |len| usize::from(*len) + 3);
                Err(FrameError::Truncated { need, have })
            }
        }
    }

    /// Reads `bytes` that must be exactly one frame.
    ///
    /// # Errors
    /// As [`Frame::parse`], and `Trailing` when bytes follow.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match Self::parse(bytes)? {
            (frame, []) => Ok(frame),
            (_, rest) => Err(FrameError::Trailing { extra: rest.len() }),
        }
    }

    /// A frame of bytes that [`Frame::parse`] has accepted before.
    pub(crate) fn checked_before(raw: &'a [u8]) -> Self {
        debug_assert!(Self::from_bytes(raw).is_ok());
        Frame { raw }
    }

    /// The whole frame, head to CRC.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The address. Not covered by the CRC.
    #[must_use]
    pub fn addr(&self) -> Address {
        Address(self.raw[1])
    }

    /// LEN: how many bytes follow it, CRC included.
    #[must_use]
    pub fn len_byte(&self) -> u8 {
        self.raw[2]
    }

    /// STATUS: FF on requests to boxes and the rack, 00 on all other requests, the outcome on
    /// replies.
    #[must_use]
    pub fn status(&self) -> Status {
        Status(self.raw[3])
    }

    /// The function code.
    #[must_use]
    pub fn func(&self) -> u8 {
        self.raw[4]
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        &self.raw[5..self.raw.len() - 1]
    }

    /// The CRC byte, which is right.
    #[must_use]
    pub fn crc(&self) -> u8 {
        self.raw[self.raw.len() - 1]
    }

    /// Appends a frame to `out`; LEN and CRC are computed.
    ///
    /// # Errors
    /// `DataTooLong` above [`MAX_DATA`] bytes; then nothing is appended.
    pub fn emit(
        addr: Address,
        status: Status,
        func: u8,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let len = u8::try_from(data.len() + usize::from(MIN_LEN))
            .map_err(|_| FrameError::DataTooLong { len: data.len() })?;
        let start = out.len();
        out.extend_from_slice(&[HEAD, addr.0, len, status.0, func]);
        out.extend_from_slice(data);
        let crc = crc8(&out[start + 2..]);
        out.push(crc);
        Ok(())
    }

    /// A frame in a fresh vector, as [`Frame::emit`].
    ///
    /// # Errors
    /// `DataTooLong` above [`MAX_DATA`] bytes.
    pub fn to_vec(
        addr: Address,
        status: Status,
        func: u8,
        data: &[u8],
    ) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::with_capacity(data.len() + MIN_FRAME);
        Self::emit(addr, status, func, data, &mut out)?;
        Ok(out)
    }

    /// Whether `bytes` are a *bare* frame as the traced host calls carry them: `ADDR LEN STATUS
    /// FUNC DATA…`, no head and no CRC, with a LEN that fits.
    #[must_use]
    pub fn is_bare(bytes: &[u8]) -> bool {
        bytes.len() >= 4 && usize::from(bytes[1]) + 1 == bytes.len()
    }

    /// The whole frame of a bare one: F7 before it and the CRC behind it.
    ///
    /// # Errors
    /// `Truncated` or `Trailing` when LEN does not fit, `BadLength` when it is below 3.
    pub fn from_bare(bare: &[u8]) -> Result<Vec<u8>, FrameError> {
        let have = bare.len();
        let Some(&len) = bare.get(1) else {
            return Err(FrameError::Truncated { need: 4, have });
        };
        if len < MIN_LEN {
            return Err(FrameError::BadLength { len });
        }
        let need = usize::from(len) + 1;
        if have < need {
            return Err(FrameError::Truncated { need, have });
        }
        if have > need {
            return Err(FrameError::Trailing { extra: have - need });
        }
        let mut out = Vec::with_capacity(have + 2);
        out.push(HEAD);
        out.extend_from_slice(bare);
        out.push(crc8(&bare[1..]));
        Ok(out)
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({})", Hex(self.raw))
    }
}

/// Bytes as lower-case hex without separators.
///
/// ```
/// # use k485_proto::frame::Hex;
/// assert_eq!(Hex(&[0xf7, 0x01]).to_string(), "f701");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A box's reply to the state poll: 25 C, 36 %.
    const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

    #[test]
    fn deconstruct() {
        let (frame, rest) = Frame::parse(&REPLY).unwrap();
        assert!(rest.is_empty());
        assert_eq!(frame.addr(), Address(1));
        assert_eq!(frame.len_byte(), 7);
        assert_eq!(frame.status(), Status::OK);
        assert_eq!(frame.func(), 0x0a);
        assert_eq!(frame.data(), [0x19, 0x24, 0x00, 0x00]);
        assert_eq!(frame.crc(), 0xe7);
    }

    #[test]
    fn construct() {
        let raw = Frame::to_vec(Address(1), Status::OK, 0x0a, &[0x19, 0x24, 0, 0]).unwrap();
        assert_eq!(raw, REPLY);
        let longest = Frame::to_vec(Address(1), Status::OK, 2, &[0; MAX_DATA]).unwrap();
        assert_eq!(longest.len(), MAX_FRAME);
        assert!(Frame::from_bytes(&longest).is_ok());
        assert_eq!(
            Frame::to_vec(Address(1), Status::OK, 2, &[0; MAX_DATA + 1]),
            Err(FrameError::DataTooLong { len: 253 })
        );
    }

    #[test]
    fn every_truncation_says_what_it_needs() {
        for have in 0..REPLY.len() {
            let need = if have < 3 { 3 } else { REPLY.len() };
            assert_eq!(
                Frame::parse(&REPLY[..have]),
                Err(FrameError::Truncated { need, have }),
                "{have} bytes"
            );
        }
    }

    #[test]
    fn errors_carry_their_values() {
        assert_eq!(Frame::parse(&[0x01, 0x03]), Err(FrameError::NoHead { found: 1 }));
        assert_eq!(Frame::parse(&[0xf7, 0x01, 0x02]), Err(FrameError::BadLength { len: 2 }));
        let mut bad = REPLY;
        bad[9] = 0xe6;
        assert_eq!(Frame::parse(&bad), Err(FrameError::BadCrc { expected: 0xe7, received: 0xe6 }));
        let mut long = REPLY.to_vec();
        long.push(0);
        assert_eq!(Frame::from_bytes(&long), Err(FrameError::Trailing { extra: 1 }));
    }

    #[test]
    fn bare_frames() {
        assert!(Frame::is_bare(&[0x02, 0x03, 0xff, 0x0a]));
        assert!(!Frame::is_bare(&[0x02, 0x04, 0xff, 0x0a]));
        assert_eq!(
            Frame::from_bare(&[0x01, 0x03, 0xff, 0x0a]).unwrap(),
            vec![0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]
        );
        assert_eq!(
            Frame::from_bare(&[0x01, 0x04, 0xff, 0x0a]),
            Err(FrameError::Truncated { need: 5, have: 4 })
        );
        assert_eq!(Frame::from_bare(&[0x01]), Err(FrameError::Truncated { need: 4, have: 1 }));
    }
}
