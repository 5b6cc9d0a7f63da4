//! What frames say: the declarations of every known function, and their reading.
//!
//! A function is declared once, in the file of its device class ([`boxes`], [`addressing`],
//! [`motors`], [`belts`], [`rack`]), with `functions!` (`declare.rs`). The declaration makes two
//! faces of the same layout: a constant table ([`Function`], [`Form`], [`Field`]), which text,
//! JSON and the book read, and typed requests and replies, which the emulator and the host engine
//! use. A property test holds the two equal.
//!
//! Reading is total: a function without a declaration keeps its bytes, a payload that does not fit
//! keeps what no field claimed, and says what is wrong.

pub mod codes;
pub(crate) mod declare;
pub mod kind;
mod layout;
pub mod params;
mod read;
pub mod tag;
pub mod value;
mod write;

pub mod addressing;
pub mod belts;
pub mod boxes;
pub mod motors;
pub mod rack;

pub use kind::{Context, FieldType, Kind, Width};
pub use layout::{Field, FieldValue, Form, Function, StatusRule};
pub use read::{Message, Misfit};
pub use value::Value;
pub use write::EncodeError;

use crate::address::Class;
use crate::frame::Frame;
use crate::record::Direction;

/// The declared functions of one class, before any dialect; none for a dialect's own classes.
#[must_use]
pub fn functions(class: Class) -> &'static [&'static Function] {
    match class {
        Class::Box => boxes::FUNCTIONS,
        Class::Addressing => addressing::FUNCTIONS,
        Class::Motor => motors::FUNCTIONS,
        Class::Belt => belts::FUNCTIONS,
        Class::Rack => rack::FUNCTIONS,
        Class::Other(_) => &[],
    }
}

/// Every declared function, class by class.
pub fn all_functions() -> impl Iterator<Item = &'static Function> {
    Class::ALL.into_iter().flat_map(|class| functions(class).iter().copied())
}

/// Reads a frame that calls or answers `function`: as a request, as a reply (with its request where
/// it is known), or, with the direction unknown, as whichever of the two fits alone.
pub(crate) fn decode<'a>(
    function: &'static Function,
    frame: &Frame<'a>,
    dir: Option<Direction>,
    request: Option<&Frame<'_>>,
) -> Message<'a> {
    let data = frame.data();
    let reply =
        || function.decode_reply(frame.addr(), frame.status(), data, request.map(|r| r.data()));
    match dir {
        Some(Direction::Request) => function.decode_request(frame.addr(), data),
        Some(Direction::Response) => reply(),
        None => {
            let (asked, answered) = (function.decode_request(frame.addr(), data), reply());
            match (asked.misfit, answered.misfit) {
                (None, Some(_)) => asked,
                (Some(_), None) => answered,
                _ if asked.fields == answered.fields && asked.misfit.is_none() => asked,
                _ => Message { function: Some(function), rest: data, ..Message::default() },
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
