//! What of the bus is shown, on the main thread.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use k485_proto::exchange::Seen;
use k485_sniffer::fold::Fold;

use super::outlet::News;
use crate::changes::{Action, ChangesView};
use crate::view::View;
