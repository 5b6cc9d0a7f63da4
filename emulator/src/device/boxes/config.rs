//! What a box is, and how long it takes for things.

use crate::table::table;
use k485_proto::address::Address;
use k485_proto::record::Time;

/// What a box measures around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Climate {
    /// In degrees Celsius.
    pub temperature: i8,
    /// In percent.
    pub humidity: i8,
}

/// Whose box it is like, as far as dialects tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// A K2's, and a K1 kit's: their dialects have the same layouts.
    #[default]
    K2,
    /// A Creality Hi's, whose dialect rests on notes where its one capture is silent: 05 is the
    /// cutter's state, a push answers the odometer, STATUS 16 is a box at work.
    Hi,
}

/// What a box is.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxConfig {
    /// Which box of the plant it is.
    pub unit: usize,
    /// When it is switched on.
    pub power_on: Time,
    /// Its identity, by which address management knows it.
    pub uniid: [u8; 12],
    /// The address that it has from the start. The firmware keeps none: it is FE after every
    /// start.
    pub address: Option<Address>,
    /// How long its loader runs before the application, in ms; `u32::MAX` is until it is told.
    pub loader_ms: u32,
    /// Whose box it is like.
    pub family: Family,
    /// The version, three characters.
    pub version: [u8; 3],
    /// The serial number; shown with zeros behind it up to 19 characters.
    pub serial: String,
    /// What its measuring wheel shows at its start, in mm.
    pub odometer: f64,
    /// The slot that it feeds a print from at its start.
    pub printing: Option<usize>,
    /// What it measures; `None` is a sensor that does not answer, which reads as zeros.
    pub climate: Option<Climate>,
    /// The parts that fail: EEPROM, humidity sensor, wheel, buffer, left and right tag reader.
    pub failed: [bool; 6],
    /// Whether filament that is put in is preloaded and its tag read. What is there at the box's start
    /// was not put in: whether the real firmware works such slots was not seen (all that was observed
    /// was put in later), and its host has them worked by 0D when it wants that.
    pub preload: bool,
    /// How long things take.
    pub timings: Timings,
}

impl Default for BoxConfig {
    fn default() -> BoxConfig {
        BoxConfig {
            unit: 0,
            power_on: Time(0),
            uniid: *b"\x69\x06\x30\x02\x18\x53\x33\x11\x52\x35\x38\x32",
            address: None,
            loader_ms: 0,
            family: Family::K2,
            version: *b"113",
            serial: "10000000000000000A1".to_owned(),
            odometer: 0.0,
            printing: None,
            climate: Some(Climate { temperature: 25, humidity: 30 }),
            failed: [false; 6],
            preload: true,
            timings: Timings::default(),
        }
    }
}

table! {
    /// Durations in ms and lengths in mm. The defaults are the firmware's, by disassembly where its
    /// code says them, else as they were seen.
    pub struct Timings {
        /// The longest gap between two bytes of a frame.
        byte_gap: u32, in 0..=3_600_000, "ms" = 120;
        /// The end of the window in which A1 is answered.
        introduction: u32, in 0..=3_600_000, "ms" = 1000;
        /// What the wheel counts: mm a step of its sensor.
        wheel_step: f32, in 0.000_001..=1.0, "mm" = 0.000_788_641_34;
        /// How long a photo sensor is looked at before it counts as dark.
        dark: u32, in 0..=3_600_000, "ms" = 20;
        /// From filament in the inlet to its feeder's start.
        inserted: u32, in 0..=3_600_000, "ms" = 118;
        /// The wait after a motor was stopped, before anything else.
        settle: u32, in 0..=3_600_000, "ms" = 200;
        /// Before the feeder of 10/00 starts, beside what the sensors take.
        to_hub_start: u32, in 0..=3_600_000, "ms" = 2;
        /// 10/00: how long until the hub sensor must see filament, from the feeder's start.
        to_hub: u32, in 0..=3_600_000, "ms" = 6970;
        /// 10/00: from the hub sensor to the hub motor's start.
        hub_seen: u32, in 0..=3_600_000, "ms" = 66;
        /// 10/00: how long until the wheel must have turned `grip`.
        grip_limit: u32, in 0..=3_600_000, "ms" = 2000;
        /// 10/00: how far the wheel turns before the gear counts as gripping. (The code's figure is
        /// 20; what was seen fits 13 to 16.)
        grip: f64, in 0..=1_000_000, "mm" = 15.0;
        /// 10/00: how long the hub motor then runs.
        hub_run: u32, in 0..=3_600_000, "ms" = 3199;
        /// Feeding: the period of its loop.
        poll: u32, in 1..=3_600_000, "ms" = 20;
        /// Feeding: from the first byte seen to reading what is there.
        poll_read: u32, in 0..=3_600_000, "ms" = 2;
        /// Feeding: so many looks in a row without motion end it.
        still: u32, in 1..=1_000_000 = 25;
        /// Feeding: so many looks end it.
        feed_looks: u32, in 1..=1_000_000 = 1250;
        /// Feeding: so far, in mm.
        feed_length: f64, in 0..=1_000_000, "mm" = 3000.0;
        /// 10/06: how long until the buffer must be full.
        fill: u32, in 0..=3_600_000, "ms" = 3000;
        /// 10/06: how long the motor still runs when it is.
        fill_end: u32, in 0..=3_600_000, "ms" = 9;
        /// 10/07: how many looks it takes at most.
        push_looks: u32, in 1..=1_000_000 = 15;
        /// 11: the feeder's short run, back (00) or forward (01).
        nudge: u32, in 0..=3_600_000, "ms" = 30;
        /// 11/00: how long until the buffer must be empty.
        empty: u32, in 0..=3_600_000, "ms" = 5000;
        /// 11/01: before the motors start.
        back_start: u32, in 0..=3_600_000, "ms" = 89;
        /// 11/01: how long without the wheel turning is one try.
        back_still: u32, in 0..=3_600_000, "ms" = 1000;
        /// 11/01: the pause after such a try.
        back_pause: u32, in 0..=3_600_000, "ms" = 117;
        /// 11/01: how long altogether.
        back: u32, in 0..=3_600_000, "ms" = 40_000;
        /// 11/01: how long the feeder alone tries to free the hub at the end.
        back_free: u32, in 0..=3_600_000, "ms" = 7000;
        /// Pretension: how far past the hub sensor's change the feeder runs, each way.
        overrun: u32, in 0..=3_600_000, "ms" = 127;
        /// How long a tag is waited for when no reader sees one, beyond the pretension.
        tag_settle: u32, in 0..=3_600_000, "ms" = 5000;
        /// How long a turn of the spool before the reader takes, one way.
        tag_turn: u32, in 0..=3_600_000, "ms" = 3000;
        /// How many turns it takes until a slot counts as without a tag.
        tag_turns: u32, in 0..=1000 = 3;
    }
}
