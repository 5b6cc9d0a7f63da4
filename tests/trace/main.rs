//! `k485 trace` through the binary: a server that plays the documented stream on a real TCP
//! connection, and what is in the files, on the screen, and in trees made of them.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod exchanges;
mod keep;
mod ours;
mod ssh;
mod stream;
mod tree;
mod view;
