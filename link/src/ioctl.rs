//! The control lines, which no safe wrapper sets on a descriptor that is not its own: the one file
//! of this crate with `unsafe`.

#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use rustix::io;
use rustix::ioctl::{Opcode, Setter, ioctl};

/// Takes RTS and DTR back, both in one request.
pub(crate) fn lower_rts_and_dtr(fd: BorrowedFd<'_>) -> io::Result<()> {
    const CLEAR: Opcode = libc::TIOCMBIC as Opcode;
    // SAFETY: TIOCMBIC reads one int, the mask of the lines to clear, through the pointer, and
    // writes nothing; `Setter` keeps the int alive during the call and passes its address.
    unsafe { ioctl(fd, Setter::<CLEAR, libc::c_int>::new(libc::TIOCM_RTS | libc::TIOCM_DTR)) }
}
