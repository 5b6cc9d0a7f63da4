//! `k485 emulate --control` at a real pseudo-terminal: the HTTP face, its safety, the virtual time,
//! and `k485 ctl`.

mod api;
mod bench;
mod command;
mod http;
mod safety;
mod stream;
mod time;
