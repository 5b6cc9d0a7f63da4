//! What is known of one box: what it says of itself, its slots, its odometer.

use k485_proto::record::Time;
use k485_proto::slot::{Letter, Slot};

use super::Told;
use super::speeds::median;
use crate::hand::Hand;
use crate::spool::SpoolSpec;

/// An event with its time and why it must have been.
pub(crate) type Happened = (i64, Hand, String);

/// How long the hub motor runs in 10/00, and how far the wheel turns before. Firmware.
const HUB_RUN: f64 = 3.2;
const GRIP: f64 = 15.0;
/// From the toolhead's sensor to the extruder, and the buffer's slack; the default's.
const TO_FULL: f64 = 60.0;

/// One box.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoxFacts {
    pub(crate) uniid: Option<[u8; 12]>,
    pub(crate) version: Option<[u8; 3]>,
    pub(crate) serial: Option<String>,
    pub(crate) failed: [bool; 6],
    /// Slots with filament, at the start and now; `None` while no answer told.
    pub(crate) first_inlets: Option<u8>,
    pub(crate) inlets: Option<u8>,
    /// Slots that were fed from while no answer had told of any: there was filament in them.
    pub(crate) fed: u8,
    /// Slots in the hub, at the first look.
    pub(crate) first_hub: Option<u8>,
    /// What 02 read: a tag's characters, or that it cannot be read.
    pub(crate) tags: [Option<Result<String, ()>>; 4],
    pub(crate) remain: [Option<u8>; 4],
    /// When, degrees, percent: the first reading, the last one, and the drift an hour.
    pub(crate) first_climate: Option<(i64, i8, i8)>,
    pub(crate) climate: Option<(i64, i8, i8)>,
    begin_climate: Option<(i64, i8, i8)>,
    /// The drift an hour before the start; later readings are events.
    pub(crate) first_drift: Option<(f64, f64)>,
    /// The slot that feeds a print, at the start and now; `None` while no answer told.
    pub(crate) first_printing: Option<Option<usize>>,
    pub(crate) printing: Option<Option<usize>>,
    /// The slot that is loaded, at the start and now.
    pub(crate) first_loaded: Option<usize>,
    pub(crate) loaded: Option<usize>,
    /// The slot that was brought past the hub and not taken back.
    pub(crate) in_hub: Option<usize>,
    pub(crate) first_in_hub: Option<usize>,
    /// Whether anything moved filament since the start.
    pub(crate) moved: bool,
    /// The odometer: at the start, at its last reading, and when that was.
    pub(crate) first_odometer: Option<f64>,
    pub(crate) odometer: Option<(i64, f64)>,
    /// The odometer while a print runs: its last reading.
    pub(crate) print_odometer: Option<(i64, f64)>,
    /// When the feed that runs began, and when its last poll was.
    pub(crate) feeding: Option<i64>,
    poll: Option<(i64, f64)>,
    /// mm/s, of each two polls.
    pub(crate) speeds: Vec<i64>,
    /// How far it is from the wheel to the toolhead's sensor.
    pub(crate) toolheads: Vec<i64>,
    /// The odometer where the feed began.
    feed_odometer: Option<f64>,
    /// The same once the feed is over, in a capture without times: what the wheel shows next is how
    /// far it went.
    fed_from: Option<f64>,
}

pub(crate) fn slot_of(addr: u8, slot: usize) -> Slot {
    Slot { device: addr, letter: Letter::ALL[slot.min(3)] }
}

impl BoxFacts {
    /// The hub motor's speed in mm/s.
    pub(crate) fn speed(&self) -> Option<f64> {
        (!self.speeds.is_empty()).then(|| median(&self.speeds) as f64 / 1000.0)
    }

    /// How far it is from the wheel to the toolhead's sensor, in mm.
    pub(crate) fn toolhead(&self) -> Option<f64> {
        (!self.toolheads.is_empty()).then(|| median(&self.toolheads) as f64 / 1000.0)
    }

    /// The climate's drift in an hour, once it was read for ten minutes.
    fn drift(&self) -> Option<(f64, f64)> {
        let ((from, t0, h0), (to, t1, h1)) = (self.begin_climate?, self.climate?);
        let hours = to.saturating_sub(from) as f64 / 3_600e9;
        let rate = |a: i8, b: i8| ((f64::from(b) - f64::from(a)) / hours * 100.0).round() / 100.0;
        (hours >= 1.0 / 6.0).then(|| (rate(t0, t1), rate(h0, h1)))
    }

    pub(crate) fn start_here(&mut self, now: i64) {
        self.first_inlets = self.inlets;
        self.first_drift = self.drift();
        self.first_climate = self.climate.map(|(_, t, h)| (now, t, h));
        self.first_printing = self.printing;
        self.first_loaded = self.loaded;
        self.first_in_hub = self.in_hub;
        self.first_hub = Some(self.in_hub.map_or(0, |slot| 1 << slot));
        self.first_odometer = self.odometer.map(|(_, mm)| mm);
        self.moved = false;
    }

    /// Takes what the box says of itself and of its slots.
    pub(crate) fn learn(&mut self, told: &Told<'_>, before: i64, happened: &mut Vec<Happened>) {
        let between = midway(before, told.request);
        match (told.func, told.reply) {
            // Device, program, identity.
            (0xa0..=0xa3, Some((0, data))) if data.len() == 14 => {
                self.uniid = data[2..].try_into().ok();
            }
            (0x14, Some((0, data))) if data.len() == 22 => {
                self.version = data[..3].try_into().ok();
                let serial = String::from_utf8_lossy(&data[3..]).into_owned();
                self.serial = Some(serial.trim_end_matches('\0').to_owned());
            }
            (0x15, Some((0, data))) if data.len() >= 6 => {
                for (failed, flag) in self.failed.iter_mut().zip(data) {
                    *failed = flag & 0x0f == 1;
                }
            }
            (0x08, Some((0, &[mask]))) if told.arg(0) == 0 => {
                self.inlets(told.addr, mask, between, happened);
            }
            (0x08, Some((0, &[mask]))) => {
                self.first_hub.get_or_insert(mask);
                if !self.moved && self.first_in_hub.is_none() && mask.count_ones() == 1 {
                    let slot = Some(mask.trailing_zeros() as usize);
                    (self.first_in_hub, self.in_hub) = (slot, slot);
                }
            }
            (0x0a, Some((0x30, changes))) => {
                for (slot, change) in changes.iter().enumerate().take(4) {
                    self.change(told.addr, slot, *change, between, happened);
                }
            }
            (0x0a, Some((_, &[temperature, humidity, _, state]))) => {
                // What no sensor measures is held at what one can.
                let t = (temperature as i8).clamp(-40, 120);
                let h = (humidity as i8).clamp(0, 100);
                self.climate(told, t, h, between, happened);
                if self.printing.is_none() && state != 2 {
                    (self.first_printing, self.printing) = (Some(None), Some(None));
                }
            }
            (0x02, Some((0, text))) => self.tags(&String::from_utf8_lossy(text)),
            (0x03, Some((0, data))) => {
                for (remain, percent) in self.remain.iter_mut().zip(data) {
                    *remain = (1..=100).contains(percent).then_some(*percent).or(*remain);
                }
            }
            _ => {}
        }
    }

    fn inlets(&mut self, addr: u8, mask: u8, at: i64, happened: &mut Vec<Happened>) {
        let Some(old) = self.inlets.replace(mask) else {
            self.first_inlets.get_or_insert(mask);
            return;
        };
        for slot in (0..4).filter(|slot| (old ^ mask) >> slot & 1 != 0) {
            let slot_name = slot_of(addr, slot);
            if mask >> slot & 1 != 0 {
                let spool = SpoolSpec::default();
                let why = format!("the inlet sensor of {slot_name} went on");
                happened.push((at, Hand::Insert { slot: slot_name, spool }, why));
            } else {
                let why = format!("the inlet sensor of {slot_name} went off");
                happened.push((at, Hand::PullOut { slot: slot_name }, why));
            }
        }
    }

    /// A change that the box told: 1 inserted, 2 pulled out.
    fn change(&mut self, addr: u8, slot: usize, change: u8, at: i64, happened: &mut Vec<Happened>) {
        let bit = 1_u8 << slot;
        if !matches!(change, 1 | 2) {
            return;
        }
        let now = self.inlets.unwrap_or(if change == 1 { 0 } else { bit });
        self.first_inlets.get_or_insert(now);
        self.inlets = Some(now);
        let mask = if change == 1 { now | bit } else { now & !bit };
        if mask == now {
            // It was out and in again between two looks, or the other way round.
            self.inlets = Some(now ^ bit);
        }
        self.inlets(addr, mask, at, happened);
    }

    fn climate(
        &mut self,
        told: &Told<'_>,
        temperature: i8,
        humidity: i8,
        between: i64,
        happened: &mut Vec<Happened>,
    ) {
        let reading = (told.end, temperature, humidity);
        self.begin_climate.get_or_insert(reading);
        self.first_climate.get_or_insert(reading);
        let old = self.climate.replace(reading);
        if old.is_some_and(|(_, t, h)| (t, h) != (temperature, humidity)) {
            let (unit, why) = (usize::from(told.addr), "it measured something else".to_owned());
            let (temperature, humidity) = (Some(temperature), Some(humidity));
            happened.push((between, Hand::Climate { unit, temperature, humidity }, why));
        }
    }

    /// `A:body;`, each slot that was asked.
    fn tags(&mut self, text: &str) {
        for part in text.split(';') {
            let Some((letter, body)) = part.split_once(':') else { continue };
            let slot = Letter::ALL
                .iter()
                .position(|l| letter.len() == 1 && letter.starts_with(l.as_char()));
            let Some(slot) = slot else { continue };
            self.tags[slot] = match body {
                "unknown" => Some(Err(())),
                body if body.len() == 40 => Some(Ok(body.to_owned())),
                _ => self.tags[slot].clone(),
            };
        }
    }

    /// Follows modes and motions.
    pub(crate) fn remember(&mut self, told: &Told<'_>) {
        if told.ok().is_none() {
            // A feed's end tells an error with the odometer, once.
            if let (0x10, 5, Some((_, data))) = (told.func, told.arg(1), told.reply) {
                self.read_odometer(told, data);
            }
            return;
        }
        match (told.func, told.arg(1)) {
            (0x04, mode) => {
                self.first_printing.get_or_insert(None);
                self.printing = Some(told.slot().filter(|_| mode == 0));
                self.print_odometer = None;
            }
            (0x0e, _) if told.arg(0) == 1 => {
                self.read_odometer(told, told.ok().unwrap_or_default());
                self.print_odometer = self.odometer.filter(|_| self.printing.flatten().is_some());
            }
            (0x0e, _) => self.odometer = Some((told.end, 0.0)),
            (0x10, 0) => {
                if self.inlets.is_none() {
                    self.fed |= told.slot().map_or(0, |slot| 1 << slot);
                }
                (self.in_hub, self.loaded, self.moved) = (told.slot(), None, true);
                let (ahead, speed) = (GRIP, self.speed().unwrap_or(154.0));
                if let Some((at, mm)) = &mut self.odometer {
                    (*at, *mm) = (told.end, *mm - ahead - speed * HUB_RUN);
                }
            }
            (0x10, 4) => {
                (self.feeding, self.poll, self.feed_odometer) = (Some(told.end), None, None);
                self.moved = true;
            }
            (0x10, 5) => self.read_odometer(told, told.ok().unwrap_or_default()),
            (0x10, 6) => self.reached(told),
            (0x11, 1) | (0x13, _) => {
                (self.in_hub, self.loaded, self.moved) = (None, None, true);
            }
            _ => {}
        }
    }

    fn read_odometer(&mut self, told: &Told<'_>, data: &[u8]) {
        let Ok(bytes) = <[u8; 4]>::try_from(data) else { return };
        let mm = f64::from(f32::from_be_bytes(bytes));
        if !mm.is_finite() || mm.abs() > 1e8 {
            return;
        }
        if self.first_odometer.is_none() {
            // What 10/00 and the feed turned before the first reading.
            let speed = 154.0;
            let fed =
                self.feeding.map_or(0.0, |from| speed * seconds(told.end.saturating_sub(from)));
            let run =
                if self.in_hub.is_some() && self.moved { GRIP + speed * HUB_RUN } else { 0.0 };
            self.first_odometer = Some(((mm + fed + run) * 100.0).round() / 100.0);
        }
        if let Some(began) = self.fed_from.take() {
            // On to the extruder, until the buffer was full.
            self.toolheads.push(((began - mm + GRIP + 154.0 * HUB_RUN - TO_FULL) * 1000.0) as i64);
        }
        if let (Some(began), 0x10) = (self.feeding, told.func) {
            let speed = self.speed().unwrap_or(154.0);
            let first = mm + speed * seconds(told.end.saturating_sub(began));
            self.feed_odometer.get_or_insert(first);
            if let Some((at, last)) = self.poll {
                let s = seconds(told.end.saturating_sub(at));
                if s > 0.5 && last - mm > 1.0 {
                    self.speeds.push(((last - mm) / s * 1000.0) as i64);
                }
            }
            self.poll = Some((told.end, mm));
        }
        self.odometer = Some((told.end, mm));
    }

    /// The host says that the toolhead's sensor sees filament.
    fn reached(&mut self, told: &Told<'_>) {
        self.loaded = told.slot();
        self.feeding = None;
        let (Some(began), Some((at, mm))) = (self.feed_odometer.take(), self.poll.take()) else {
            return;
        };
        if told.request == told.end {
            self.fed_from = Some(began);
            return;
        }
        let speed = self.speed().unwrap_or(154.0);
        let on = speed * seconds(told.request.saturating_sub(at)).clamp(0.0, 5.0);
        let run = GRIP + speed * HUB_RUN;
        self.toolheads.push(((began - mm + on + run) * 1000.0) as i64);
    }
}

/// The middle of two times.
pub(crate) fn midway(a: i64, b: i64) -> i64 {
    a / 2 + b / 2
}

pub(crate) fn seconds(ns: i64) -> f64 {
    ns as f64 / Time::SECOND as f64
}
