//! A live bus: what ports tell, from the reading of each to one stream of what was seen.
//!
//! - [`reader`]: a thread a port, which does nothing but read, take the time, and open the port
//!   anew when it comes back;
//! - [`queue`]: what waits between the readers and whoever decodes, bounded in bytes;
//! - [`decoder`]: the decoding, without threads and without a clock: bytes of several ports to
//!   records, merged by time, to exchanges.

pub mod decoder;
pub mod queue;
pub mod reader;

pub use decoder::Decoder;
pub use queue::{Heard, Queue};
pub use reader::Reader;
