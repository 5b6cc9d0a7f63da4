//! `emu:`: a bus inside the process, with a host that assigns the boxes, polls them, and loads one
//! slot after the other.

use std::thread;

use anyhow::{Context, anyhow, bail};
use k485_emulator::guest::HostGuest;
use k485_emulator::serve::Server;
use k485_emulator::{Bus, BusConfig, World};
use k485_link::{Clock, Hear};
use k485_proto::host::engine::{Config, Job};
use k485_proto::slot::Slot;

use super::setup::{Setup, SetupArgs};

/// From one job to the next, in ms.
const PAUSE: u32 = 20_000;

/// Starts such a bus, on a thread that ends with whoever hears it; and what it is, in words.
pub(crate) fn start(clock: Clock) -> anyhow::Result<(impl Hear + 'static, String)> {
    let now = clock.now();
    let Setup { world, seed } = SetupArgs::default().setup(now)?;
    let what = format!(
        "emu:, {} boxes and a host inside this process, seed {seed}",
        world.plant().boxes()
    );
    let (first, again) = jobs(&world)?;
    let config = BusConfig::default();
    // Shorter than the vendor's host, where a printer heats and moves meanwhile; and it does not wait
    // an hour for a box that is gone.
    let host =
        Config { settle_ms: 500, before_feed_ms: 500, heartbeat_ms: 2_000, ..Config::default() };
    let guest = HostGuest::new(host, &config, now).with_jobs(vec![first], again, PAUSE);
    let (sender, ready) = std::sync::mpsc::channel();
    let run = move || {
        let mut bus = Bus::new(world, config);
        bus.invite(Box::new(guest));
        let mut server = Server::new(bus, clock);
        let _ = sender.send(server.add_tap());
        if let Err(error) = server.run_here() {
            eprintln!("k485: emu: {error}");
        }
    };
    thread::Builder::new().name("emu".to_owned()).spawn(run).context("emu: cannot start")?;
    let tap = ready.recv().map_err(|_| anyhow!("emu: ended before it began"))?;
    Ok((tap, what))
}

/// A load, and what follows over and over: changes between two slots that have filament; with one
/// of them unloads and loads.
fn jobs(world: &World) -> anyhow::Result<(Job, Vec<Job>)> {
    let mut filled = Slot::all().filter(|slot| world.spool(*slot).is_some());
    let Some(first) = filled.next() else {
        bail!("emu: no slot has filament, so there is nothing to load")
    };
    // One of another box, if there is one.
    let second =
        filled.next().map(|next| filled.find(|s| s.device != first.device).unwrap_or(next));
    let rest = match second {
        Some(second) => {
            vec![Job::Change { from: first, to: second }, Job::Change { from: second, to: first }]
        }
        None => vec![Job::Unload(first), Job::Load(first)],
    };
    Ok((Job::Load(first), rest))
}
