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
mod declare;
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

use crate::address::{Address, Class};
use crate::frame::Frame;
use crate::record::Direction;

/// The functions of one class.
#[must_use]
pub fn functions(class: Class) -> &'static [&'static Function] {
    match class {
        Class::Box => boxes::FUNCTIONS,
        Class::Addressing => addressing::FUNCTIONS,
        Class::Motor => motors::FUNCTIONS,
        Class::Belt => belts::FUNCTIONS,
        Class::Rack => rack::FUNCTIONS,
    }
}

/// Every declared function, class by class.
pub fn all_functions() -> impl Iterator<Item = &'static Function> {
    Class::ALL.into_iter().flat_map(|class| functions(class).iter().copied())
}

/// The function that a frame calls or answers, by its address and FUNC.
///
/// A0–A3 are address management on every address, and so is 0B to everyone; a box has a 0B of its
/// own.
#[must_use]
pub fn find(addr: Address, func: u8) -> Option<&'static Function> {
    let managed = matches!(func, 0xa0..=0xa3) || (func == 0x0b && addr.is_broadcast());
    // The motors' address broadcast goes to FF, where no other class is spoken to.
    let class = match addr.class() {
        _ if managed => Class::Addressing,
        Some(class) => class,
        None if addr == Address::ALL => Class::Motor,
        None => return None,
    };
    functions(class).iter().copied().find(|function| function.code == func)
}

/// Reads a frame: as a request, as a reply (with its request where it is known), or, with the
/// direction unknown, as whichever of the two fits alone.
#[must_use]
pub fn decode<'a>(
    frame: &Frame<'a>,
    dir: Option<Direction>,
    request: Option<&Frame<'_>>,
) -> Message<'a> {
    let addr = request.map_or(frame.addr(), Frame::addr);
    let func = request.map_or(frame.func(), Frame::func);
    let Some(function) = find(addr, func) else {
        return Message { rest: frame.data(), ..Message::default() };
    };
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
