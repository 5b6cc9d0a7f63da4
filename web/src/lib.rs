//! The HTTP face of a bus: what it looks like, what is done to it, and what it carries, for pages
//! and programs.
//!
//! A [`Server`] has a thread and a runtime of its own, so that a page never delays a reply on the
//! bus. It knows nothing of emulators and ports: a [`Backend`] is what stands behind it, and a
//! [`Feed`] is what the bus carried. Whoever reads too slowly is told how much they missed, and slows
//! nobody.
//!
//! Who may ask is decided in one place, [`access`]: the address that was asked for must be the
//! server's (so that no other page's name is led here), the page that asks must be the server's own,
//! and whoever changes something must know the [`Token`].

pub mod access;
mod backend;
mod body;
mod events;
mod feed;
mod openapi;
mod page;
mod refusal;
mod routes;
mod server;
mod token;
mod words;

pub use backend::{Backend, ClockChange, ClockState, Kind};
pub use feed::{CAPACITY, Feed, Item, Page};
pub use refusal::{Refusal, Wrong};
pub use server::{Config, OpenError, Server};
pub use token::{Token, TokenError};
