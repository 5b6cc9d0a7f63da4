//! What an emulated bus carries, decoded on a thread of its own as `sniff` would.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use k485_emulator::serve::{Handle, Server};
use k485_proto::dialect::Dialect;
use k485_sniffer::live::decoder::Port;
use k485_sniffer::live::{Decoder, Heard, Queue};
use k485_web::Feed;

use crate::face;

/// How long it waits for something to be carried; then the bus's time alone may end something.
const WAIT: Duration = Duration::from_millis(50);
/// How long it gathers what comes: a busy bus does not wake the thread for every byte.
const GATHER: Duration = Duration::from_millis(10);
/// How long somebody waits at most for what was carried to be decoded.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread; it ends when this is dropped.
pub(super) struct Tap {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How often something was heard.
    heard: AtomicU64,
    /// How much of that is decoded.
    decoded: Mutex<u64>,
    further: Condvar,
    stop: AtomicBool,
}

impl Progress {
    /// Returns once all that was heard before this call is decoded.
    pub(super) fn catch_up(&self) {
        let heard = self.heard.load(Ordering::SeqCst);
        let decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |decoded: &mut u64| *decoded < heard && !self.stop.load(Ordering::SeqCst);
        drop(self.further.wait_timeout_while(decoded, PATIENCE, behind));
    }
}

impl Tap {
    /// Listens to the server's bus, whose name is `bus`, and fills the feed.
    pub(super) fn start(
        server: &mut Server,
        feed: Arc<Feed>,
        dialect: &'static Dialect,
        bus: &str,
    ) -> anyhow::Result<Tap> {
        let (queue, progress) = (Arc::new(Queue::new()), Arc::new(Progress::default()));
        let (filler, counter) = (Arc::clone(&queue), Arc::clone(&progress));
        server.on_heard(move |bytes, time| {
            // It never waits: what has no room is counted, and told as a gap.
            filler.push(0, Heard::Bytes { time, bytes: bytes.into() });
            counter.heard.fetch_add(1, Ordering::SeqCst);
        });
        let baud = server.bus().config();
        let baud = (!baud.fast).then_some(baud.baud);
        let decoder = Decoder::new(vec![Port { name: Arc::from(bus), baud }], dialect);
        let (handle, own) = (server.handle(), Arc::clone(&progress));
        let run = move || decode(&queue, decoder, &feed, &handle, &own);
        let thread = thread::Builder::new().name("tap".to_owned()).spawn(run);
        let thread = Some(thread.context("cannot start a thread for --control")?);
        Ok(Tap { progress, thread })
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

fn decode(queue: &Queue, mut decoder: Decoder, feed: &Feed, handle: &Handle, progress: &Progress) {
    let mut events = VecDeque::new();
    while !progress.stop.load(Ordering::SeqCst) {
        let heard = progress.heard.load(Ordering::SeqCst);
        queue.fetch(&mut events, WAIT);
        if events.is_empty() {
            events.push_back((0, Heard::Idle { time: handle.reading().now }));
        }
        let mut all = Vec::new();
        for (port, event) in events.drain(..) {
            decoder.heard(port, &event);
            all.extend(std::iter::from_fn(|| decoder.pull()).filter(face::is_shown));
        }
        feed.push(all);
        *progress.decoded.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        progress.further.notify_all();
        thread::sleep(GATHER);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::SeqCst);
        self.progress.further.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
