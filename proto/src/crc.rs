//! The frame's check: CRC-8 with polynomial 0x07, initial value 0, no reflection, no final xor
//! (the catalogue's CRC-8/SMBUS), over LEN, STATUS, FUNC and DATA.
//!
//! Head and address are outside it: a frame whose address was damaged on the wire still passes.

use crc::{CRC_8_SMBUS, Crc, Table};

const CRC: Crc<u8, Table<1>> = Crc::<u8, Table<1>>::new(&CRC_8_SMBUS);

/// The CRC of `bytes`, which run from LEN to the last DATA byte.
///
/// ```
/// // F7 01 03 FF 0A 5C, the poll for a box's state: the CRC covers 03 FF 0A.
/// assert_eq!(k485_proto::crc::crc8(&[0x03, 0xff, 0x0a]), 0x5c);
/// ```
#[must_use]
pub fn crc8(bytes: &[u8]) -> u8 {
    CRC.checksum(bytes)
}
