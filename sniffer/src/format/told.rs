//! What the tests of the readers of other tools' texts compare.

use std::io::Cursor;

use k485_proto::frame::Hex;
use k485_proto::record::{Complaint, Direction, Record, Verdict};

use crate::capture::Format;

/// All that a text holds.
pub(super) fn read(
    format: &dyn Format,
    text: impl Into<Vec<u8>>,
) -> Vec<Result<Record, Complaint>> {
    format.read("a.txt", Box::new(Cursor::new(text.into()))).collect()
}

/// Time in nanoseconds, bus, direction, bytes of whole frames as such; complaints as they print.
pub(super) fn told(format: &dyn Format, text: impl Into<Vec<u8>>) -> Vec<String> {
    let show = |item: Result<Record, Complaint>| match item {
        Ok(record) => {
            let time = record.time.map_or("-".to_owned(), |time| time.0.to_string());
            let dir = record.dir.map_or("?", Direction::name);
            let noise = if record.verdict == Verdict::Frame { "" } else { " noise" };
            format!("{time} {} {dir} {}{noise}", record.bus, Hex(&record.bytes))
        }
        Err(complaint) => complaint.to_string(),
    };
    read(format, text).into_iter().map(show).collect()
}
