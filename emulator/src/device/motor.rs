//! A closed-loop motor at 80 to 88, as the vendor's host asks it and reads its answers.
//!
//! No motor was recorded but for two functions, and no firmware was read: what a motor does on
//! what its host never sends (a wrong length, an unknown function) is silence here.

use k485_proto::address::Address;
use k485_proto::message::codes::{
    AddressOp, Calibration, Control, Done, FlashParamOp, OnOff, ProtectionOp,
};
use k485_proto::message::kind::{F32Le, ParamValue, Rest, U32Le, Version2, Version4};
use k485_proto::message::motors::*;
use k485_proto::message::params;
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::ear::{Asked, Ear, reply};
use super::{Device, Said};
use crate::plant::Plant;

/// What a motor is.
#[derive(Debug, Clone, PartialEq)]
pub struct MotorConfig {
    /// Its address.
    pub address: Address,
    /// Firmware version.
    pub firmware: [u8; 4],
    /// The versions of commands, protection, flash layout and logger.
    pub versions: [[u8; 2]; 4],
    /// Parameters that its flash holds, by number, in the bytes of their type; all others are as the
    /// vendor's host has them.
    pub params: Vec<(u8, Vec<u8>)>,
    /// How long a calibration takes, in ms.
    pub calibrate_ms: u32,
    /// Whether calibrations succeed.
    pub calibrates: bool,
    /// What a calibration of the offset measures: largest deviation in degrees, mean in pulses.
    pub offset: (f32, f32),
    /// What GET reads as numbers 1 to 10.
    pub numbers: [f32; 10],
    /// What GET reads as counters 11 and 12.
    pub counters: [u32; 2],
}

impl Default for MotorConfig {
    fn default() -> MotorConfig {
        MotorConfig {
            address: Address(0x81),
            firmware: [1, 0, 0, 0],
            versions: [[1, 0]; 4],
            params: Vec::new(),
            calibrate_ms: 4_000,
            calibrates: true,
            offset: (0.5, 0.0),
            numbers: [0.0; 10],
            counters: [0; 2],
        }
    }
}

/// The encoder's calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoder {
    Idle,
    Running { until: Time },
}

/// A motor on the bus.
#[derive(Debug, Clone)]
pub struct MotorDevice {
    config: MotorConfig,
    ear: Ear,
    now: Time,
    said: Vec<Said>,
    /// The parameters in working memory and in flash.
    memory: Vec<Vec<u8>>,
    flash: Vec<Vec<u8>>,
    errors: u32,
    warnings: u32,
    stall_mode: u8,
    enabled: bool,
    encoder: Encoder,
    /// When the offset's calibration ends, which answers only then.
    offset: Option<Time>,
}

impl MotorDevice {
    /// A motor without an error.
    #[must_use]
    pub fn new(config: MotorConfig) -> MotorDevice {
        let default = |id: usize| {
            let id = u8::try_from(id).ok()?;
            params::bytes(id, params::default(id, config.address)?)
        };
        let mut flash: Vec<Vec<u8>> =
            (0..params::COUNT).map(|id| default(id).unwrap_or_default()).collect();
        for (id, value) in &config.params {
            if let Some(place) = flash.get_mut(usize::from(*id)).filter(|p| p.len() == value.len())
            {
                place.clone_from(value);
            }
        }
        MotorDevice {
            config,
            ear: Ear::new(),
            now: Time(i64::MIN),
            said: Vec::new(),
            memory: flash.clone(),
            flash,
            errors: 0,
            warnings: 0,
            stall_mode: 0,
            enabled: true,
            encoder: Encoder::Idle,
            offset: None,
        }
    }

    /// The protection's words: errors, warnings.
    #[must_use]
    pub fn protection_words(&self) -> (u32, u32) {
        (self.errors, self.warnings)
    }

    /// Sets the protection's words: bit n of the errors is key781+n, of the warnings key795+n.
    pub fn protect(&mut self, errors: Errors, warnings: Warnings) {
        self.errors = errors.0;
        self.warnings = warnings.0;
    }

    /// The stall mode that was set last.
    #[must_use]
    pub fn stall_mode(&self) -> u8 {
        self.stall_mode
    }

    /// Whether the motor holds.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// A parameter's bytes in working memory.
    #[must_use]
    pub fn param(&self, id: u8) -> Option<&[u8]> {
        self.memory.get(usize::from(id)).map(Vec::as_slice)
    }

    /// Starts again: working memory out of flash, nothing latched.
    pub fn restart(&mut self) {
        self.memory.clone_from(&self.flash);
        (self.errors, self.warnings, self.stall_mode) = (0, 0, 0);
        self.enabled = true;
        self.encoder = Encoder::Idle;
        self.offset = None;
    }

    fn say(&mut self, at: Time, func: u8, data: &[u8]) {
        self.said.extend(reply(at, self.config.address, Status::OK, func, data));
    }

    fn dispatch(&mut self, asked: &Asked) {
        // While the offset is calibrated it does nothing else.
        if self.offset.is_some() {
            return;
        }
        let all = asked.to != self.config.address;
        // To everyone only the address is set, which strap pins did already.
        if all {
            return;
        }
        macro_rules! functions {
            ($($module:ident => $method:ident),+ $(,)?) => {
                match asked.func {
                    $(code if code == $module::FUNCTION.code => {
                        match $module::Request::parse(asked.to, &asked.data) {
                            Ok(request) => self.$method(request),
                            Err(_) => None,
                        }
                    })+
                    _ => None,
                }
            };
        }
        let data: Option<Vec<u8>> = functions! {
            reboot => reboot,
            encoder_calibrate => calibrate_encoder,
            elec_offset_calibrate => calibrate_offset,
            control => control,
            sys_param => sys_param,
            flash_param => flash_param,
            get => get,
            boot => boot,
            protection => protection,
            address_485 => address,
            version => version,
            stall_mode => set_stall_mode,
        };
        if let Some(data) = data {
            self.say(self.now, asked.func, &data);
        }
    }

    fn reboot(&mut self, _: reboot::Request) -> Option<Vec<u8>> {
        self.restart();
        Some(reboot::Reply::Ignored { raw: Rest::default() }.to_vec())
    }

    /// Answers at once how it goes; the first request starts it, the one that is told its end
    /// ends it.
    fn calibrate_encoder(&mut self, _: encoder_calibrate::Request) -> Option<Vec<u8>> {
        let result = match self.encoder {
            Encoder::Idle => {
                let ms = i64::from(self.config.calibrate_ms) * Time::MILLISECOND;
                self.encoder = Encoder::Running { until: Time(self.now.0 + ms) };
                Calibration::RUNNING
            }
            Encoder::Running { until } if self.now < until => Calibration::RUNNING,
            Encoder::Running { .. } => {
                self.encoder = Encoder::Idle;
                if self.config.calibrates { Calibration::DONE } else { Calibration::FAILED }
            }
        };
        Some(encoder_calibrate::Reply::Result { result }.to_vec())
    }

    fn calibrate_offset(&mut self, _: elec_offset_calibrate::Request) -> Option<Vec<u8>> {
        let ms = i64::from(self.config.calibrate_ms) * Time::MILLISECOND;
        self.offset = Some(Time(self.now.0 + ms));
        None
    }

    fn tell_offset(&mut self, at: Time) {
        self.offset = None;
        let (largest, mean) = self.config.offset;
        let reply = elec_offset_calibrate::Reply::Result {
            result: if self.config.calibrates { Done::OK } else { Done::FAILED },
            largest_deviation: F32Le(largest),
            mean: F32Le(mean),
        };
        self.say(at, elec_offset_calibrate::FUNCTION.code, &reply.to_vec());
    }

    fn control(&mut self, request: control::Request) -> Option<Vec<u8>> {
        let control::Request::Command { command } = request;
        let on = if self.enabled { OnOff::ON } else { OnOff::OFF };
        let reply = match command {
            Control::PINS => control::Reply::Pins { enable: on, controller: on, pwm: on },
            Control::DISABLE => {
                self.enabled = false;
                control::Reply::Ignored { raw: Rest::default() }
            }
            // Sent, and what they do is not known.
            Control(2..=12) => control::Reply::Ignored { raw: Rest::default() },
            _ => return None,
        };
        Some(reply.to_vec())
    }

    fn sys_param(&mut self, request: sys_param::Request) -> Option<Vec<u8>> {
        let reply = match request {
            // A value of another size than the parameter's is not taken: what holds is told.
            // (Inferred: the vendor's host sends such ones when it is told to.)
            sys_param::Request::Write { id, value, .. } => {
                let _ = write(&mut self.memory, id, &value);
                sys_param::Reply::Written { value: read(&self.memory, id)? }
            }
            sys_param::Request::Read { id, .. } => {
                sys_param::Reply::Value { value: read(&self.memory, id)? }
            }
            sys_param::Request::Save { .. } => {
                self.flash.clone_from(&self.memory);
                sys_param::Reply::Saved { result: Done::OK }
            }
            sys_param::Request::Other { .. } => return Some(Vec::new()),
        };
        Some(reply.to_vec())
    }

    fn flash_param(&mut self, request: flash_param::Request) -> Option<Vec<u8>> {
        let reply = match request {
            flash_param::Request::Write { id, value, .. } => {
                let written = write(&mut self.flash, id, &value).is_some();
                let result = if written { Done::OK } else { Done::FAILED };
                flash_param::Reply::Written { result }
            }
            flash_param::Request::Read { id, .. } => {
                flash_param::Reply::Value { value: read(&self.flash, id)? }
            }
            flash_param::Request::Other { op } | flash_param::Request::OtherWith { op, .. }
                if op == FlashParamOp::WRITE || op == FlashParamOp::READ =>
            {
                flash_param::Reply::Written { result: Done::FAILED }
            }
            // What the host only prints.
            flash_param::Request::Other { .. } | flash_param::Request::OtherWith { .. } => {
                flash_param::Reply::Printed { raw: Rest::default() }
            }
        };
        Some(reply.to_vec())
    }

    fn get(&mut self, request: get::Request) -> Option<Vec<u8>> {
        let get::Request::Ask { quantity } = request;
        let reply = match quantity {
            11 => get::Reply::Counter11 { counter: U32Le(self.config.counters[0]) },
            12 => get::Reply::Counter12 { counter: U32Le(self.config.counters[1]) },
            1..=10 => {
                get::Reply::Number { number: F32Le(self.config.numbers[usize::from(quantity) - 1]) }
            }
            _ => return None,
        };
        Some(reply.to_vec())
    }

    /// The loader is not played: the motor answers, and is where a reboot brings it.
    fn boot(&mut self, _: boot::Request) -> Option<Vec<u8>> {
        self.restart();
        Some(boot::Reply::Ignored { raw: Rest::default() }.to_vec())
    }

    fn protection(&mut self, request: protection::Request) -> Option<Vec<u8>> {
        let protection::Request::Ask { op } = request;
        // Operations beside the two known ones are sent when somebody asks for them, and are taken for
        // questions: inferred.
        if op == ProtectionOp::CLEAR {
            (self.errors, self.warnings) = (0, 0);
        }
        let (errors, warnings) = (Errors(self.errors), Warnings(self.warnings));
        Some(protection::Reply::Words { errors, warnings }.to_vec())
    }

    fn address(&mut self, request: address_485::Request) -> Option<Vec<u8>> {
        let address_485::Request::Address { op } = request;
        let reply = match op {
            AddressOp::READ => address_485::Reply::Address { address: self.config.address },
            AddressOp::SET => address_485::Reply::Reply { raw: Rest::default() },
            _ => return None,
        };
        Some(reply.to_vec())
    }

    fn version(&mut self, _: version::Request) -> Option<Vec<u8>> {
        let [command, protection, flash, logger] = self.config.versions.map(Version2);
        let firmware = Version4(self.config.firmware);
        Some(version::Reply::Versions { firmware, command, protection, flash, logger }.to_vec())
    }

    fn set_stall_mode(&mut self, request: stall_mode::Request) -> Option<Vec<u8>> {
        let stall_mode::Request::Mode { mode } = request;
        self.stall_mode = mode;
        Some(stall_mode::Reply::Mode { mode }.to_vec())
    }
}

/// Writes a parameter, when the value has its type's size.
fn write(params: &mut [Vec<u8>], id: ParamId, value: &ParamValue) -> Option<()> {
    let place = params.get_mut(usize::from(id.0)).filter(|p| p.len() == value.0.len())?;
    place.clone_from(&value.0);
    Some(())
}

fn read(params: &[Vec<u8>], id: ParamId) -> Option<ParamValue> {
    params.get(usize::from(id.0)).cloned().map(ParamValue)
}

impl Device for MotorDevice {
    fn heard(&mut self, bytes: &[u8], at: Time, plant: &mut Plant) {
        self.advance(at, plant);
        let mine = [self.config.address, Address::ALL];
        for asked in self.ear.hear(bytes, self.now, &mine) {
            self.dispatch(&asked);
        }
    }

    fn advance(&mut self, to: Time, _: &mut Plant) {
        self.now = self.now.max(to);
        if let Some(until) = self.offset.filter(|until| *until <= self.now) {
            self.tell_offset(until);
        }
    }

    fn next_event(&self) -> Option<Time> {
        self.offset
    }

    fn owes(&self) -> bool {
        self.offset.is_some()
    }

    fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}
