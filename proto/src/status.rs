//! STATUS codes.

/// The STATUS byte of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Done, or nothing wrong.
    pub const OK: Status = Status(0x00);
    /// What requests to boxes and the rack carry.
    pub const REQUEST: Status = Status(0xff);
}
