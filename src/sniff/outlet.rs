//! From the thread that decodes and keeps to the one that shows.
//!
//! A terminal may be stopped, a pipe may be full; what is captured must not wait for them. So what
//! is to be shown waits here, up to a number, and beyond that is left out and counted. Where the
//! source waits for its reader (a file), it waits for the screen too, and nothing is left out.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use k485_proto::exchange::Seen;

/// How many things wait at most: minutes of a busy bus.
const WAITING: usize = 1 << 16;

/// What is to be shown.
#[derive(Debug)]
pub(crate) enum News {
    /// Something that was seen.
    Seen(Seen),
    /// Something to say on stderr.
    Say(String),
    /// How it stands with the file, for those that have a place for it.
    Status(String),
}

/// Where the news goes in.
pub(crate) struct Outlet {
    sender: SyncSender<News>,
    waits: bool,
    left_out: u64,
}

/// An outlet, and where its news comes out; `waits` where the source waits for its reader.
pub(crate) fn outlet(waits: bool) -> (Outlet, Receiver<News>) {
    let (sender, receiver) = sync_channel(WAITING);
    (Outlet { sender, waits, left_out: 0 }, receiver)
}

impl Outlet {
    /// Gives something to be shown; false when nobody shows anything any more.
    pub(crate) fn give(&mut self, news: News) -> bool {
        if self.waits {
            return self.sender.send(news).is_ok();
        }
        if self.left_out > 0 {
            match self.sender.try_send(News::Say(self.missing())) {
                Ok(()) => self.left_out = 0,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.sender.try_send(news) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.left_out += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// What is said where things are left out.
    pub(crate) fn missing(&self) -> String {
        format!(
            "{} frames and exchanges are not shown here: the output is slower than the bus; what \
             -w writes has them",
            self.left_out
        )
    }

    /// How many things were left out and not told yet.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(n: usize) -> News {
        News::Say(n.to_string())
    }

    #[test]
    fn what_nobody_fetches_is_counted_and_told_where_it_is_missing() {
        let (mut outlet, news) = outlet(false);
        for n in 0..WAITING + 5 {
            assert!(outlet.give(say(n)));
        }
        assert_eq!(outlet.left_out(), 5);
        for n in 0..WAITING {
            assert!(matches!(news.try_recv(), Ok(News::Say(text)) if text == n.to_string()));
        }
        assert!(outlet.give(say(7)));
        assert!(matches!(news.try_recv(), Ok(News::Say(text)) if text.starts_with("5 frames")));
        assert!(matches!(news.try_recv(), Ok(News::Say(text)) if text == "7"));
        assert_eq!(outlet.left_out(), 0);
        drop(news);
        assert!(!outlet.give(say(8)));
    }

    #[test]
    fn a_source_that_waits_waits_for_the_screen() {
        let (mut outlet, news) = outlet(true);
        let giver = std::thread::spawn(move || (0..WAITING + 500).all(|n| outlet.give(say(n))));
        let got = news.iter().count();
        assert_eq!(got, WAITING + 500);
        assert!(giver.join().unwrap());
    }
}
