//! The belt modules at 21 (x) and 22 (y). STATUS 00 both ways, no address management. Source: what
//! the vendor's host sends and reads; no module was recorded.

use super::declare::functions;
use super::kind::{Bytes2, Rest, U32Be};

functions! {
    class Belt, requests with OK;

    /// Reads the versions.
    0x00 BELT_VERSION = version;
    host 1_000 ms, 5 sends;
    effect Clear;
    unknown "how the software version is written";
    request { Ask {} }
    reply { Versions { hardware: Bytes2; Host software: Rest; Host } }

    /// Reads the calibration; FFFFFFFF and zero stand for none.
    0x02 BELT_READ_FLASH = read_flash;
    host 1_000 ms, 5 sends;
    effect Clear;
    unknown "items other than 03";
    request { Item { item: u8 = "3"; Host } }
    reply { Calibration {
        item: u8; Host place: U32Be, "um"; Host idle_adc: U32Be; Host full_adc: U32Be; Host
    } }

    /// Writes the calibration; the reply repeats the data.
    0x04 BELT_WRITE_FLASH = write_flash;
    host 1_000 ms, 5 sends;
    effect Firmware;
    request { Calibration {
        item: u8 = "3"; Host place: U32Be, "um"; Host idle_adc: U32Be; Host full_adc: U32Be; Host
    } }
    reply { Calibration {
        item: u8; Host place: U32Be, "um"; Host idle_adc: U32Be; Host full_adc: U32Be; Host
    } }

    /// Reads the sensor.
    0x06 BELT_ADC = adc;
    host 1_000 ms, 5 sends;
    effect Clear;
    request { Ask {} }
    reply { Adc { adc: U32Be; Host } }

    /// Moves; the reply repeats the data.
    0x08 BELT_MOVE = move_to;
    host 1_000 ms, 5 sends;
    effect Motion;
    unknown "the unit of the distance, and which direction 00 is";
    request { Move { direction: u8; Host distance: U32Be; Host } }
    reply { Move { direction: u8; Host distance: U32Be; Host } }
}
