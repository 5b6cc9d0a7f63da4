//! What an answer must be like, and what follows from it for those behind it.

use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::record::Direction;

use crate::player::{Feed, Player, Wire};
use crate::script::Line;

impl<W: Wire> Player<W> {
    /// Whether a reply may be. What nobody answered in the transcript may be answered here only
    /// where somebody can.
    pub(crate) fn judge(
        &mut self,
        line: &Line,
        request: &Frame<'_>,
        reply: &Frame<'_>,
    ) -> Result<(), String> {
        let status = reply.status().0;
        let message = K2.decode(reply, Some(Direction::Response), Some(request));
        // Of a motor's parameters the host only prints what it is told of operations 4 to 6.
        let printed = matches!((request.func(), request.data()), (0x06, [4..=6]));
        if let Some(misfit) = message.misfit.filter(|_| !printed) {
            return Err(misfit.to_string());
        }
        if line.reply.is_none() && request.func() == 0xa3 {
            return Err("nobody has this address".to_owned());
        }
        let expected = line.reply.as_deref().and_then(|raw| Frame::from_bytes(raw).ok());
        let same = |what: &str, got: &[u8], want: &[u8]| {
            if got == want { Ok(()) } else { Err(format!("{what} {got:02x?}, not {want:02x?}")) }
        };
        match (request.func(), request.data()) {
            // Who it is.
            (0xa0 | 0xa2 | 0xa3, _) => {
                let want = expected.map_or(&[][..], |frame| frame.data());
                let (got, want) = (reply.data().get(2..), want.get(2..));
                same("identity", got.unwrap_or_default(), want.unwrap_or_default())?;
            }
            _ if !matches!(request.addr().0, 1..=4) => {}
            (0x08, _) if !self.wire.is_foreign() => {
                same("slots", reply.data(), &[line.answered().unwrap_or_default()])?
            }
            (0x05, []) if self.feeds && !self.auto => {
                same("buffer", reply.data(), &[line.answered().unwrap_or_default()])?
            }
            (0x0a, []) if status == 0x00 => {
                let told = [reply.data()[3]];
                match self.modes.get(&request.addr().0) {
                    Some(0) => same("state", &told, &[2])?,
                    // Preloading is idle too.
                    Some(_) if !matches!(told, [0 | 1]) => same("state", &told, &[0])?,
                    _ => {}
                }
            }
            (0x10, [_, 5, _]) if matches!(status, 0x00 | 0x0c) => {
                let bytes = reply.data().first_chunk::<4>().ok_or("no odometer")?;
                let reads = f32::from_be_bytes(*bytes);
                if let Some(feed) = &mut self.feed {
                    if !reads.is_finite() || reads > feed.odometer {
                        return Err(format!("odometer {reads} after {}", feed.odometer));
                    }
                    feed.odometer = reads;
                }
            }
            _ => {}
        }
        match (request.func(), request.data()) {
            _ if !matches!(request.addr().0, 1..=4) => {}
            // A feed may have met the extruder in the moment in which it reached the sensor.
            (0x10, [_, 5, _]) if self.wire.toolhead() && status == 0x0c => return Ok(()),
            (0x0a, _) if status == 0x30 => return Ok(()),
            // The host's form with two bytes is none of this firmware's.
            (0x13, [_, _]) if status == 0x01 => return Ok(()),
            _ => {}
        }
        let known = match (request.addr().0, request.func(), request.data()) {
            // What this firmware does not take.
            (1..=4, 0x06, _) | (1..=4, 0x07, []) => 0x01,
            _ => 0x00,
        };
        if status == known { Ok(()) } else { Err(format!("STATUS {status:02x}")) }
    }

    /// What the host knows from now on.
    pub(crate) fn follow(&mut self, line: &Line) {
        let (frame, device) = (line.frame(), line.frame().addr().0);
        match (frame.func(), frame.data()) {
            (0x04, [_, mode]) => drop(self.modes.insert(device, *mode)),
            // A motion ends in idle, or in an error that is found out.
            (0x10 | 0x11, _) => drop(self.modes.remove(&device)),
            _ => {}
        }
        match line.stage() {
            Some(4) => {
                let device = line.frame().addr().0;
                let odometer = f32::INFINITY;
                self.feed = Some(Feed { device, polls: 0, ending: false, odometer });
            }
            Some(0 | 3 | 6) => self.feed = None,
            _ => {}
        }
    }
}
