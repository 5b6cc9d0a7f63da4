//! The host in virtual time, against devices that answer by a short script.

mod jobs;
mod start;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Config, Event, Host, Job};
use crate::address::Address;
use crate::frame::Frame;
use crate::host::ask::Step;
use crate::record::Time;
use crate::status::Status;

const MS: i64 = Time::MILLISECOND;

/// A box that does what it is told, if it is plugged in.
struct Slave {
    uniid: [u8; 12],
    address: Address,
    loader: bool,
    plugged: bool,
    hub: u8,
    odometer: f32,
}

impl Slave {
    fn new(number: u8) -> Slave {
        Slave {
            uniid: [number; 12],
            address: Address::UNASSIGNED,
            loader: false,
            plugged: true,
            hub: 0,
            odometer: 0.0,
        }
    }

    /// Delay in ms, address and data, if it answers.
    fn answer(&mut self, request: &Frame<'_>) -> Option<(i64, Vec<u8>)> {
        if !self.plugged {
            return None;
        }
        let data = request.data();
        let identity = |loader: bool, uniid: [u8; 12]| {
            let mut all = vec![1, u8::from(loader)];
            all.extend(uniid);
            all
        };
        let unassigned = request.addr() == Address::UNASSIGNED;
        match request.func() {
            0xa0 if unassigned && data[1..] == self.uniid => self.address = Address(data[0]),
            0xa1 if unassigned && self.address == Address::UNASSIGNED => {
                return Some((400, identity(self.loader, self.uniid)));
            }
            0x0b if request.addr() == Address::ALL => {
                self.loader = false;
                return None;
            }
            _ if request.addr() != self.address || unassigned => return None,
            _ => {}
        }
        Some(match request.func() {
            0xa0..=0xa3 => (2, identity(self.loader, self.uniid)),
            0x05 => (2, vec![0]),
            0x08 => (2, vec![if data[0] == 0 { 0x0f } else { self.hub }]),
            0x0a => (2, vec![25, 30, 0, 0]),
            0x0e => (2, self.odometer.to_be_bytes().to_vec()),
            0x10 => match data[1] {
                0 => (4_500, vec![0]),
                5 => (5, self.odometer.to_be_bytes().to_vec()),
                _ => (30, vec![]),
            },
            0x11 => (if data[1] == 0 { 400 } else { 12_000 }, vec![]),
            0x14 => (2, b"11310000000000000000A1".to_vec()),
            0x15 => (2, vec![0; 16]),
            _ => (2, vec![]),
        })
    }
}

/// A rule that spoils answers: function, first data bytes, what is answered instead (`None` is
/// silence), and how often.
type Rule = (u8, &'static [u8], Option<(u8, &'static [u8])>, usize);

/// A bus in virtual time.
struct Bench {
    host: Host,
    slaves: Vec<Slave>,
    now: Time,
    rules: Vec<Rule>,
    /// What the host sent, without A1, A2 and 0A unless those are asked for, and when.
    sent: Vec<(Time, String)>,
    all: Vec<(Time, Vec<u8>)>,
    events: Vec<Event>,
    /// After so many polls of a feed the toolhead sensor trips.
    trips: usize,
    polls: usize,
}

impl Bench {
    fn new(config: Config, slaves: Vec<Slave>) -> Bench {
        Bench {
            host: Host::new(config, Time(0)),
            slaves,
            now: Time(0),
            rules: Vec::new(),
            sent: Vec::new(),
            all: Vec::new(),
            events: Vec::new(),
            trips: 2,
            polls: 0,
        }
    }

    /// A bus on which boxes 1 and 2 are ready.
    fn ready() -> Bench {
        let mut bench = Bench::new(Config::default(), vec![Slave::new(1), Slave::new(2)]);
        bench.run(20_000);
        assert!(bench.host.is_ready(Address(1)) && bench.host.is_ready(Address(2)));
        bench.forget();
        bench
    }

    fn forget(&mut self) {
        self.sent.clear();
        self.all.clear();
        self.events.clear();
    }

    /// Goes on for so many ms.
    fn run(&mut self, ms: i64) {
        let end = Time(self.now.0 + ms * MS);
        let mut coming: Option<(Time, Vec<u8>)> = None;
        loop {
            let step = self.host.poll(self.now);
            self.events.extend(self.host.take_events());
            match step {
                Step::Send => {
                    let raw = self.host.request().to_vec();
                    self.now = Time(self.now.0 + MS);
                    self.host.sent(self.now);
                    self.note(&raw);
                    coming = self.answer(&raw).map(|(ms, raw)| (Time(self.now.0 + ms * MS), raw));
                }
                Step::Wait(until) => {
                    let next = coming.as_ref().map_or(until, |(time, _)| (*time).min(until));
                    if next > end {
                        // What is under way arrives in the next run: as late as that is.
                        self.now = end;
                        if let Some((_, raw)) = coming {
                            self.host.heard(&raw, end);
                        }
                        return;
                    }
                    self.now = self.now.max(next);
                    if let Some((_, raw)) = coming.take_if(|(time, _)| *time <= self.now) {
                        self.host.heard(&raw, self.now);
                    }
                }
                Step::Done => panic!("the host never ends"),
            }
        }
    }

    fn job(&mut self, job: Job, seconds: i64) {
        self.polls = 0;
        self.host.toolhead(false);
        self.host.start(job, self.now).unwrap();
        for _ in 0..seconds * 10 {
            self.run(100);
            if self.host.job().is_none() {
                return;
            }
        }
        panic!("{job} has no end: {:?}", self.words());
    }

    fn note(&mut self, raw: &[u8]) {
        let frame = Frame::from_bytes(raw).unwrap();
        let mut text = format!("{:02x} {:02x}", frame.addr().0, frame.func());
        frame.data().iter().for_each(|byte| text += &format!(" {byte:02x}"));
        self.all.push((self.now, raw.to_vec()));
        if !matches!(frame.func(), 0xa1 | 0xa2 | 0x0a) {
            self.sent.push((self.now, text));
        }
    }

    fn answer(&mut self, raw: &[u8]) -> Option<(i64, Vec<u8>)> {
        let request = Frame::from_bytes(raw).unwrap();
        if request.func() == 0x10 && request.data()[1] == 5 {
            self.polls += 1;
            if self.polls == self.trips {
                self.host.toolhead(true);
            }
        }
        if request.func() == 0x11 {
            self.host.toolhead(false);
            self.polls = 0;
        }
        let rule = self.rules.iter_mut().find(|(func, data, _, left)| {
            *func == request.func() && request.data().starts_with(data) && *left > 0
        });
        let spoiled = rule.map(|rule| {
            rule.3 -= 1;
            rule.2
        });
        for slave in &mut self.slaves {
            let Some((ms, data)) = slave.answer(&request) else { continue };
            let (status, data) = match spoiled {
                Some(None) => return None,
                Some(Some((status, data))) => (status, data.to_vec()),
                None => (0, data),
            };
            let frame = Frame::to_vec(slave.address, Status(status), request.func(), &data);
            return Some((ms, frame.unwrap()));
        }
        None
    }

    /// What the host sent.
    fn words(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// When it sent this, in ms.
    fn times(&self, what: &str) -> Vec<i64> {
        let at = |(time, _): &&(Time, String)| time.0 / MS;
        self.sent.iter().filter(|(_, text)| text == what).map(|sent| at(&sent)).collect()
    }

    fn keys(&self) -> Vec<u16> {
        let key = |event: &Event| match event {
            Event::Message { key, .. } => Some(key.0),
            _ => None,
        };
        self.events.iter().filter_map(key).collect()
    }
}
