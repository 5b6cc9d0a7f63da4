//! A capture that is heard as if it were a bus.

use std::io;
use std::thread;
use std::time::Duration;

use k485_proto::record::Time;

use crate::clock::Clock;
use crate::error::LinkError;
use crate::link::{Event, Hear};
use crate::wait::time_of;

/// So many bytes of an untimed step are heard at once, as an adapter hands them over.
const PARCEL: usize = 16;

/// One thing that is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it was, where that is known.
    pub at: Option<Time>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Steps played one after the other.
///
/// - *Unpaced* they are heard as fast as they are read, at their own times; those without a time
///   at the time of reading. That is not live.
/// - *Paced* they are heard as on a live bus: the first at once, each other one as long after the
///   first as its time says, divided by the speed; the times are those of the clock. A step without
///   a time comes behind what was before, at the time that its bytes take on the wire. A time that
///   goes back is no wait. Who does not read in time loses nothing, but hears late.
///
/// The end of the steps is [`Event::Closed`]. An error of the iterator is one of the read, and the
/// next read goes on behind it.
#[derive(Debug)]
pub struct Played<I> {
    name: String,
    steps: I,
    clock: Clock,
    baud: u32,
    /// `None` where it is not paced.
    pace: Option<Pace>,
    /// What is next, from the place on.
    now: Option<(Step, usize)>,
}

#[derive(Debug)]
struct Pace {
    speed: f64,
    /// The clock at the beginning, and the steps' time there.
    began: Option<Time>,
    first: Option<Time>,
    /// When the last bytes were due on the clock.
    last: Time,
}

impl<I> Played<I>
where
    I: Iterator<Item = io::Result<Step>> + Send,
{
    /// Plays the steps as fast as they are read. `baud` is the speed that is told, and that untimed
    /// steps are paced by.
    pub fn new(name: impl Into<String>, steps: I, baud: u32, clock: Clock) -> Played<I> {
        Played { name: name.into(), steps, clock, baud, pace: None, now: None }
    }

    /// The same at the steps' own times, `speed` times as fast.
    ///
    /// # Panics
    ///
    /// Where `speed` is not a positive number.
    #[must_use]
    pub fn paced(mut self, speed: f64) -> Played<I> {
        assert!(speed.is_finite() && speed > 0.0, "a speed is a positive number, not {speed}");
        self.pace = Some(Pace { speed, began: None, first: None, last: Time(0) });
        self
    }

    /// The next bytes, unless the steps are over: how many of the step there are, and when they
    /// are due.
    fn next(&mut self) -> io::Result<Option<(usize, Time)>> {
        while self.now.as_ref().is_none_or(|(step, from)| *from == step.bytes.len()) {
            match self.steps.next() {
                Some(step) => self.now = Some((step?, 0)),
                None => return Ok(None),
            }
        }
        let Some((step, from)) = &self.now else { return Ok(None) };
        let len = step.bytes.len() - from;
        let Some(pace) = &mut self.pace else {
            return Ok(Some((len, step.at.unwrap_or_else(|| self.clock.now()))));
        };
        let began = *pace.began.get_or_insert_with(|| {
            pace.last = self.clock.now();
            pace.last
        });
        Ok(Some(match step.at {
            Some(at) => {
                let first = *pace.first.get_or_insert(at);
                let after = at.since(first) as f64 / pace.speed;
                // A cast beyond the range of i64 gives its end.
                (len, Time(began.0.saturating_add(after as i64)))
            }
            None => {
                let len = len.min(PARCEL);
                let takes = time_of(len, Some(self.baud)).as_nanos() as f64 / pace.speed;
                (len, Time(pace.last.0.saturating_add(takes as i64)))
            }
        }))
    }
}

impl<I> Hear for Played<I>
where
    I: Iterator<Item = io::Result<Step>> + Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        let failed = |name: &str, source| LinkError::Read { name: name.to_owned(), source };
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name.clone() });
        }
        let Some((len, due)) = self.next().map_err(|e| failed(&self.name, e))? else {
            return Ok(Event::Closed);
        };
        let mut time = due;
        if let Some(pace) = &mut self.pace {
            let wait = Duration::from_nanos(due.since(self.clock.now()).max(0).cast_unsigned());
            thread::sleep(wait.min(timeout));
            if wait > timeout {
                return Ok(Event::Idle);
            }
            pace.last = due;
            time = self.clock.now();
        }
        let Some((step, from)) = &mut self.now else { return Ok(Event::Closed) };
        let n = len.min(buf.len());
        buf[..n].copy_from_slice(&step.bytes[*from..*from + n]);
        *from += n;
        Ok(Event::Bytes { n, time })
    }

    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }

    /// Whether it is paced.
    fn is_live(&self) -> bool {
        self.pace.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(10);

    fn step(at: Option<i64>, bytes: &[u8]) -> io::Result<Step> {
        Ok(Step { at: at.map(|ms| Time(ms * Time::MILLISECOND)), bytes: bytes.to_vec() })
    }

    /// All that is heard, and when.
    fn all(mut hear: impl Hear) -> Vec<(Vec<u8>, Time)> {
        let mut heard = Vec::new();
        let mut buf = [0; 64];
        loop {
            match hear.read(&mut buf, LONG).unwrap() {
                Event::Bytes { n, time } => heard.push((buf[..n].to_vec(), time)),
                Event::Closed => return heard,
                Event::Idle => panic!("idle"),
            }
        }
    }

    #[test]
    fn unpaced_steps_are_heard_at_their_own_times_at_once() {
        let steps = vec![step(Some(5), b"ab"), step(Some(0), b""), step(Some(3_600_000), b"c")];
        let played = Played::new("steps", steps.into_iter(), 230_400, Clock::new());
        assert!(!played.is_live());
        let ms = |ms| Time(ms * Time::MILLISECOND);
        assert_eq!(all(played), [(b"ab".to_vec(), ms(5)), (b"c".to_vec(), ms(3_600_000))]);
    }

    #[test]
    fn a_step_is_never_more_than_the_buffer_takes() {
        let mut played =
            Played::new("steps", [step(None, b"abcde")].into_iter(), 230_400, Clock::new());
        let mut buf = [0; 2];
        let mut heard = Vec::new();
        while let Event::Bytes { n, .. } = played.read(&mut buf, LONG).unwrap() {
            heard.extend_from_slice(&buf[..n]);
        }
        assert_eq!(heard, b"abcde");
        assert!(matches!(played.read(&mut [], LONG), Err(LinkError::EmptyBuffer { .. })));
    }

    #[test]
    fn paced_steps_take_their_time_divided_by_the_speed() {
        let steps = vec![step(Some(1_000), b"a"), step(Some(1_200), b"b"), step(Some(0), b"c")];
        let clock = Clock::new();
        let played = Played::new("steps", steps.into_iter(), 230_400, clock).paced(4.0);
        assert!(played.is_live());
        let heard = all(played);
        assert!(heard[1].1.since(heard[0].1) >= 40 * Time::MILLISECOND, "{heard:?}");
        // Early by the start of the first, never by more; late as the machine likes.
        assert!(heard[2].1 >= heard[1].1 && heard.len() == 3, "{heard:?}");
        assert!(clock.now().since(heard[0].1) >= 40 * Time::MILLISECOND);
    }

    #[test]
    fn paced_steps_without_times_take_the_time_of_the_wire() {
        let bytes = vec![7; 240];
        let steps = vec![step(None, &bytes), step(None, &bytes)];
        let began = Instant::now();
        // 4,800 bits.
        let played = Played::new("steps", steps.into_iter(), 48_000, Clock::new()).paced(1.0);
        let heard = all(played);
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
        assert_eq!(heard.len(), 2 * 240 / PARCEL);
        assert_eq!(heard.iter().map(|(bytes, _)| bytes.len()).sum::<usize>(), 480);
    }

    #[test]
    fn a_wait_that_is_longer_than_the_time_out_is_idle() {
        let steps = vec![step(Some(0), b"a"), step(Some(3_600_000), b"b")];
        let mut played = Played::new("steps", steps.into_iter(), 230_400, Clock::new()).paced(1.0);
        let mut buf = [0; 8];
        assert!(matches!(played.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 1, .. }));
        assert_eq!(played.read(&mut buf, Duration::from_millis(5)).unwrap(), Event::Idle);
        assert_eq!(played.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
    }

    #[test]
    fn an_error_is_told_and_what_is_behind_it_is_heard() {
        let steps = vec![step(None, b"a"), Err(io::Error::other("line 2")), step(None, b"b")];
        let mut played = Played::new("steps", steps.into_iter(), 230_400, Clock::new());
        let mut buf = [0; 8];
        assert!(matches!(played.read(&mut buf, LONG), Ok(Event::Bytes { n: 1, .. })));
        let error = played.read(&mut buf, LONG).unwrap_err();
        assert_eq!(error.to_string(), "steps: cannot read: line 2");
        assert!(matches!(played.read(&mut buf, LONG), Ok(Event::Bytes { n: 1, .. })));
        assert_eq!(played.read(&mut buf, LONG).unwrap(), Event::Closed);
    }
}
