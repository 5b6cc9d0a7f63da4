use super::*;
use crate::deframer;
use crate::exchange::Pairer;
use crate::message::kind::hex_bytes;
use crate::record::Record;
use alloc::string::String;
use alloc::vec::Vec;

const MS: i64 = Time::MILLISECOND;

/// A bus that is listened to.
#[derive(Default)]
struct Heard {
    pairer: Pairer,
    watch: FeedWatch,
}

impl Heard {
    /// A frame at a time in milliseconds.
    fn at(&mut self, ms: i64, hex: &str) -> &mut Self {
        let bytes = hex_bytes(hex).unwrap();
        for span in deframer::spans(&bytes) {
            let record = Record { time: Some(Time(ms * MS)), ..Record::of_span(&span) };
            assert_eq!(record.verdict, crate::record::Verdict::Frame, "{hex}");
            self.pairer.push(record);
        }
        while let Some(seen) = self.pairer.pull() {
            self.watch.see(&seen);
        }
        self
    }

    fn stage(&self, ms: i64) -> Option<&'static str> {
        self.watch.feed(Time(ms * MS)).map(|feed| feed.stage)
    }

    fn runs(&self, ms: i64) -> bool {
        self.stage(ms).is_some()
    }
}

/// A frame of box 1.
fn frame(status: u8, func: u8, data: &[u8]) -> String {
    let raw = crate::frame::Frame::to_vec(Address(1), Status(status), func, data).unwrap();
    alloc::format!("{}", crate::frame::Hex(&raw)).replace(' ', "")
}

/// The load and unload of a K2 Plus (T2A), with the times of the capture.
#[test]
fn a_load_and_an_unload() {
    let mut heard = Heard::default();
    heard.at(0, "f70206ff10010000c3");
    assert_eq!(heard.stage(0), Some("to_hub"));
    assert!(heard.runs(4_400));
    heard.at(4_482, "f702040010000f").at(4_490, "f70206ff1001040097");
    heard.at(4_532, "f702030010cd").at(4_540, "f70206ff1001050082");
    heard.at(4_675, "f702070010c412ce5530").at(6_680, "f70206ff1001050082");
    heard.at(6_708, "f702070010c45dcceaef");
    assert_eq!(heard.stage(8_700), Some("feed_poll"));
    heard.at(8_720, "f70206ff1001050082").at(8_751, "f702070010c49638f494");
    heard.at(10_760, "f70206ff1001050082").at(10_784, "f702070010c4bd8524a3");
    heard.at(12_790, "f70206ff1001050082").at(12_814, "f702070010c4e4c77c43");
    let feed = heard.watch.feed(Time(12_900 * MS)).unwrap();
    assert_eq!((feed.addr, feed.slots), (Address(2), Some(SlotSet(1))));
    assert_eq!((feed.since, feed.seen), (Time(0), Time(12_814 * MS)));
    assert!(!feed.ended);
    heard.at(12_900, "f70206ff10010600bd");
    assert_eq!(heard.stage(12_901), Some("feed_end"));
    heard.at(12_929, "f702030010cd");
    // The grace.
    assert!(heard.watch.feed(Time(15_929 * MS)).unwrap().ended);
    assert!(!heard.runs(15_930));
    // The push, print mode, the odometer: nothing runs.
    heard.at(17_270, "f70206ff10010703a1").at(17_326, "f702030010cd");
    heard.at(21_890, "f70203ff0571").at(21_907, "f7020400050019");
    heard.at(21_920, "f70205ff04010082").at(21_934, "f702030004a1");
    heard.at(22_380, "f70204ff0e01a2").at(22_400, "f70207000ec4e77b58d1");
    assert!(!heard.runs(22_400));
    heard.at(170_380, "f70205ff04000190").at(170_400, "f702030004a1");
    heard.at(170_410, "f70204ff0800db").at(170_420, "f70204000801f7");
    assert!(!heard.runs(170_420));
    heard.at(170_630, "f70205ff110100e0");
    assert_eq!(heard.stage(171_000), Some("buffer"));
    heard.at(171_249, "f702030011ca");
    heard.at(179_860, "f70205ff110101e7");
    assert_eq!(heard.stage(190_000), Some("material"));
    heard.at(192_346, "f702030011ca");
    assert!(heard.runs(195_346));
    assert!(!heard.runs(195_347));
}

/// The raw dump's host ends with 06 and one poll more, which is no new feed.
#[test]
fn one_more_poll_behind_the_end() {
    let mut heard = Heard::default();
    heard.at(0, "f70106ff10080000f9").at(4_450, "f701040010000f");
    heard.at(4_460, "f70106ff10080400ad").at(4_500, "f701030010cd");
    heard.at(4_510, "f70106ff10080500b8").at(4_600, "f701070010c3fa3c4aae");
    heard.at(6_000, "f70106ff1008060087").at(6_100, "f701030010cd");
    heard.at(8_000, "f70106ff10080500b8").at(8_050, "f701070010c4a71c25dd");
    assert!(heard.runs(11_000));
    assert!(!heard.runs(11_001));
    // Two of them are a feed whose start was not heard.
    let mut heard = Heard::default();
    heard.at(0, "f70106ff1008060087").at(100, "f701030010cd");
    heard.at(1_000, "f70106ff10080500b8").at(1_050, "f701070010c4a71c25dd");
    heard.at(3_050, "f70106ff10080500b8").at(3_100, "f701070010c4a71c25dd");
    assert!(heard.runs(20_000));
}

/// A poll is lost: 15 s of silence, then the poll again, which tells 0C. The end is asked for all
/// the same, as in the capture.
#[test]
fn the_15_seconds_after_a_lost_poll() {
    let mut heard = Heard::default();
    heard.at(0, "f70106ff1001040097").at(40, "f701030010cd");
    heard.at(50, "f70106ff1001050082").at(80, "f701070010c412ce5530");
    heard.at(2_080, "f70106ff1001050082");
    for ms in [2_100, 9_000, 17_000] {
        assert!(heard.runs(ms), "{ms}");
    }
    heard.at(17_090, "f70106ff1001050082").at(17_110, "f701070c10c5136e3bb3");
    let feed = heard.watch.feed(Time(17_111 * MS)).unwrap();
    assert!(feed.ended);
    heard.at(17_115, "f70106ff10010600bd").at(17_177, "f701030010cd");
    assert!(!heard.runs(20_178));
}

/// Every poll is lost: five of them, 15 s apart, and it counts until the host has given up.
#[test]
fn polls_that_are_never_answered() {
    let mut heard = Heard::default();
    heard.at(0, "f70106ff1001040097").at(40, "f701030010cd");
    for poll in 0..5 {
        let sent = 50 + 15_008 * poll;
        heard.at(sent, "f70106ff1001050082");
        assert!(heard.runs(sent + 15_007));
    }
    let last = 50 + 15_008 * 4;
    assert!(heard.runs(last + 18_000));
    assert!(!heard.runs(last + 18_001));
}

/// Heard from the middle of a feed on.
#[test]
fn a_poll_alone_is_a_feed() {
    let mut heard = Heard::default();
    heard.at(0, "f70106ff1001050082");
    let feed = heard.watch.feed(Time(1)).unwrap();
    assert_eq!((feed.function, feed.stage), ("EXTRUDE_PROCESS", "feed_poll"));
    heard.at(30, "f701070010c412ce5530");
    assert!(heard.runs(2_000));
}

#[test]
fn what_ends_a_feed() {
    for (status, ends) in [(0x0a, true), (0x0b, true), (0x0c, true), (0x03, true), (0x02, false)] {
        let mut heard = Heard::default();
        heard.at(0, &frame(0xff, 0x10, &[1, 4, 0])).at(30, &frame(0, 0x10, &[]));
        heard.at(40, &frame(0xff, 0x10, &[1, 5, 0]));
        let data: &[u8] = if status > 3 { &[0xc5, 0x0c, 0x42, 0xfe] } else { &[] };
        heard.at(60, &frame(status, 0x10, data));
        assert_eq!(heard.watch.feed(Time(70 * MS)).unwrap().ended, ends, "{status:02x}");
        assert_eq!(heard.runs(3_061), !ends, "{status:02x}");
    }
    let requests: [(u8, &[u8]); 2] = [(0x10, &[1, 3, 0]), (0x04, &[0, 1])];
    for (func, data) in requests {
        let mut heard = Heard::default();
        heard.at(0, &frame(0xff, 0x10, &[1, 4, 0])).at(30, &frame(0, 0x10, &[]));
        // Asked alone it ends nothing: a feeding box may not have heard it.
        heard.at(1_000, &frame(0xff, func, data));
        assert!(heard.runs(20_000), "{func:02x}");
        heard.at(1_020, &frame(0, func, &[]));
        assert!(!heard.runs(4_021), "{func:02x}");
    }
    // A feed that nobody polls: the box itself stops after 25 s.
    let mut heard = Heard::default();
    heard.at(0, &frame(0xff, 0x10, &[1, 4, 0])).at(30, &frame(0, 0x10, &[]));
    assert!(heard.runs(30_000));
    assert!(!heard.runs(30_001));
}

#[test]
fn the_other_motions() {
    for (func, data, last, stage) in [
        (0x13, &[1][..], 155_000, "feed"),
        (0x11, &[1, 1], 155_000, "material"),
        (0x0d, &[0x01, 2], 305_000, "run"),
        (0x0d, &[0x0f, 3], 1_205_000, "tight"),
        (0x10, &[1, 2, 0], 30_000, "hub_feed"),
    ] {
        let mut heard = Heard::default();
        heard.at(0, &frame(0xff, func, data));
        assert_eq!(heard.stage(last), Some(stage));
        assert!(!heard.runs(last + 1), "{func:02x}");
        heard.at(10_000, &frame(0, func, &[]));
        assert!(!heard.runs(13_001), "{func:02x}");
    }
    // No motion, and none of a box.
    for (func, data) in [(0x0d, &[0x0f, 1][..]), (0x10, &[1, 7, 3]), (0x0a, &[]), (0x10, &[])] {
        let mut heard = Heard::default();
        heard.at(0, &frame(0xff, func, data));
        assert!(!heard.runs(1), "{func:02x} {data:x?}");
    }
    let mut heard = Heard::default();
    heard.at(0, "f78104000c0b95").at(20, "f7810b000c0000000000000000fb");
    assert!(!heard.runs(21));
}

#[test]
fn the_state_that_a_box_tells() {
    let state = |status: u8, state: u8| frame(status, 0x0a, &[25, 36, 0, state]);
    let poll = frame(0xff, 0x0a, &[]);
    for (told, stage) in [(3, Some("loading_or_unloading")), (1, Some("preloading")), (2, None)] {
        let mut heard = Heard::default();
        heard.at(0, &poll).at(20, &state(0, told));
        assert_eq!(heard.stage(30_020), stage, "{told}");
        assert!(!heard.runs(30_021));
        // It tells otherwise.
        heard.at(4_000, &poll).at(4_020, &state(0x0c, 4));
        assert!(!heard.runs(7_021));
    }
    // STATUS 30 has something else in the state's place.
    let mut heard = Heard::default();
    heard.at(0, &poll).at(20, &state(0x30, 3));
    assert!(!heard.runs(21));
    // Refused, since it is loading already.
    let mut heard = Heard::default();
    heard.at(0, &frame(0xff, 0x10, &[1, 0, 0])).at(20, &frame(3, 0x10, &[1]));
    assert_eq!(heard.stage(29_000), Some("preloading"));
}

/// Of several boxes the last seen; each ends by itself.
#[test]
fn boxes_are_apart() {
    let mut heard = Heard::default();
    heard.at(0, "f70206ff1001040097").at(40, "f702030010cd");
    heard.at(100, &frame(0xff, 0x11, &[1, 0])).at(300, &frame(0, 0x11, &[]));
    assert_eq!(heard.watch.feed(Time(301 * MS)).unwrap().addr, Address(1));
    assert_eq!(heard.watch.feed(Time(3_301 * MS)).unwrap().addr, Address(2));
}

/// Factory access is answered from the box's own address.
#[test]
fn a_reply_ends_what_its_request_began() {
    let ask = crate::frame::Frame::to_vec(Address(0xeb), Status::REQUEST, 0x11, &[1, 0]).unwrap();
    let ask = alloc::format!("{}", crate::frame::Hex(&ask)).replace(' ', "");
    let mut heard = Heard::default();
    heard.at(0, &ask);
    assert!(heard.runs(100_000));
    heard.at(300, &frame(0, 0x11, &[]));
    assert!(!heard.runs(3_301));
}

#[test]
fn what_has_no_time_tells_nothing() {
    let mut watch = FeedWatch::new();
    let mut pairer = Pairer::new();
    for span in deframer::spans(&hex_bytes("f70206ff1001040097").unwrap()) {
        pairer.push(Record::of_span(&span));
    }
    let seen: Vec<Seen> = core::iter::from_fn(|| pairer.pull()).collect();
    assert!(!seen.is_empty());
    seen.iter().for_each(|seen| watch.see(seen));
    assert_eq!(watch.feed(Time(0)), None);
}
