//! The tables of a scene: what is on the bus, what is in it and around it.

use crate::device::boxes::Timings;
use crate::plant::Geometry;
use crate::table::{Given, Length, List, Parsed, table};

use super::words::{
    FailedPart, Firmware, LetterWord, Loader, SerialNumber, SlotTag, Uniid, Version2Text,
    VersionText,
};

table! {
    /// The line.
    pub struct BusScene {
        /// Bits a second; whoever talks at another speed hears and says garbage.
        baud: u32, in 300..=4_000_000 = 230_400;
        /// From a request's last byte to its reply's first one, beside what the device itself
        /// takes.
        turnaround: Parsed<Length> = Parsed(Length(1_500_000));
        /// Whether turnaround and byte times are left out.
        fast: bool = false;
        /// Whether whoever talks hears it back, as with a half-duplex adapter.
        echo: bool = false;
    }
}

table! {
    /// The printer behind the boxes: the buffer that they share, the extruder.
    pub struct PrinterScene {
        /// How much slack the buffer can take.
        travel: f64, in 1.0..=1_000.0, "mm" = 20.0;
        /// How much slack it has at the start: 0 is empty, `travel` is full.
        slack: f64, in 0.0..=1_000.0, "mm" = 0.0;
        /// How far filament can reach beyond the extruder's gears, to the nozzle.
        nozzle: f64, in 0.0..=1_000.0, "mm" = 60.0;
        /// How far the filament in the gears reaches beyond them at the start.
        beyond: f64, in 0.0..=1_000.0, "mm" = 0.0;
    }
}

table! {
    /// What boxes measure around them.
    pub struct ClimateScene {
        /// At the start.
        temperature: i8, in -40..=120, "°C" = 25;
        /// At the start.
        humidity: i8, in 0..=100, "%" = 30;
        /// How much the temperature changes in an hour.
        temperature_drift: f64, in -1_000.0..=1_000.0, "°C/h" = 0.0;
        /// How much the humidity changes in an hour.
        humidity_drift: f64, in -1_000.0..=1_000.0, "%/h" = 0.0;
        /// Whether the sensor answers; if not, both read zero.
        answers: bool = true;
    }
}

table! {
    /// A spool.
    pub struct SpoolScene {
        /// The material: a name such as PLA or PETG, or the six characters of a tag.
        material: Option<String> = None;
        /// The colour: six hex digits.
        colour: Option<String> = None;
        /// How much filament there is.
        length: f64, in 0.0..=10_000_000.0, "mm" = 330_000.0;
        /// What a box takes for the rest.
        remain: u8, in 0..=100, "%" = 100;
        /// The serial number on its tag: six characters.
        serial: Option<String> = None;
        /// All 40 characters of its tag, in place of material, colour and serial number.
        tag: Option<String> = None;
    }
}

table! {
    /// What is in a slot of a box. A material, a colour, a serial number or a whole tag make a tag
    /// that can be read; without them the box calls the slot `unknown`.
    pub struct SlotScene {
        /// The material: a name such as PLA or PETG, or the six characters of a tag.
        material: Option<String> = None;
        /// The colour: six hex digits.
        colour: Option<String> = None;
        /// How much filament there is.
        length: f64, in 0.0..=10_000_000.0, "mm" = 330_000.0;
        /// What the box takes for the rest.
        remain: u8, in 0..=100, "%" = 100;
        /// The serial number on its tag: six characters.
        serial: Option<String> = None;
        /// All 40 characters of its tag, in place of material, colour and serial number, or
        /// `unreadable`.
        tag: Option<Parsed<SlotTag>> = None;
        /// Where its tip is, from the inlet; left out, where preloading leaves it: before the hub.
        tip: Option<f64>, in 0.0..=100_000.0, "mm" = None;
    }
}

table! {
    /// A filament box, 1 to 4 in the order of the file. What is left out is as in a new box.
    pub struct BoxScene {
        /// Its address; left out, it has none until a host assigns one.
        address: Option<u8>, in 1..=4 = None;
        /// Its identity, by which hosts know it: 24 hex digits; left out, made of the seed.
        uniid: Option<Parsed<Uniid>> = None;
        /// Which firmware it has. Only 1.1.3 was observed whole; the others differ in the version that
        /// they tell, and `hi` in what its dialect declares.
        firmware: Parsed<Firmware> = Parsed(Firmware::Box113);
        /// The version that it tells, three characters, in place of the firmware's.
        version: Option<Parsed<VersionText>> = None;
        /// Its serial number, at most 19 characters; left out, made of its place.
        serial: Option<Parsed<SerialNumber>> = None;
        /// How long its loader runs before the application does, or `until told`.
        loader: Option<Parsed<Loader>> = None;
        /// When it is plugged in; left out, it is from the start.
        plug_at: Option<Parsed<Length>> = None;
        /// Parts that fail, as its hardware status tells them.
        failed: List<Parsed<FailedPart>> = List(Vec::new());
        /// Whether filament that is put in is preloaded and its tag read.
        preload: bool = true;
        /// The slot that it feeds a print from at the start.
        printing: Option<Parsed<LetterWord>> = None;
        /// What its measuring wheel shows at the start; it falls while filament is fed.
        odometer: f64, in -100_000_000.0..=100_000_000.0, "mm" = 0.0;
        /// What it measures, where that is not the scene's `[climate]`.
        climate: Given<ClimateScene> = Given::default();
        /// Places and speeds of its paths, where they are not the scene's `[geometry]`.
        geometry: Given<Geometry> = Given::default();
        /// Its durations, where they are not the scene's `[timings]`.
        timings: Given<Timings> = Given::default();
        /// What is in slot A; left out, nothing. `{}` is a full spool without a tag.
        a as "A": Option<SlotScene> = None;
        /// What is in slot B.
        b as "B": Option<SlotScene> = None;
        /// What is in slot C.
        c as "C": Option<SlotScene> = None;
        /// What is in slot D.
        d as "D": Option<SlotScene> = None;
    }
}

impl BoxScene {
    /// The slots A to D.
    #[must_use]
    pub fn slots(&self) -> [Option<&SlotScene>; 4] {
        [self.a.as_ref(), self.b.as_ref(), self.c.as_ref(), self.d.as_ref()]
    }

    /// A slot, by its place from 0.
    pub(crate) fn slot_mut(&mut self, slot: usize) -> &mut Option<SlotScene> {
        match slot {
            0 => &mut self.a,
            1 => &mut self.b,
            2 => &mut self.c,
            _ => &mut self.d,
        }
    }
}

table! {
    /// A parameter in a motor's flash.
    pub struct ParamScene {
        /// Its number.
        id: u8, in 0..=255 = 0;
        /// Its value, in the type that the parameter has.
        value: f64 = 0.0;
    }
}

table! {
    /// A closed-loop motor.
    pub struct MotorScene {
        /// Its address, 0x80 to 0x88.
        address: Option<u8>, in 0x80..=0x88 = None;
        /// Its firmware's version.
        firmware: [u8; 4] = [1, 0, 0, 0];
        /// The versions of commands, protection, flash layout and logger.
        versions: [Parsed<Version2Text>; 4] = [Parsed(Version2Text([1, 0])); 4];
        /// The error bits that are set at the start; bit n is key781+n.
        errors: List<u8>, in 0..=31 = List(Vec::new());
        /// The warning bits that are set at the start; bit n is key795+n.
        warnings: List<u8>, in 0..=31 = List(Vec::new());
        /// How long a calibration takes.
        calibrate_ms: u32, in 0..=3_600_000, "ms" = 4_000;
        /// Whether calibrations succeed.
        calibrates: bool = true;
        /// What a calibration of the offset measures: largest deviation in degrees, mean in pulses.
        offset: [f64; 2] = [0.5, 0.0];
        /// What GET reads as numbers 1 to 10.
        numbers: [f64; 10] = [0.0; 10];
        /// What GET reads as counters 11 and 12.
        counters: [u32; 2] = [0; 2];
        /// Parameters in its flash; all others are as in the vendor's host.
        params as "param": Vec<ParamScene> = Vec::new();
    }
}

table! {
    /// A belt module.
    pub struct BeltScene {
        /// Its address: 0x21 for x, 0x22 for y.
        address: Option<u8>, in 0x21..=0x22 = None;
        /// Its hardware's version.
        hardware: [u8; 2] = [1, 0];
        /// Its software's version.
        software: List<u8> = List(vec![1, 0]);
        /// Calibrated place in um, and the sensor's readings without and with full tension.
        calibration: [u32; 3] = [5_000, 1_000, 3_000];
        /// What its sensor reads.
        adc: u32 = 2_000;
    }
}
