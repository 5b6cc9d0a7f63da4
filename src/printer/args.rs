//! Options of all commands that speak to a printer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Place, Printer, PrinterError};
use crate::length::Length;
use crate::send::positive;

/// The environment variable with Moonraker's API key: one on the command line is seen by all.
const KEY: &str = "K485_API_KEY";

/// Where the printer is, and how it is spoken to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PrinterArgs {
    /// The printer: HOST or HOST:PORT of Moonraker (7125), or the path of Klipper's API socket
    #[arg(value_name = "HOST")]
    pub(crate) host: Place,
    /// Moonraker's API key, where it does not trust this machine; or in K485_API_KEY
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// How long to wait until a command is done
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = positive)]
    timeout: Length,
}

impl PrinterArgs {
    /// Connects.
    pub(crate) fn open(&self, stop: Arc<AtomicBool>) -> Result<Printer, PrinterError> {
        let key = self.api_key.clone().or_else(|| std::env::var(KEY).ok());
        Printer::open(&self.host, key.as_deref(), stop)
    }

    /// How long a command may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.0.unsigned_abs())
    }
}
