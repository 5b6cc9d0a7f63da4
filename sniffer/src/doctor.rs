//! x
pub mod hunt;
mod can;
mod repeats;
mod swapped;
