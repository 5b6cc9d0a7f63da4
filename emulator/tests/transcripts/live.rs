//! An emulated bus in real time, at a pseudo-terminal.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use k485_emulator::bus::{Bus, BusConfig};
use k485_emulator::hand::Hand;
use k485_emulator::serve::{Handle, Server};
use k485_link::Clock;
use k485_proto::record::Time;

use crate::client::Client;
use crate::player::{Player, Tally, Wire};
use crate::script::Line;
use crate::{script, stage};

/// A client of the pseudo-terminal.
pub(crate) struct Live {
    client: Client,
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
        let client = Client::open(&path, clock)?;
        Ok((Live { client, handle, toolhead, server: Some(server) }, unassigned))
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
        self.client.now()
    }

    fn say(&mut self, bytes: &[u8]) -> Time {
        self.client.say(bytes)
    }

    fn listen(&mut self, until: Time) -> Vec<(Time, Vec<u8>)> {
        self.client.listen(until, || self.toolhead.load(Ordering::Acquire))
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
    script::cut(&mut lines, limit);
    let (live, unassigned) = Live::new(&all, 1)?;
    let mut player = Player::new(live, lines, unassigned);
    player.run();
    Ok(std::mem::take(&mut player.tally))
}
