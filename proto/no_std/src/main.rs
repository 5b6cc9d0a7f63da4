//! Proves that k485-proto needs no std: no dependency of it may bring std in by the back door.
//!
//! `cargo check` here is the proof, on any host. Were std anywhere among the dependencies, its
//! panic handler would meet the one below and the compiler would refuse the program (E0152,
//! duplicate lang item `panic_impl`), naming the crate that brought it in. So no bare
//! target needs to be installed.
//!
//! On Linux `cargo run --release` also runs it: exit status 0 when a frame was found and emitted.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use k485_proto::address::Address;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::Frame;

/// The request for box 1's state, with a stray byte before it.
const STREAM: [u8; 7] = [0x00, 0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];

/// k485-proto needs `alloc`, so a machine without std has to bring an allocator.
#[global_allocator]
static ALLOCATOR: emballoc::Allocator<4096> = emballoc::Allocator::new();

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Deframes [`STREAM`] byte by byte and emits what it found once more: 0 when that is right.
///
/// The C library calls it where there is one (`cargo run --release`); on a bare machine a start-up
/// crate would.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    let mut deframer = Deframer::new();
    let (mut right, mut noise) = (0, 0);
    for byte in &STREAM {
        let mut rest = core::slice::from_ref(byte);
        while let Some(span) = deframer.pull(&mut rest) {
            match span {
                Span::Frame { frame, .. } => right += i32::from(comes_back(&frame)),
                Span::Noise(_) => noise += 1,
            }
        }
    }
    i32::from((right, noise) != (1, 1))
}

/// Whether `frame` is for box 1 and, emitted from its parts (with `alloc`), is the same again.
fn comes_back(frame: &Frame<'_>) -> bool {
    frame.addr() == Address(0x01)
        && Frame::to_vec(frame.addr(), frame.status(), frame.func(), frame.data())
            .is_ok_and(|bytes| bytes == frame.raw())
}

// Only so that it links and runs on a Unix host; nothing of it is used by name.
#[cfg(unix)]
#[link(name = "c")]
unsafe extern "C" {}
