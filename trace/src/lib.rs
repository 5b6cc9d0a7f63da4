//! Method-call traces of the closed host modules and the bus records inside them.
