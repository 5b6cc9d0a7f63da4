//! Bytes whose values have names.
//!
//! The names are the vendor's words where there are some (the live host's constants), else what
//! the firmware was seen to do.

use super::kind::codes;

codes! {
    /// What a box is doing: byte 3 of the reply to GET_BOX_STATE. Names: host; 0 and 2 in captures.
    BoxState U8 {
        0 IDLE "idle",
        1 PRELOADING "preloading",
        2 PRINTING "printing",
        3 WRAPPING "loading_or_unloading",
        4 ERROR "error",
        5 TEST "test_or_update",
    }
    /// What SET_BOX_MODE sets.
    BoxMode U8 {
        0 PRINT "print",
        1 IDLE "idle",
    }
    /// The two switches of the printer's buffer: bit 0 full, bit 1 empty.
    Buffer U8 {
        0 MIDDLE "middle",
        1 FULL "full",
        2 EMPTY "empty",
        3 FAULT "fault",
    }
    /// What a motor worked by hand does.
    MotorAction U8 {
        0 STOP "stop",
        1 EXTRUDE "extrude",
        2 RETRUDE "retrude",
    }
    /// Which row of photo sensors GET_FILAMENT_SENSOR_STATE reads; the host says MATERIAL and
    /// CONNECTIONS.
    Sensors U8 {
        0 INLET "inlet",
        1 HUB "hub",
    }
    /// Which motor SET_MOTOR_SPEED means.
    BoxMotor U8 {
        0 FEEDER "feeder",
        1 HUB "hub",
    }
    /// What SET_PRE_LOADING does; the host's words CLOSE, OPEN, RUN, TIGHT.
    Preload U8 {
        0 OFF "off",
        1 ON "on",
        2 RUN "run",
        3 TIGHT "tight",
    }
    /// What MEASURING_WHEEL does with the odometer.
    Wheel U8 {
        0 CLEAR "clear",
        1 READ "read",
    }
    /// Whether slack is taken up. The host's word for 00 is ENABLE and for 01 DISABLE; the box
    /// firmware takes 01 as enable. Open, so the names say both.
    Tighten U8 {
        0 ZERO "enable (host) / disable (firmware)",
        1 ONE "disable (host) / enable (firmware)",
    }
    /// The stages of EXTRUDE_PROCESS, by what the box does.
    ExtrudeStage U8 {
        0 TO_HUB "to_hub",
        1 FEED_UNTIL_STILL "feed_until_still",
        2 HUB_FEED "hub_feed",
        3 ABORT "abort",
        4 FEED_START "feed_start",
        5 FEED_POLL "feed_poll",
        6 FEED_END "feed_end",
        7 PUSH "push",
    }
    /// The stages of RETRUDE_PROCESS; the host's words BUFFER and MATERIAL.
    RetrudeStage U8 {
        0 TO_BUFFER_EMPTY "buffer",
        1 INTO_SLOT "material",
    }
    /// How far EXTRUDE_PROCESS_MODEL2 goes, in the host's words.
    ExtrudeTarget U8 {
        0 CONNECTION "connection",
        1 BUFFER "buffer",
    }
    /// What is left on a slot's spool; other values are percent.
    Remain U8 {
        0x00 EMPTY "empty",
        0xff NOT_ASKED "not_asked_or_busy",
    }
    /// What happened at a slot since the last GET_BOX_STATE (its reply under STATUS 30).
    SlotChange U8 {
        0 NONE "unchanged",
        1 INSERTED "inserted",
        2 PULLED_OUT "pulled_out",
        3 FINISHED "preload_finished",
    }
    /// The health of a part in the reply to GET_HARDWARE_STATUS. Firmware: high nibble the part's
    /// number, low nibble 1 = missing or failed. The host reports 01 and FF.
    Part U8 {
        0x00 FINE "fine", 0x01 FAILED "failed", 0xff FAILED_FF "failed",
        0x10 FINE_1 "fine", 0x11 FAILED_1 "failed",
        0x20 FINE_2 "fine", 0x21 FAILED_2 "failed",
        0x30 FINE_3 "fine", 0x31 FAILED_3 "failed",
        0x40 FINE_4 "fine", 0x41 FAILED_4 "failed",
        0x50 FINE_5 "fine", 0x51 FAILED_5 "failed",
        0x60 FINE_6 "fine", 0x61 FAILED_6 "failed",
    }
    /// Since the last read: the feeders that ran (bits 0–3), and whether the hub motor ran without
    /// turning (bit 4).
    Ran BITS8 {
        0 A "A",
        1 B "B",
        2 C "C",
        3 D "D",
        4 HUB_BLOCKED "hub_blocked",
    }
    /// The class of a device in an answer of address management.
    DeviceType U8 {
        1 BOX "box",
        2 MOTOR "motor",
        3 TENSION "tension",
    }
    /// What a loader is asked by LOADER_F0.
    LoaderCommand U8 {
        0 VERSIONS "versions",
    }
    /// Which program a device runs.
    Program U8 {
        0 APP "app",
        1 LOADER "loader",
    }
    /// How an encoder calibration went.
    Calibration U8 {
        0x00 NOT_RUN "not_run",
        0x04 RUNNING "running",
        0x08 FAILED "failed",
        0x0c DONE "done",
    }
    /// Whether a motor did what was asked.
    Done U8 {
        0 FAILED "failed",
        1 OK "ok",
    }
    /// What MOTOR_CONTROL asks; the other numbers to 12 are sent, their meaning is not known.
    Control U8 {
        1 DISABLE "disable",
        4 PINS "pins",
    }
    /// A pin or switch.
    OnOff U8 {
        0 OFF "off",
        1 ON "on",
    }
    /// What SYS_PARAM does.
    SysParamOp U8 {
        1 WRITE "write",
        2 READ "read",
        3 SAVE "save",
    }
    /// What FLASH_PARAM does; 1, 2, 3, 4 and 7 are sent, their meaning is not known.
    FlashParamOp U8 {
        5 WRITE "write",
        6 READ "read",
    }
    /// What PROTECTION does with the error and warning words.
    ProtectionOp U8 {
        0x05 CLEAR "clear",
        0x0b QUERY "query",
    }
    /// What is done with a motor's bus address.
    AddressOp U8 {
        1 SET "set",
        2 READ "read",
    }
}

impl Remain {
    /// The percentage of an estimated spool; `None` for a slot that was not asked.
    #[must_use]
    pub fn percent(self) -> Option<u8> {
        (self != Remain::NOT_ASKED).then_some(self.0)
    }
}
