//! Address management: A0 to A3, and the loader, which knows nothing else.

use k485_proto::address::Address;
use k485_proto::message::addressing::{
    get_addr_table, get_slave_info, loader_to_app, online_check, set_slave_addr,
};
use k485_proto::message::codes::{DeviceType, Program};
use k485_proto::message::kind::Uniid;
use k485_proto::record::Time;

use super::receiver::Heard;
use super::{BoxDevice, MS, Said, task};

/// How often the application sends its reply to A0; the loader does once. Both seen on the wire.
const ASSIGNED_SENDS: usize = 3;

impl BoxDevice {
    /// Executes a request of address management; whether it was one. LEN is not looked at: the
    /// arguments are read where they lie, even if an older frame left them there.
    pub(super) fn manage(&mut self, heard: &Heard) -> bool {
        match heard.func {
            code if code == set_slave_addr::FUNCTION.code => self.assign(),
            code if code == get_slave_info::FUNCTION.code => self.await_introduction(),
            code if code == online_check::FUNCTION.code => {
                let data = online_check::Reply::Identity {
                    device_type: DeviceType::BOX,
                    program: self.program(),
                    uniid: self.uniid(),
                };
                self.say(heard.func, 0, &data.to_vec());
            }
            code if code == get_addr_table::FUNCTION.code => {
                let data = get_addr_table::Reply::Identity {
                    device_type: DeviceType::BOX,
                    program: self.program(),
                    uniid: self.uniid(),
                };
                self.say(heard.func, 0, &data.to_vec());
            }
            _ => return false,
        }
        true
    }

    /// The loader's one function of its own: to start the application. Nothing was seen of what it
    /// answers; it answers nothing here. Nor whether the application keeps the address: the vendor's
    /// host gives it out first and goes on with it, so here it does.
    pub(super) fn load(&mut self, heard: &Heard) {
        let start = loader_to_app::Request::parse(heard.to, &heard.data);
        let start = heard.func == loader_to_app::FUNCTION.code
            && start == Ok(loader_to_app::Request::Start { argument: 1 });
        if start {
            self.machine.app = true;
        }
    }

    /// A0: takes the address when the identity is the box's own.
    fn assign(&mut self) {
        let memory = &self.receiver.memory()[..13];
        let request = set_slave_addr::Request::parse(self.receiver.own, memory);
        let Ok(set_slave_addr::Request::Assign { address, uniid }) = request else { return };
        if uniid != self.uniid() {
            return;
        }
        self.receiver.own = address;
        self.introduction = None;
        let data = set_slave_addr::Reply::Identity {
            device_type: DeviceType::BOX,
            program: self.program(),
            uniid,
        };
        let sends = if self.receiver.loader { 1 } else { ASSIGNED_SENDS };
        for _ in 0..sends {
            self.say(set_slave_addr::FUNCTION.code, 0, &data.to_vec());
        }
    }

    /// A1: a box without an address introduces itself after a random delay, in which another one's
    /// introduction may be over. A second A1 in this time changes nothing.
    fn await_introduction(&mut self) {
        let memory = &self.receiver.memory()[..2];
        let request = get_slave_info::Request::parse(self.receiver.own, memory);
        let Ok(get_slave_info::Request::Window { low, high }) = request else { return };
        let unassigned = Address::UNASSIGNED;
        if self.receiver.own != unassigned || !(low..=high).contains(&unassigned.0) {
            return;
        }
        if self.introduction.is_none() {
            let delay = self.rng.below(self.machine.config.timings.introduction);
            self.introduction = Some(Time(self.now.0 + i64::from(delay) * MS));
        }
    }

    /// The answer to A1, when its time has come.
    pub(super) fn introduce(&mut self) {
        let data = get_slave_info::Reply::Identity {
            device_type: DeviceType::BOX,
            program: self.program(),
            uniid: self.uniid(),
        };
        self.say(get_slave_info::FUNCTION.code, 0, &data.to_vec());
    }

    fn uniid(&self) -> Uniid {
        Uniid(self.machine.config.uniid)
    }

    fn program(&self) -> Program {
        if self.machine.in_loader(self.now) { Program::LOADER } else { Program::APP }
    }

    /// Says a reply from the box's own address, now.
    pub(super) fn say(&mut self, func: u8, status: u8, data: &[u8]) {
        if let Some(bytes) = task::reply(self.receiver.own, func, status, data) {
            self.said.push(Said { at: self.now, bytes });
        }
    }
}
