//! The feed that 10/04 starts: the hub motor runs, and the line is read by the loop itself.

use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::message::boxes::extrude_process;
use k485_proto::message::codes::{BoxState, ExtrudeStage};
use k485_proto::message::kind::F32Be;

use super::load::{Fill, Progress};
use super::task::{Io, Next};
use crate::plant::Drive;

/// The FUNC that is heard.
const FUNC: u8 = extrude_process::FUNCTION.code;
/// How long a frame that is heard is, in bytes.
const FRAME: usize = 9;

/// Feeds until something ends it. Every 20 ms it looks whether there are bytes; it takes nine of
/// them, hears stage 05 or 06 sent to the box's own address, and throws everything else away with
/// all that lies behind it.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    at: At,
}

#[derive(Debug, Clone)]
enum At {
    Start,
    Look(Progress),
    /// There are bytes; what the odometer showed then is what a poll is told.
    Read(Progress, f32),
    Filling,
}

/// What was read.
enum Heard {
    Poll,
    End,
    Nothing,
}

impl Feed {
    pub(super) fn new() -> Feed {
        Feed { at: At::Start }
    }

    /// Whether it has been told to end, which it answers when the buffer is full.
    pub(super) fn owes(&self) -> bool {
        matches!(self.at, At::Filling)
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        let (poll, read) = (io.machine.config.timings.poll, io.machine.config.timings.poll_read);
        match std::mem::replace(&mut self.at, At::Filling) {
            At::Start => {
                io.machine.state = BoxState::WRAPPING;
                io.path().hub = Drive::Forward;
                self.at = At::Look(Progress::new(io));
                Next::Sleep(poll)
            }
            At::Look(progress) if !io.line.is_empty() => {
                self.at = At::Read(progress, io.machine.odometer());
                Next::Sleep(read)
            }
            At::Look(progress) => self.go_on(progress, io),
            At::Read(progress, odometer) => match hear(io) {
                Heard::Poll => {
                    let data = extrude_process::Reply::FeedPoll { odometer: F32Be(odometer) };
                    io.reply(FUNC, 0, &data.to_vec());
                    self.go_on(progress, io)
                }
                Heard::Nothing => self.go_on(progress, io),
                Heard::End => Fill::default().into(),
            },
            At::Filling => {
                io.reply(FUNC, result, &[]);
                // Whether the buffer was full or not, the box is idle after it.
                io.machine.idle();
                Next::Done(0)
            }
        }
    }

    fn go_on(&mut self, mut progress: Progress, io: &mut Io<'_>) -> Next {
        let Some(code) = progress.look(io) else {
            self.at = At::Look(progress);
            return Next::Sleep(io.machine.config.timings.poll);
        };
        io.path().hub = Drive::Stop;
        io.machine.feed_result = code;
        io.machine.settle(code);
        Next::Done(0)
    }
}

/// Takes nine bytes off the line, and all of them when they are no stage 05 or 06.
fn hear(io: &mut Io<'_>) -> Heard {
    let count = io.line.len().min(FRAME);
    let bytes: Vec<u8> = io.line.drain(..count).collect();
    let heard = stage(&bytes, io.own);
    match heard {
        Some(ExtrudeStage::FEED_POLL) => Heard::Poll,
        Some(ExtrudeStage::FEED_END) => Heard::End,
        _ => {
            io.line.clear();
            Heard::Nothing
        }
    }
}

fn stage(bytes: &[u8], own: Address) -> Option<ExtrudeStage> {
    let frame = Frame::from_bytes(bytes).ok()?;
    if frame.addr() != own || frame.func() != FUNC {
        return None;
    }
    let request = extrude_process::Request::parse(own, frame.data()).ok()?;
    let extrude_process::Request::Stage { stage, .. } = request;
    Some(stage)
}
