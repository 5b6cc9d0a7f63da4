//! Watching the bus: capture formats and their readers.
//!
//! - [`discover`]: layouts out of payloads that nobody declared;
//! - [`framer`]: records out of bytes, wherever they come from;
//! - [`live`]: ports that are heard, decoded and merged as it happens;
//! - [`capture`]: what a capture format is, and which one an input is in;
//! - [`format`](mod@format): one module a format;
//! - [`keep`]: a live capture in files, while it is watched;
//! - [`stats`]: a capture in figures;
//! - [`diff`]: what differs between two captures;
//! - [`doctor`]: what is wrong with a line, and how fast it is;
//! - [`speak`]: sending, with a guard, and with everything heard meanwhile observed;
//! - [`fields`]: what a frame says as a flat list;
//! - [`fold`]: steady polling told in one line;
//! - [`trigger`]: only what is around a match, before and after it;
//! - [`changes`]: one row a request, and which of its fields change;
//! - [`portrait`]: what a bus looks like, as far as its frames tell;
//! - [`replay`]: a capture played again, as the host or as the devices.
//!
//! A reader is an iterator over records and complaints in the order of its source. It holds a
//! bounded part of the source, however long that is; no input panics; and a place that it cannot
//! read becomes a complaint with the place in it, never a gap.

pub mod capture;
pub mod changes;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod fields;
pub mod fold;
pub mod format;
pub mod framer;
pub mod keep;
pub mod live;
pub mod portrait;
pub mod replay;
pub mod speak;
pub mod stats;
pub mod trigger;
