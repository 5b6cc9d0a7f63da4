//! Where the bytes of the bus come from: serial ports and pseudo-terminals.
