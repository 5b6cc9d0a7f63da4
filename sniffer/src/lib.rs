//! Watching the bus: capture formats and their readers.
