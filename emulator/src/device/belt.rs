//! A belt module at 21 or 22, as the vendor's host asks it. No module was recorded.

use k485_proto::address::Address;
use k485_proto::message::belts::*;
use k485_proto::message::kind::{Bytes2, Rest, U32Be};
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::ear::{Asked, Ear, reply};
use super::{Device, Said};
use crate::plant::Plant;

/// The one item of the flash that the host reads and writes.
const ITEM: u8 = 3;

/// What a belt module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeltConfig {
    /// Its address: 21 for x, 22 for y.
    pub address: Address,
    /// Hardware version, two bytes.
    pub hardware: [u8; 2],
    /// Software version; how it is written is not known.
    pub software: Vec<u8>,
    /// The place in um, and the sensor's readings without and with full tension; FFFFFFFF and 0
    /// stand for none.
    pub calibration: [u32; 3],
    /// What the sensor reads.
    pub adc: u32,
}

impl Default for BeltConfig {
    fn default() -> BeltConfig {
        BeltConfig {
            address: Address(0x21),
            hardware: [1, 0],
            software: vec![1, 0],
            calibration: [5_000, 1_000, 3_000],
            adc: 2_000,
        }
    }
}

/// A belt module on the bus.
#[derive(Debug, Clone)]
pub struct BeltDevice {
    config: BeltConfig,
    ear: Ear,
    now: Time,
    said: Vec<Said>,
    moved: i64,
}

impl BeltDevice {
    /// A module.
    #[must_use]
    pub fn new(config: BeltConfig) -> BeltDevice {
        let (ear, now) = (Ear::new(), Time(i64::MIN));
        BeltDevice { config, ear, now, said: Vec::new(), moved: 0 }
    }

    /// What it is; the calibration is what was written last.
    #[must_use]
    pub fn config(&self) -> &BeltConfig {
        &self.config
    }

    /// Sets what the sensor reads.
    pub fn set_adc(&mut self, adc: u32) {
        self.config.adc = adc;
    }

    /// The sum of its motions: direction 00 counts up, all others down. The unit is the host's.
    #[must_use]
    pub fn moved(&self) -> i64 {
        self.moved
    }

    fn dispatch(&mut self, asked: &Asked) {
        let data = match asked.func {
            code if code == version::FUNCTION.code => {
                version::Request::parse(asked.to, &asked.data).ok().map(|_| {
                    let hardware = Bytes2(self.config.hardware);
                    let software = Rest(self.config.software.clone());
                    version::Reply::Versions { hardware, software }.to_vec()
                })
            }
            code if code == read_flash::FUNCTION.code => self.read(asked),
            code if code == write_flash::FUNCTION.code => self.write(asked),
            code if code == adc::FUNCTION.code => {
                let asked = adc::Request::parse(asked.to, &asked.data).ok();
                asked.map(|_| adc::Reply::Adc { adc: U32Be(self.config.adc) }.to_vec())
            }
            code if code == move_to::FUNCTION.code => self.go(asked),
            _ => None,
        };
        if let Some(data) = data {
            self.said.extend(reply(self.now, self.config.address, Status::OK, asked.func, &data));
        }
    }

    fn read(&self, asked: &Asked) -> Option<Vec<u8>> {
        let request = read_flash::Request::parse(asked.to, &asked.data).ok()?;
        let read_flash::Request::Item { item } = request;
        if item != ITEM {
            return None;
        }
        let [place, idle_adc, full_adc] = self.config.calibration.map(U32Be);
        Some(read_flash::Reply::Calibration { item, place, idle_adc, full_adc }.to_vec())
    }

    fn write(&mut self, asked: &Asked) -> Option<Vec<u8>> {
        let request = write_flash::Request::parse(asked.to, &asked.data).ok()?;
        let write_flash::Request::Calibration { item, place, idle_adc, full_adc } = request;
        if item != ITEM {
            return None;
        }
        self.config.calibration = [place.0, idle_adc.0, full_adc.0];
        Some(write_flash::Reply::Calibration { item, place, idle_adc, full_adc }.to_vec())
    }

    fn go(&mut self, asked: &Asked) -> Option<Vec<u8>> {
        let request = move_to::Request::parse(asked.to, &asked.data).ok()?;
        let move_to::Request::Move { direction, distance } = request;
        let way = i64::from(distance.0);
        self.moved = self.moved.saturating_add(if direction == 0 { way } else { -way });
        Some(move_to::Reply::Move { direction, distance }.to_vec())
    }
}

impl Device for BeltDevice {
    fn heard(&mut self, bytes: &[u8], at: Time, plant: &mut Plant) {
        self.advance(at, plant);
        for asked in self.ear.hear(bytes, self.now, &[self.config.address]) {
            self.dispatch(&asked);
        }
    }

    fn advance(&mut self, to: Time, _: &mut Plant) {
        self.now = self.now.max(to);
    }

    fn next_event(&self) -> Option<Time> {
        None
    }

    fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}
