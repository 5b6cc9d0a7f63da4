//! What befalls devices: being offline, at work, switched off and on.

use k485_link::fault::{Befalls, Effect};
use k485_proto::record::Time;

use super::{DeviceId, Player, World};

/// How much is kept for a device that is at work; what comes then is lost.
const KEPT: usize = 512;

/// The devices to which the bus does not reach.
#[derive(Debug, Clone, Default)]
pub(super) struct Mishaps {
    /// Who is offline, from when until when.
    offline: Vec<(DeviceId, Time, Time)>,
    /// Who is at work, until when, and what it will then read.
    busy: Vec<(DeviceId, Time, Vec<u8>)>,
}

impl Mishaps {
    /// Whether what is said now does not reach a device; it may later.
    pub(super) fn keeps(&mut self, id: DeviceId, bytes: &[u8], now: Time) -> bool {
        if self.mutes(id, now) {
            return true;
        }
        let busy = self.busy.iter_mut().find(|(who, until, _)| *who == id && *until > now);
        if let Some((_, _, kept)) = busy {
            let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
            return true;
        }
        false
    }

    /// Whether what a device says at that time reaches nobody.
    pub(super) fn mutes(&self, id: DeviceId, at: Time) -> bool {
        self.offline.iter().any(|(who, from, until)| *who == id && (*from..*until).contains(&at))
    }

    /// Whose time is over by now, and of whom all was taken, is forgotten.
    pub(super) fn forget(&mut self, now: Time) {
        self.offline.retain(|(_, _, until)| *until > now);
    }

    /// When one who is at work is done.
    pub(super) fn next_event(&self) -> Option<Time> {
        self.busy.iter().map(|(_, until, _)| *until).min()
    }
}

impl World {
    /// Carries out what befalls the devices that answer to an address: FE is all boxes without one.
    ///
    /// One that is offline lives on, and neither hears anything nor is heard. A box that starts slowly
    /// is in its loader; any other device is offline for that time.
    pub fn befall(&mut self, effect: &Effect) {
        self.advance(effect.at);
        let meant = |id: &DeviceId| self.address(*id) == Some(effect.device);
        for id in self.devices().filter(meant).collect::<Vec<_>>() {
            let (now, plant) = (self.now, &mut self.plant);
            let later = |ns| Time(now.0.saturating_add(ns));
            let Some(player) = self.players.get_mut(id.0) else { continue };
            match (player, effect.what) {
                (_, Befalls::Offline { ns }) => self.mishaps.offline.push((id, now, later(ns))),
                (Player::Box { device, .. }, Befalls::Reset) => device.reset(now, plant),
                (Player::Box { device, .. }, Befalls::SlowBoot { ns }) => {
                    let ms = u32::try_from(ns / Time::MILLISECOND).unwrap_or(u32::MAX - 1);
                    device.reset_slowly(now, ms, plant);
                }
                (Player::Box { device, .. }, Befalls::Busy { ns }) => device.keep_busy(later(ns)),
                (_, Befalls::Busy { ns }) => {
                    let until = later(ns);
                    match self.mishaps.busy.iter_mut().find(|(who, ..)| *who == id) {
                        Some((_, old, _)) => *old = until.max(*old),
                        None => self.mishaps.busy.push((id, until, Vec::new())),
                    }
                }
                (player, Befalls::Reset) => player.restart(),
                (player, Befalls::SlowBoot { ns }) => {
                    player.restart();
                    self.mishaps.offline.push((id, now, later(ns)));
                }
            }
        }
        self.run(self.now);
    }

    /// Those who are done read what they were told meanwhile.
    pub(super) fn catch_up(&mut self) {
        let now = self.now;
        let (done, busy) =
            std::mem::take(&mut self.mishaps.busy).into_iter().partition(|busy| busy.1 <= now);
        self.mishaps.busy = busy;
        let done: Vec<(DeviceId, Time, Vec<u8>)> = done;
        for (id, _, kept) in done {
            if let Some(device) = self.players.get_mut(id.0).and_then(Player::live_mut) {
                device.heard(&kept, now, &mut self.plant);
            }
        }
    }
}

impl Player {
    /// Switched off and on, where that changes something.
    fn restart(&mut self) {
        if let Player::Motor { device, .. } = self {
            device.restart();
        }
    }
}
