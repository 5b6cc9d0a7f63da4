//! x
pub mod hunt;
