//! What a box is, and how long it takes for things.

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
    /// The version, three characters.
    pub version: [u8; 3],
    /// The serial number; shown with zeros behind it up to 19 characters.
    pub serial: String,
    /// What it measures; `None` is a sensor that does not answer, which reads as zeros.
    pub climate: Option<Climate>,
    /// The parts that fail: EEPROM, humidity sensor, wheel, buffer, left and right tag reader.
    pub failed: [bool; 6],
    /// Whether filament that is put in is preloaded and its tag read.
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
            version: *b"113",
            serial: "10000000000000000A1".to_owned(),
            climate: Some(Climate { temperature: 25, humidity: 30 }),
            failed: [false; 6],
            preload: true,
            timings: Timings::default(),
        }
    }
}

/// Durations in ms and lengths in mm. The defaults are the firmware's, by disassembly where its
/// code says them, else as they were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Timings {
    /// The longest gap between two bytes of a frame.
    pub byte_gap: u32,
    /// The end of the window in which A1 is answered.
    pub introduction: u32,
    /// What the wheel counts: mm a step of its sensor.
    pub wheel_step: f32,
    /// How long a photo sensor is looked at before it counts as dark.
    pub dark: u32,
    /// From filament in the inlet to its feeder's start.
    pub inserted: u32,
    /// The wait after a motor was stopped, before anything else.
    pub settle: u32,
    /// Before the feeder of 10/00 starts, beside what the sensors take.
    pub to_hub_start: u32,
    /// 10/00: how long until the hub sensor must see filament, from the feeder's start.
    pub to_hub: u32,
    /// 10/00: from the hub sensor to the hub motor's start.
    pub hub_seen: u32,
    /// 10/00: how long until the wheel must have turned `grip`.
    pub grip_limit: u32,
    /// 10/00: how far the wheel turns before the gear counts as gripping. (The code's figure is
    /// 20; what was seen fits 13 to 16.)
    pub grip: f64,
    /// 10/00: how long the hub motor then runs.
    pub hub_run: u32,
    /// Feeding: the period of its loop.
    pub poll: u32,
    /// Feeding: from the first byte seen to reading what is there.
    pub poll_read: u32,
    /// Feeding: so many looks in a row without motion end it.
    pub still: u32,
    /// Feeding: so many looks end it.
    pub feed_looks: u32,
    /// Feeding: so far, in mm.
    pub feed_length: f64,
    /// 10/06: how long until the buffer must be full.
    pub fill: u32,
    /// 10/06: how long the motor still runs when it is.
    pub fill_end: u32,
    /// 10/07: how many looks it takes at most.
    pub push_looks: u32,
    /// 11: the feeder's short run, back (00) or forward (01).
    pub nudge: u32,
    /// 11/00: how long until the buffer must be empty.
    pub empty: u32,
    /// 11/01: before the motors start.
    pub back_start: u32,
    /// 11/01: how long without the wheel turning is one try.
    pub back_still: u32,
    /// 11/01: the pause after such a try.
    pub back_pause: u32,
    /// 11/01: how long altogether.
    pub back: u32,
    /// 11/01: how long the feeder alone tries to free the hub at the end.
    pub back_free: u32,
    /// Pretension: how far past the hub sensor's change the feeder runs, each way.
    pub overrun: u32,
    /// How long a tag is waited for when no reader sees one, beyond the pretension.
    pub tag_settle: u32,
    /// How long a turn of the spool before the reader takes, one way.
    pub tag_turn: u32,
    /// How many turns it takes until a slot counts as without a tag.
    pub tag_turns: u32,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings {
            byte_gap: 120,
            introduction: 1000,
            wheel_step: 0.000_788_641_34,
            dark: 20,
            inserted: 118,
            settle: 200,
            to_hub_start: 2,
            to_hub: 6970,
            hub_seen: 66,
            grip_limit: 2000,
            grip: 15.0,
            hub_run: 3199,
            poll: 20,
            poll_read: 2,
            still: 25,
            feed_looks: 1250,
            feed_length: 3000.0,
            fill: 3000,
            fill_end: 9,
            push_looks: 15,
            nudge: 30,
            empty: 5000,
            back_start: 89,
            back_still: 1000,
            back_pause: 117,
            back: 40_000,
            back_free: 7000,
            overrun: 127,
            tag_settle: 5000,
            tag_turn: 3000,
            tag_turns: 3,
        }
    }
}
