//! An emulated bus in real time, at a pseudo-terminal.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use k485_emulator::bus::{Bus, BusConfig};
use k485_emulator::hand::Hand;
use k485_emulator::serve::{Handle, Server};
use k485_link::{Clock, Event, Hear, Link, Options, Serial};
use k485_proto::record::Time;

use crate::player::{Player, Tally, Wire};
use crate::script::Line;
use crate::stage;

/// How often the toolhead sensor is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A client of the pseudo-terminal.
pub(crate) struct Live {
    clock: Clock,
    port: Serial,
    handle: Handle,
    toolhead: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Live {
    /// A server with the transcript's world, and how many boxes have no address.
    fn new(lines: &VecDeque<Line>, seed: u64) -> Result<(Live, usize), Box<dyn Error>> {
        let clock = Clock::new();
        let toolhead = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let (seen, lines) = (toolhead.clone(), lines.clone());
        let server = std::thread::spawn(move || {
            let (world, unassigned) = stage::world(&lines, seed, clock.now());
            let mut server = Server::new(Bus::new(world, BusConfig::default()), clock);
            server.on_toolhead(move |filament| seen.store(filament, Ordering::Release));
            let path = server.add_pty(None).map_err(|error| error.to_string());
            let _ = sender.send(path.map(|path| (path, server.handle(), unassigned)));
            if let Err(error) = server.run_here() {
                panic!("the server ended: {error}");
            }
        });
        let (path, handle, unassigned) = receiver.recv()??;
        let port = Serial::open(&path, &Options::default(), clock)?;
        Ok((Live { clock, port, handle, toolhead, server: Some(server) }, unassigned))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

impl Wire for Live {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn say(&mut self, bytes: &[u8]) -> Time {
        self.port.send(bytes).expect("the pseudo-terminal is there")
    }

    fn listen(&mut self, until: Time) -> Vec<(Time, Vec<u8>)> {
        let seen = self.toolhead();
        let mut buf = [0; 512];
        loop {
            let left = until.since(self.now()).max(0).unsigned_abs();
            let timeout = Duration::from_nanos(left).min(LOOK);
            match self.port.read(&mut buf, timeout).expect("the pseudo-terminal is there") {
                Event::Bytes { n, time } => return vec![(time, buf[..n].to_vec())],
                Event::Closed => panic!("the pseudo-terminal has closed"),
                Event::Idle => {}
            }
            if self.now() >= until || self.toolhead() != seen {
                return Vec::new();
            }
        }
    }

    fn toolhead(&self) -> bool {
        self.toolhead.load(Ordering::Acquire)
    }

    fn act(&mut self, hand: &Hand) -> bool {
        self.handle.act(hand.clone()).expect("the server runs").expect("a hand");
        true
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// Plays what the first so many ns of a transcript show.
pub(crate) fn play(mut lines: VecDeque<Line>, limit: i64) -> Result<Tally, Box<dyn Error>> {
    let all = lines.clone();
    let mut time = 0;
    lines.retain(|line| {
        time += line.gap + line.waited;
        time <= limit
    });
    let (live, unassigned) = Live::new(&all, 1)?;
    let mut player = Player::new(live, lines, unassigned);
    player.run();
    Ok(std::mem::take(&mut player.tally))
}
