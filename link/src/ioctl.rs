//! The requests to a terminal that no safe wrapper makes: the one file of this crate with `unsafe`.
//!
//! All but the control lines are Linux's alone; elsewhere they are refused with `ENOTTY`, as a
//! driver without them does.

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

#[cfg(target_os = "linux")]
pub(crate) use linux::{line_errors, set_low_latency, set_rs485};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{line_errors, set_low_latency, set_rs485};

/// The layouts are those of Linux, `include/uapi/linux/serial.h`; the same on every architecture.
#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::BorrowedFd;

    use rustix::io;
    use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl};

    use crate::link::LineErrors;
    use crate::port::Rs485;

    /// `struct serial_icounter_struct`.
    #[repr(C)]
    struct Counters {
        modem_lines: [libc::c_int; 4],
        received: libc::c_int,
        sent: libc::c_int,
        framing: libc::c_int,
        overrun: libc::c_int,
        parity: libc::c_int,
        breaks: libc::c_int,
        buffer_overrun: libc::c_int,
        reserved: [libc::c_int; 9],
    }

    /// The driver's counters since it was loaded. They wrap.
    pub(crate) fn line_errors(fd: BorrowedFd<'_>) -> io::Result<LineErrors> {
        const GET: Opcode = libc::TIOCGICOUNT as Opcode;
        // SAFETY: TIOCGICOUNT fills in the whole of the struct whose layout `Counters` has (the
        // kernel copies it out zeroed first), and reads nothing through the pointer.
        let c = unsafe { ioctl(fd, Getter::<GET, Counters>::new()) }?;
        Ok(LineErrors {
            framing: c.framing.cast_unsigned(),
            parity: c.parity.cast_unsigned(),
            overrun: c.overrun.cast_unsigned(),
            buffer_overrun: c.buffer_overrun.cast_unsigned(),
            breaks: c.breaks.cast_unsigned(),
        })
    }

    /// `struct serial_struct`. Only `flags` is changed; the rest goes back as it came.
    #[repr(C)]
    struct Serial {
        kind: libc::c_int,
        line: libc::c_int,
        port: libc::c_uint,
        irq: libc::c_int,
        flags: libc::c_int,
        xmit_fifo_size: libc::c_int,
        custom_divisor: libc::c_int,
        baud_base: libc::c_int,
        close_delay: libc::c_ushort,
        io_type: libc::c_char,
        reserved_char: [libc::c_char; 1],
        hub6: libc::c_int,
        closing_wait: libc::c_ushort,
        closing_wait2: libc::c_ushort,
        iomem_base: *mut libc::c_uchar,
        iomem_reg_shift: libc::c_ushort,
        port_high: libc::c_uint,
        iomap_base: libc::c_ulong,
    }

    /// `ASYNC_LOW_LATENCY`, the one of `serial_struct`'s flags that any user may set.
    const LOW_LATENCY: libc::c_int = 1 << 13;

    /// Asks the driver to hand bytes over at once. An FTDI adapter then waits 1 ms instead of 16.
    pub(crate) fn set_low_latency(fd: BorrowedFd<'_>) -> io::Result<()> {
        const GET: Opcode = libc::TIOCGSERIAL as Opcode;
        const SET: Opcode = libc::TIOCSSERIAL as Opcode;
        // SAFETY: TIOCGSERIAL fills in the whole of the struct whose layout `Serial` has, and
        // reads nothing through the pointer. Every bit pattern is a valid `Serial`; its pointer is
        // never followed here.
        let mut serial = unsafe { ioctl(fd, Getter::<GET, Serial>::new()) }?;
        if serial.flags & LOW_LATENCY != 0 {
            return Ok(());
        }
        serial.flags |= LOW_LATENCY;
        // SAFETY: TIOCSSERIAL reads one `serial_struct` through the pointer and writes nothing;
        // `Setter` keeps it alive during the call.
        unsafe { ioctl(fd, Setter::<SET, Serial>::new(serial)) }
    }

    /// `struct serial_rs485`.
    #[repr(C)]
    struct Rs485Settings {
        flags: u32,
        delay_before_send: u32,
        delay_after_send: u32,
        reserved: [u32; 5],
    }

    /// `SER_RS485_ENABLED` and `SER_RS485_RTS_ON_SEND`.
    const ENABLED: u32 = 1;
    const RTS_ON_SEND: u32 = 1 << 1;

    /// Has the driver raise RTS while it sends.
    pub(crate) fn set_rs485(fd: BorrowedFd<'_>, wanted: Rs485) -> io::Result<()> {
        const SET: Opcode = libc::TIOCSRS485 as Opcode;
        let milliseconds =
            |delay: std::time::Duration| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        let mut settings = Rs485Settings {
            flags: ENABLED | RTS_ON_SEND,
            delay_before_send: milliseconds(wanted.before),
            delay_after_send: milliseconds(wanted.after),
            reserved: [0; 5],
        };
        // SAFETY: TIOCSRS485 reads the struct whose layout `Rs485Settings` has through the pointer
        // and writes back, into the same struct, what the driver made of it; `Updater` passes the
        // address of one that is borrowed mutably during the call.
        unsafe { ioctl(fd, Updater::<SET, Rs485Settings>::new(&mut settings)) }?;
        // A driver that takes the request and leaves the mode off would never switch to sending.
        if settings.flags & ENABLED == 0 { Err(io::Errno::OPNOTSUPP) } else { Ok(()) }
    }

    #[cfg(test)]
    mod tests {
        use std::mem::{offset_of, size_of};

        use super::*;

        /// As `sizeof` and `offsetof` say in C on a 64-bit machine.
        #[test]
        #[cfg(target_pointer_width = "64")]
        fn the_layouts_are_the_kernels() {
            assert_eq!(size_of::<Counters>(), 80);
            assert_eq!(offset_of!(Counters, framing), 24);
            assert_eq!(size_of::<Serial>(), 72);
            assert_eq!(offset_of!(Serial, flags), 16);
            assert_eq!(offset_of!(Serial, iomem_base), 48);
            assert_eq!(size_of::<Rs485Settings>(), 32);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::os::fd::BorrowedFd;

    use rustix::io;

    use crate::link::LineErrors;
    use crate::port::Rs485;

    pub(crate) fn line_errors(_: BorrowedFd<'_>) -> io::Result<LineErrors> {
        Err(io::Errno::NOTTY)
    }

    pub(crate) fn set_low_latency(_: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::Errno::NOTTY)
    }

    pub(crate) fn set_rs485(_: BorrowedFd<'_>, _: Rs485) -> io::Result<()> {
        Err(io::Errno::NOTTY)
    }
}
