//! Writes the tables of the protocol's pages from the declarations.
//!
//! `cargo run -p k485-proto --example protocol_book -- docs/protocol.md docs/motor-parameters.md`
//! writes anew what lies between `<!-- generated: NAME -->` and `<!-- end -->` in these pages and
//! leaves the rest of them as it is. `tests/book.rs` fails when that was forgotten.

#![allow(clippy::print_stderr, reason = "a program talks to a person")]

mod book;

use std::env;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<String> = env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: protocol_book PAGE.md…");
        return ExitCode::from(2);
    }
    for path in paths {
        if let Err(error) = rewrite(&path) {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn rewrite(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let old = fs::read_to_string(path)?;
    let new = book::rewrite(&old)?;
    if new != old {
        fs::write(path, new)?;
        eprintln!("{path}: written anew");
    }
    Ok(())
}
