//! Method-call traces of the closed host modules and the bus records inside them.
//!
//! A trace is text, one JSON object a line: calls, returns and errors of methods of the host's
//! compiled modules, written by a tracer that wraps those methods inside the running host. Calls
//! of the send function carry the frames of the bus, so a trace is also a capture.
//!
//! - [`event`]: one line as a typed event, its times taken exactly;
//! - [`open`]: which return ends which call, over restarted ids and doubled labels;
//! - [`bus`]: the bus records of the send calls;
//! - [`reader`]: files and folders of them as events, or as records, in the order of time;
//! - [`tree`]: calls with what happened within them;
//! - [`files`]: which files belong together;
//! - [`filter`]: conditions over calls; [`stats`]: calls in figures; [`survey`]: what a file holds;
//! - [`stream`]: a running tracer's bytes as lines; [`keep`]: those lines in files;
//! - [`sniff`]: telling a trace by its first bytes;
//! - [`flush`]: what the host flushes at a change of filament, and how to find out;
//! - [`decimal`]: decimal text to integers without rounding through binary floats.
//!
//! What holds everywhere: no input panics, memory is bounded by documented constants and not by
//! the length of the trace, and whatever is skipped is told as a
//! [`Complaint`](k485_proto::record::Complaint).

pub mod bus;
pub mod decimal;
pub mod event;
pub mod files;
pub mod filter;
pub mod flush;
pub mod keep;
mod lines;
mod merge;
pub mod open;
pub mod reader;
mod scan;
mod send;
pub mod sniff;
mod spread;
pub mod stats;
pub mod stream;
pub mod survey;
pub mod tree;

pub use bus::BusRecords;
pub use event::{Event, Kind, Site};
pub use open::OpenCalls;
pub use reader::{EventReader, MergedEvents, TraceReader};
pub use sniff::{begins_with_event, looks_like_trace};
pub use tree::Tree;
