//! The closed-loop motors at 80–88. STATUS 00 both ways, and a motor's STATUS means nothing.
//! Source: what the vendor's host sends and how it reads replies; 0C and 11 also in captures.
//!
//! Types: float, int16 and uint16 low byte first, uint32 high byte first (see
//! [`params`](super::params)).

use super::codes::*;
use super::declare::functions;
use super::kind::{F32Le, FieldType, Kind, ParamValue, Rest, U32Le, Version2, Version4};
use crate::address::Address;
use alloc::vec::Vec;

/// A motor parameter's number, 0 to 226; [`params`](super::params) has its name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParamId(pub u8);

impl FieldType for ParamId {
    const KIND: &'static Kind = &super::kind::U8;
    const CODES: &'static [(u32, &'static str)] = &super::params::NAMES;
    fn from_wire(bytes: &[u8]) -> Option<Self> {
        u8::from_wire(bytes).map(Self)
    }
    fn to_wire(&self, out: &mut Vec<u8>) {
        self.0.to_wire(out);
    }
}

/// The error word, low byte first: bit n is the printer's key781+n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errors(pub u32);

/// The warning word, low byte first: bit n is the printer's key795+n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Warnings(pub u32);

macro_rules! words {
    ($($Type:ident [$(($bit:literal, $name:literal)),+];)+) => {
        $(impl FieldType for $Type {
            const KIND: &'static Kind = &super::kind::BITS32_LE;
            const CODES: &'static [(u32, &'static str)] = &[$(($bit, $name)),+];
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                U32Le::from_wire(bytes).map(|word| Self(word.0))
            }
            fn to_wire(&self, out: &mut Vec<u8>) {
                U32Le(self.0).to_wire(out);
            }
        })+
    };
}

words! {
    Errors [
        (0, "encoder_jump"), (1, "encoder_read"), (2, "peak_current"), (3, "continuous_current"),
        (4, "hardware_overcurrent"), (5, "speed_limit"), (6, "position_limit"),
        (7, "position_command_jump"), (8, "tracking_error"), (9, "rl_abnormal"),
        (10, "step_response_unstable"), (11, "motor_not_connected"),
        (12, "phase_resistance_differs"), (13, "other")
    ];
    Warnings [(0, "communication"), (1, "supply_too_low"), (2, "mcu_overheating")];
}

functions! {
    class Motor, requests with OK;

    /// Restarts the motor's controller.
    0x01 REBOOT = reboot;
    host 1_000 ms, 1 sends;
    effect Firmware;
    request { Reboot { argument: u8 = "0"; Host } }
    reply { Ignored status Any { raw: Rest; Host } }

    /// Calibrates the encoder; asked again while it runs.
    0x03 ENCODER_CALIBRATE_OFFICIAL = encoder_calibrate;
    host 60_000 ms, 1 sends;
    effect Firmware;
    request { Calibrate { argument: u8 = "0"; Host } }
    reply { Result status Any { result: Calibration; Host } }

    /// Calibrates the electrical offset.
    0x04 ELEC_OFFSET_CALIBRATE = elec_offset_calibrate;
    host 60_000 ms, 1 sends;
    effect Firmware;
    request { Calibrate { argument: u8 = "0"; Host } }
    reply { Result status Any {
        result: Done; Host largest_deviation: F32Le, "deg"; Host mean: F32Le, "pulses"; Host
    } }

    /// Controls the drive: 1 disables it, 4 reads its pins, others to 12 are only sent.
    0x05 CONTROL = control;
    host 50 ms, 1 sends;
    effect Clear if command = 4, Motion;
    unknown "commands 2, 3 and 5 to 12";
    request { Command { command: Control; Host } }
    reply {
        Pins if command = 4 status Any { enable: OnOff; Host controller: OnOff; Host pwm: OnOff; Host }
        Ignored status Any { raw: Rest; Host }
    }

    /// Writes, reads or saves a parameter in working memory.
    0x06 SYS_PARAM = sys_param;
    host 1_000 ms, 1 sends;
    effect Clear if op = 2, Setting if op = 1, Setting if op = 3;
    unknown "operations 4 to 6, whose replies the host only prints";
    request {
        Write if op = 1 { op: SysParamOp; Host id: ParamId; Host value: ParamValue; Host }
        Read if op = 2 { op: SysParamOp; Host id: ParamId; Host }
        Save if op = 3 { op: SysParamOp; Host }
        Other { op: SysParamOp; Host }
    }
    reply {
        Written if op = 1 status Any { value: ParamValue; Host }
        Value if op = 2 status Any { value: ParamValue; Host }
        Saved if op = 3 status Any { result: Done; Host }
    }

    /// Writes or reads a parameter in flash.
    0x07 FLASH_PARAM = flash_param;
    host 1_000 ms, 1 sends;
    effect Firmware;
    unknown "operations 1, 2, 3, 4 and 7, whose replies the host only prints";
    request {
        Write if op = 5 { op: FlashParamOp; Host id: ParamId; Host value: ParamValue; Host }
        Read if op = 6 { op: FlashParamOp; Host id: ParamId; Host }
        Other { op: FlashParamOp; Host }
        OtherWith { op: FlashParamOp; Host argument: u8 = "0"; Host }
    }
    reply {
        Written if op = 5 status Any { result: Done; Host }
        Value if op = 6 status Any { value: ParamValue; Host }
        Printed status Any { raw: Rest; Host }
    }

    /// Reads a measured quantity: 1 to 10 are numbers, 11 and 12 counters.
    0x08 GET = get;
    host 50 ms, 1 sends;
    effect Clear;
    unknown "what the quantities are";
    request { Ask { quantity: u8; Host } }
    reply {
        Counter11 if quantity = 11 status Any { counter: U32Le; Host }
        Counter12 if quantity = 12 status Any { counter: U32Le; Host }
        Number status Any { number: F32Le; Host }
    }

    /// Starts the boot loader.
    0x0b BOOT = boot;
    host 2_000 ms, 1 sends;
    effect Firmware;
    request { Boot { argument: u8 = "0"; Host } }
    reply { Ignored status Any { raw: Rest; Host } }

    /// Reads or clears the error and warning words. The host takes 0 to 8 bytes.
    0x0c PROTECTION = protection;
    host 50 ms, 1 sends;
    effect Clear;
    request { Ask { op: ProtectionOp; Wire } }
    reply {
        Words status Any { errors: Errors; Wire warnings: Warnings; Wire }
        ErrorWord status Any { errors: Errors; Host }
        Partial status Any { raw: Rest; Host }
    }

    /// System identification. Never sent.
    0x0d SYSTEMID = systemid;
    host 1_000 ms, 1 sends;
    effect Firmware;
    unknown "its arguments and reply";
    request { Raw { raw: Rest; Inferred } }
    reply { Raw status Any { raw: Rest; Inferred } }

    /// Sets (to everyone, at start-up) or reads a motor's bus address.
    0x0e ADDRESS_485 = address_485;
    host 50 ms, 1 sends;
    effect Firmware;
    request { Address { op: AddressOp; Host } }
    reply {
        Address if op = 2 status Any { address: Address; Host }
        Reply status Any { raw: Rest; Host }
    }

    /// Reads the versions.
    0x0f VERSION = version;
    host 50 ms, 1 sends;
    effect Clear;
    request { Ask { argument: u8 = "0"; Host } }
    reply { Versions status Any {
        firmware: Version4; Host command: Version2; Host protection: Version2; Host
        flash: Version2; Host logger: Version2; Host
    } }

    /// Sets the stall mode; the reply repeats it.
    0x11 STALL_MODE = stall_mode;
    host 50 ms, 1 sends;
    effect Setting;
    unknown "what modes 1 and 2 are: 1 before homing, 2 after";
    request { Mode { mode: u8; Wire } }
    reply { Mode status Any { mode: u8; Wire } }
}
