//! Flushing at a change of filament: how much the host pushes through the nozzle, and how to find
//! out.
//!
//! - [`volume`]: the host's own function from two colours to a volume, and how it cuts a length;
//! - [`plan`]: which changes to make, in an order that makes none twice;
//! - [`session`]: what of a plan is done, in a file that is a trace itself;
//! - [`samples`]: the flushes that a trace holds;
//! - [`spools`]: what is in the slots, from all places of a trace that tell it;
//! - [`fit`]: models of the lengths, each judged by pairs that it was not given.

pub mod args;
pub mod fit;
pub mod plan;
pub mod samples;
pub mod session;
pub mod spools;
pub mod volume;

pub use plan::{Loaded, Pair, Step, Wanted};
pub use samples::{Flushes, Sample};
pub use session::Session;
pub use spools::{Spool, Spools};
