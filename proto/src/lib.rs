//! The wire and the language of the RS-485 bus in Creality's K2 family printers and CFS filament
//! boxes.
//!
//! The crate turns bytes into meaning, one step a module, and knows no I/O, no clock and no
//! runtime:
//!
//! - [`frame`]: one packet `F7 ADDR LEN STATUS FUNC DATA… CRC`, as a checked view and as bytes;
//! - [`deframer`]: frames and noise out of a byte stream in any chunking, losing nothing;
//! - [`address`], [`slot`], [`status`], [`key`], [`material`]: the vocabulary of the payloads;
//! - [`evidence`]: how a fact is known, a word that every table carries;
//! - [`message`]: the declarations of every known function, the one place a layout is written;
//! - [`effect`](mod@effect): what a request does, for whoever is about to send it;
//! - [`dialect`]: the same frames with other tables, as overlays;
//! - [`record`], [`direction`], [`exchange`], [`host`]: what was seen, which way it went, and
//!   requests paired with their replies under the time-outs and retries of the vendor's host;
//! - [`feed`](mod@feed): whether a box is feeding, so that nobody speaks into it;
//! - [`line`](mod@line): what was seen as words for people;
//! - [`filter`]: the one filter language over frames, noise, gaps and exchanges;
//! - `strict` (feature `toml`): TOML read strictly, every error at its place;
//! - [`unzip`](mod@unzip): the delta packing of the pressure sensor's data (not on this bus, but
//!   in every trace of it).
//!
//! Three promises hold everywhere and are property tests: no input panics, no input byte is
//! dropped, and the way a stream is cut into chunks never changes the result.
//!
//! `no_std` with `alloc`; the feature `std` is on by default, `serde` gives the types
//! serialization, `codec` adds a `tokio_util::codec` adapter, `toml` reads and writes dialects.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod address;
#[cfg(feature = "codec")]
pub mod codec;
pub mod crc;
pub mod deframer;
pub mod dialect;
pub mod direction;
pub mod effect;
pub mod evidence;
pub mod exchange;
pub mod feed;
pub mod filter;
pub mod frame;
mod gap;
pub mod host;
pub mod key;
pub mod line;
pub mod material;
pub mod message;
pub mod record;
pub mod slot;
pub mod status;
#[cfg(feature = "toml")]
pub mod strict;
pub mod unzip;
