//! Waking up at a time, finer than the runtime's timers, which tick in whole milliseconds.

use std::io;

use k485_link::Clock;
use k485_proto::record::Time;

/// Wakes at a time.
#[derive(Debug)]
pub(super) struct Alarm {
    clock: Clock,
    #[cfg(target_os = "linux")]
    timer: linux::Timer,
}

impl Alarm {
    /// An alarm in the runtime that is entered.
    pub(super) fn new(clock: Clock) -> io::Result<Alarm> {
        Ok(Alarm {
            clock,
            #[cfg(target_os = "linux")]
            timer: linux::Timer::new()?,
        })
    }

    /// Waits until `at`; for ever without one.
    pub(super) async fn wait(&mut self, at: Option<Time>) -> io::Result<()> {
        let Some(at) = at else { return std::future::pending().await };
        let left = at.since(self.clock.now());
        let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
            // The other tasks have their turn all the same.
            tokio::task::yield_now().await;
            return Ok(());
        };
        let left = std::time::Duration::from_nanos(left);
        #[cfg(target_os = "linux")]
        return self.timer.sleep(left).await;
        #[cfg(not(target_os = "linux"))]
        {
            tokio::time::sleep(left).await;
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    /// A timer of the system's that is polled like any other descriptor.
    #[derive(Debug)]
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub(super) fn new() -> io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Timer(crate::serve::watch(fd)?))
        }

        pub(super) async fn sleep(&mut self, time: Duration) -> io::Result<()> {
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: time.subsec_nanos().into(),
                },
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = self.0.readable().await?;
                let mut count = [0; 8];
                match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
                    Ok(read) => return read.map(|_| ()),
                    // Of an earlier setting, which this one has replaced.
                    Err(_would_block) => {}
                }
            }
        }
    }
}
