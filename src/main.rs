//! The `k485` command.
fn main() {}
