//! Dialects: one device family's tables of functions, devices and statuses.
//!
//! All of them speak the same frames; what a function code means differs. A dialect is an overlay:
//! what it declares comes before what its base declares, and what it leaves out is the base's.
//! [`K2`] is the ground that everything else lies on.
//!
//! [`hi`] and [`k1`] are overlays that this crate knows, [`choose`] tells from a capture's beginning
//! which of the three it is.
//!
//! Tables are `'static`. A dialect that is read from a file is leaked once, when it is loaded
//! ([`Dialect::from_toml`], behind the feature `toml`), so that every record can refer to it without a count.

pub mod choose;
pub mod hi;
pub mod k1;
#[cfg(feature = "toml")]
pub mod toml;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use crate::address::{Address, AddressError, Class};
use crate::effect::Effect;
use crate::evidence::Evidence;
use crate::frame::Frame;
use crate::message::{self, Function, Message};
use crate::record::Direction;
use crate::status::{Status, StatusInfo};

/// One device family's tables.
#[derive(Debug)]
pub struct Dialect {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub title: &'static str,
    /// The dialect that it lies on.
    pub base: Option<&'static Dialect>,
    /// Its own devices; an address in several of them is the first one's.
    pub devices: &'static [DeviceEntry],
    /// Its own functions, each in place of the base's with the same class and code.
    pub functions: &'static [&'static Function],
    /// Its own statuses.
    pub statuses: &'static [StatusInfo],
}

/// A device, or a row of like devices, that a dialect adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceEntry {
    /// The name; a number is put behind it where there are several.
    pub name: &'static str,
    /// The address of the first, which has the number 1.
    pub first: Address,
    /// How many there are.
    pub count: u8,
    /// Whose functions they have.
    pub class: Class,
    /// How it is known.
    pub evidence: Evidence,
}

impl DeviceEntry {
    /// The device's name, if the address is one of these.
    fn name_of(&self, addr: Address) -> Option<Cow<'static, str>> {
        let at = addr.0.checked_sub(self.first.0).filter(|at| *at < self.count)?;
        Some(match self.count {
            1 => Cow::Borrowed(self.name),
            _ => Cow::Owned(format!("{}{}", self.name, at + 1)),
        })
    }

    /// The address of a name.
    fn address_of(&self, name: &str) -> Option<Address> {
        (0..self.count)
            .map(|at| Address(self.first.0.wrapping_add(at)))
            .find(|addr| self.name_of(*addr).is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Dialect {}

impl Dialect {
    /// The dialects of this crate.
    pub const BUILT_IN: [&'static Dialect; 3] = [&K2, &hi::HI, &k1::K1];

    /// The dialect of this crate with this name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<&'static Dialect> {
        Self::BUILT_IN.into_iter().find(|dialect| dialect.name.eq_ignore_ascii_case(name))
    }

    /// This dialect, its base, the base's base, and so on.
    pub fn chain(&self) -> impl Iterator<Item = &Dialect> {
        core::iter::successors(Some(self), |dialect| dialect.base)
    }

    /// The row of devices that this dialect (or its base) adds, and that the address is in.
    #[must_use]
    pub fn entry(&self, addr: Address) -> Option<&DeviceEntry> {
        self.chain().flat_map(|dialect| dialect.devices).find(|entry| entry.name_of(addr).is_some())
    }

    /// The class of an address.
    #[must_use]
    pub fn class(&self, addr: Address) -> Option<Class> {
        self.entry(addr).map(|entry| entry.class).or_else(|| addr.class())
    }

    /// Whether the address is in no table. ADDR is outside the CRC, so such a frame is whole and
    /// still probably damaged.
    #[must_use]
    pub fn is_unknown(&self, addr: Address) -> bool {
        addr.is_implausible() && self.entry(addr).is_none()
    }

    /// The device's name: `box1`, `motor2`, `0x41`.
    #[must_use]
    pub fn device(&self, addr: Address) -> Cow<'static, str> {
        let own = self.entry(addr).and_then(|entry| entry.name_of(addr));
        own.unwrap_or_else(|| Cow::Owned(addr.to_string()))
    }

    /// The address of a device's name, or of a byte such as `0x41`.
    ///
    /// # Errors
    /// The text names no device.
    pub fn address(&self, text: &str) -> Result<Address, AddressError> {
        let own = self.chain().flat_map(|dialect| dialect.devices);
        match own.filter_map(|entry| entry.address_of(text)).next() {
            Some(addr) => Ok(addr),
            None => text.parse(),
        }
    }

    /// What is known of a status.
    #[must_use]
    pub fn status(&self, status: Status) -> Option<&StatusInfo> {
        let own = self.chain().flat_map(|dialect| dialect.statuses);
        own.into_iter().find(|info| info.code == status).or_else(|| status.info())
    }

    /// A status's name: `OK`, `RETRUDE_ERR2`, `0x18`.
    #[must_use]
    pub fn status_name(&self, status: Status) -> Cow<'static, str> {
        match self.status(status).and_then(|info| info.name) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(status.to_string()),
        }
    }

    /// Every status that is known, by its code.
    pub fn statuses(&self) -> impl Iterator<Item = &StatusInfo> {
        (0..=u8::MAX).filter_map(|code| self.status(Status(code)))
    }

    /// The status of a name (in either case), or of a byte such as `0x14`.
    ///
    /// # Errors
    /// The text names no status.
    pub fn status_of(&self, text: &str) -> Result<Status, String> {
        let mut own = self.chain().flat_map(|dialect| dialect.statuses);
        let named = own.find(|info| info.name.is_some_and(|name| name.eq_ignore_ascii_case(text)));
        match named {
            Some(info) => Ok(info.code),
            None => text.parse::<Status>().map_err(|error| error.to_string()),
        }
    }

    /// The functions of a class, this dialect's own in place of those they replace.
    pub fn functions(&self, class: Class) -> impl Iterator<Item = &'static Function> {
        let own = self.chain().flat_map(|dialect| dialect.functions.iter().copied());
        let mut seen = [false; 256];
        own.chain(message::functions(class).iter().copied()).filter(move |function| {
            let first = function.class == class && !seen[usize::from(function.code)];
            if first {
                seen[usize::from(function.code)] = true;
            }
            first
        })
    }

    /// Every class that has functions or devices here.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        let own = self.chain().flat_map(|dialect| {
            let devices = dialect.devices.iter().map(|entry| entry.class);
            devices.chain(dialect.functions.iter().map(|function| function.class))
        });
        let mut others: alloc::vec::Vec<Class> = own.filter(|c| !Class::ALL.contains(c)).collect();
        others.sort_unstable();
        others.dedup();
        Class::ALL.into_iter().chain(others)
    }

    /// Every function, class by class.
    pub fn all_functions(&self) -> impl Iterator<Item = &'static Function> {
        self.classes().flat_map(|class| self.functions(class))
    }

    /// The function that a frame calls or answers, by its address and FUNC.
    ///
    /// A0–A3 are address management on every address, and so is 0B to a group (a box has a 0B of its
    /// own), and F0 where a dialect does not say otherwise.
    #[must_use]
    pub fn find(&self, addr: Address, func: u8) -> Option<&'static Function> {
        let to_group = addr.is_group() && addr != Address::UNASSIGNED;
        let managed = matches!(func, 0xa0..=0xa3) || (func == 0x0b && to_group);
        let of_loaders = &message::addressing::loader_f0::FUNCTION;
        // The motors' address broadcast goes to FF, where no other class is spoken to.
        let class = match self.class(addr) {
            _ if managed => Class::Addressing,
            Some(class) => class,
            None if addr == Address::ALL => Class::Motor,
            None if func == of_loaders.code => Class::Addressing,
            None => return None,
        };
        let own = |class: Class| {
            let own = self.chain().flat_map(|dialect| dialect.functions.iter().copied());
            let mut all = own.chain(message::functions(class).iter().copied());
            all.find(|function| function.class == class && function.code == func)
        };
        own(class).or_else(|| own(Class::Addressing).filter(|function| *function == of_loaders))
    }

    /// What a frame does where it is sent as a request.
    ///
    /// [`Effect::Firmware`] for a function that nobody declared, a payload that does not fit, and a
    /// STATUS that requests of this function do not carry: nobody knows what that does.
    #[must_use]
    pub fn effect(&self, request: &Frame<'_>) -> Effect {
        match self.find(request.addr(), request.func()) {
            Some(function) if function.request_status == request.status() => {
                function.effect(request.addr(), request.data())
            }
            _ => Effect::Firmware,
        }
    }

    /// Reads a frame: as a request, as a reply (with its request where it is known), or, with the
    /// direction unknown, as whichever of the two fits alone.
    #[must_use]
    pub fn decode<'a>(
        &self,
        frame: &Frame<'a>,
        dir: Option<Direction>,
        request: Option<&Frame<'_>>,
    ) -> Message<'a> {
        let addr = request.map_or(frame.addr(), Frame::addr);
        let func = request.map_or(frame.func(), Frame::func);
        match self.find(addr, func) {
            Some(function) => message::decode(function, frame, dir, request),
            None => Message { rest: frame.data(), ..Message::default() },
        }
    }
}

/// K2 family, box firmware 1.1.x: the tables of [`message`] and nothing else.
pub static K2: Dialect = Dialect {
    name: "k2",
    title: "K2 family printers and CFS boxes, firmware 1.1.x",
    base: None,
    devices: &[],
    functions: &[],
    statuses: &[],
};
