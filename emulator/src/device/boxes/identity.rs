//! What a box is: version, parts, and the functions of the factory.

use k485_proto::message::boxes::*;
use k485_proto::message::codes::Part;
use k485_proto::message::kind::{Ascii3, Bytes2, Rest, Text};

use super::BoxDevice;
use super::dispatch::{Answer, ok};
use crate::plant::Plant;
use Answer::{Reply, Silence};

/// How many characters a serial number has.
const SERIAL: usize = 19;
/// How many bytes stand behind the six flags of GET_HARDWARE_STATUS.
const MORE_PARTS: usize = 10;

impl BoxDevice {
    pub(super) fn version(&mut self, _: get_version_sn::Request, _: &mut Plant) -> Answer {
        let config = &self.machine.config;
        let mut serial = config.serial.clone().into_bytes();
        serial.resize(SERIAL, 0);
        let version = Ascii3(config.version);
        Reply(0, get_version_sn::Reply::Version { version, serial: Text(serial) }.to_vec())
    }

    pub(super) fn hardware(&mut self, _: get_hardware_status::Request, _: &mut Plant) -> Answer {
        let mut n = 0;
        let mut part = |failed: bool| {
            n += 1;
            Part(n << 4 | u8::from(failed))
        };
        let [eeprom, humidity, wheel, buffer, left, right] = self.machine.config.failed;
        let parts = get_hardware_status::Reply::Parts {
            eeprom: part(eeprom),
            humidity: part(humidity),
            wheel: part(wheel),
            buffer: part(buffer),
            rfid_left: part(left),
            rfid_right: part(right),
            more: Rest(vec![0; MORE_PARTS]),
        };
        Reply(0, parts.to_vec())
    }

    pub(super) fn update(&mut self, _: update_state::Request, _: &mut Plant) -> Answer {
        ok()
    }

    pub(super) fn store_code(&mut self, request: factory_50::Request, _: &mut Plant) -> Answer {
        let factory_50::Request::Code { code } = request;
        self.machine.code = code;
        self.machine.reboot = true;
        ok()
    }

    /// Takes its argument and says nothing; what it does was not seen.
    pub(super) fn factory_51(&mut self, _: factory_51::Request, _: &mut Plant) -> Answer {
        Silence
    }

    pub(super) fn factory_52(&mut self, _: factory_52::Request, _: &mut Plant) -> Answer {
        let data = factory_52::Reply::Two { raw: Bytes2([0, 0]) }.to_vec();
        Answer::ReplyAs(factory_53::FUNCTION.code, 0, data)
    }

    /// As 51.
    pub(super) fn factory_53(&mut self, _: factory_53::Request, _: &mut Plant) -> Answer {
        Silence
    }

    pub(super) fn test(&mut self, request: communication_test::Request, _: &mut Plant) -> Answer {
        let communication_test::Request::Test { value } = request;
        let value = value.wrapping_add(1);
        Reply(0, communication_test::Reply::Value { value }.to_vec())
    }

    pub(super) fn reboot(&mut self, _: factory_56::Request, _: &mut Plant) -> Answer {
        self.machine.reboot = true;
        ok()
    }
}
