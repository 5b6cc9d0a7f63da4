//! Watching the bus: capture formats and their readers.
//!
//! - [`framer`]: records out of bytes, wherever they come from.

pub mod framer;
