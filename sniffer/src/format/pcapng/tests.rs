use super::*;
use k485_proto::record::{Complaint, Record, Verdict};
use std::io::Cursor;

const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];

/// Blocks in one byte order.
#[derive(Clone, Copy)]
struct Blocks {
    big: bool,
}

impl Blocks {
    fn u16(self, n: u16) -> Vec<u8> {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }.to_vec()
    }

    fn u32(self, n: u32) -> Vec<u8> {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }.to_vec()
    }

    fn block(self, kind: u32, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut body = parts.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let size = self.u32(body.len() as u32 + 12);
        [self.u32(kind), size.clone(), body, size].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        self.block(kind::SECTION, &[self.u32(0x1a2b_3c4d), version, vec![0xff; 8]])
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16), value.to_vec()].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(self, link: u16, options: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [self.u16(link), self.u16(0), self.u32(0)].concat();
        self.block(kind::INTERFACE, &[fixed, options.concat()])
    }

    fn packet(self, number: u32, ticks: u64, bytes: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        let size = bytes.len() as u32;
        let fixed = [number, (ticks >> 32) as u32, ticks as u32, size, size];
        let mut parts: Vec<_> = fixed.map(|n| self.u32(n)).to_vec();
        let mut padded = bytes.to_vec();
        padded.resize(padded.len().next_multiple_of(4), 0);
        parts.push(padded);
        parts.extend(options.iter().cloned());
        self.block(kind::PACKET, &parts)
    }
}

const LITTLE: Blocks = Blocks { big: false };

fn read(blocks: &[Vec<u8>]) -> Vec<Result<Record, Complaint>> {
    Pcapng.read("a", Box::new(Cursor::new(blocks.concat()))).collect()
}

/// Time, bus, direction and size of each record, or the complaint.
fn told(blocks: &[Vec<u8>]) -> Vec<String> {
    let told = |item| match item {
        Ok(Record { time, bus, dir, bytes, .. }) => {
            format!("{:?} {bus:?} {dir:?} {}", time.map(|t: Time| t.0), bytes.len())
        }
        Err(complaint) => Complaint::to_string(&complaint),
    };
    read(blocks).into_iter().map(told).collect()
}

#[test]
fn both_byte_orders_and_several_sections() {
    let mut file = Vec::new();
    for big in [true, false] {
        let b = Blocks { big };
        let name = b.option(option::IF_NAME, b"bus1");
        let offset = if big { 7i64.to_be_bytes() } else { 7i64.to_le_bytes() };
        let offset = b.option(option::IF_TSOFFSET, &offset);
        let nanos = b.option(option::IF_TSRESOL, &[9]);
        file.push(b.section());
        // Microseconds where nothing else is said.
        file.push(b.interface(147, &[]));
        file.push(b.interface(147, &[name, nanos, offset, b.u32(0)]));
        file.push(b.interface(147, &[]));
        // Somebody's own kind of block.
        file.push(b.block(0x8000_0001, &[vec![1, 2, 3, 4]]));
        file.push(b.packet(0, 5, &POLL, &[b.option(option::EPB_FLAGS, &b.u32(1))]));
        let comment = b.option(option::COMMENT, b"hello; dir inferred");
        file.push(b.packet(1, 5, &POLL, &[b.option(option::EPB_FLAGS, &b.u32(2)), comment]));
        file.push(b.packet(2, 1 << 33, &[POLL, POLL].concat(), &[]));
        file.push(b.block(kind::SIMPLE_PACKET, &[b.u32(6), POLL.to_vec()]));
        let old = [b.u16(1), b.u16(0), b.u32(0), b.u32(9), b.u32(6), b.u32(6), POLL.to_vec()];
        file.push(b.block(kind::OLD_PACKET, &old));
    }
    let once = [
        "Some(5000) \"\" Some(Response) 6",
        "Some(7000000005) \"bus1\" None 6",
        "Some(8589934592000) \"interface 2\" None 6",
        "Some(8589934592000) \"interface 2\" None 6",
        "None \"\" None 6",
        "Some(7000000009) \"bus1\" None 6",
    ];
    assert_eq!(told(&file), [once, once].concat());
}

#[test]
fn a_frame_may_go_on_in_the_next_packet() {
    let file = [
        LITTLE.section(),
        LITTLE.interface(147, &[]),
        LITTLE.packet(0, 1, &POLL[..2], &[]),
        LITTLE.packet(0, 2, &POLL[2..], &[]),
        // This one gets nothing for a second.
        LITTLE.packet(0, 3, &POLL[..5], &[]),
        LITTLE.packet(0, 1_000_003, &POLL, &[]),
    ];
    let got: Vec<_> = read(&file).into_iter().map(Result::unwrap).collect();
    let sizes: Vec<_> = got.iter().map(|r| (r.bytes.len(), r.verdict == Verdict::Frame)).collect();
    assert_eq!(sizes, [(6, true), (5, false), (6, true)]);
    assert_eq!(got[0].time, Some(Time(2_000)));
}

#[test]
fn what_cannot_be_used_is_told() {
    let comment = |text: &str| LITTLE.option(option::COMMENT, text.as_bytes());
    let seconds = LITTLE.option(option::IF_TSRESOL, &[0]);
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, &[]),
        LITTLE.interface(147, &[seconds]),
        LITTLE.packet(0, 1, b"ethernet", &[]),
        LITTLE.packet(1, u64::MAX, &POLL, &[]),
        LITTLE.packet(1, 1, &POLL[..5], &[comment("bare: head and CRC were added")]),
        LITTLE.packet(1, 1, &[], &[]),
        LITTLE.packet(7, 1, &POLL, &[]),
        // A frame is one, whatever is said of it.
        LITTLE.packet(1, 1, &POLL, &[comment("noise: garbage: no frame head")]),
    ];
    assert_eq!(
        told(&file),
        [
            "a at byte 28: interface 0 has link type 1, not that of a serial bus (USER0, 147): \
             its packets are skipped",
            "a at byte 116: the packet's time does not fit into 64 bits of nanoseconds: skipped",
            "a at byte 156: the packet says `bare`, but its LEN or CRC does not fit: skipped",
            "a at byte 232: the packet has no bytes: skipped",
            "a at byte 264: a packet of interface 7, which is not described; went on at byte 304",
            "Some(1000000000) \"\" None 6",
        ]
    );
}

#[test]
fn broken_blocks() {
    let whole = [LITTLE.section(), LITTLE.interface(147, &[]), LITTLE.packet(0, 1, &POLL, &[])];
    let packet = whole[2].clone();
    let name = LITTLE.option(option::IF_NAME, b"b");
    // A description that is broken keeps its number.
    let mut broken = LITTLE.interface(147, &[]);
    broken[8 + 12 - 1] ^= 1;
    let second = LITTLE.packet(1, 1, &POLL, &[]);
    let file = [whole[0].clone(), broken, LITTLE.interface(147, &[name]), packet.clone(), second];
    assert_eq!(
        told(&file),
        [
            "a at byte 28: a broken block: its size is 20 bytes at its beginning and 16777236 at \
             its end; went on at byte 48",
            "a at byte 76: a packet of interface 0, whose description is broken: skipped",
            "Some(1000) \"b\" None 6",
        ]
    );
    // The file's end.
    let file = [whole.to_vec(), vec![packet[..30].to_vec()]].concat();
    assert_eq!(
        told(&file)[1..],
        ["a at byte 88: a broken block: 30 of its 40 bytes are there; there is no other block \
          behind it"]
    );
    // An option that is longer than its block.
    let long = LITTLE.packet(0, 1, &POLL, &[vec![1, 0, 0xff, 0xff]]);
    let file = [whole.to_vec(), vec![long, packet]].concat();
    assert_eq!(
        told(&file)[1..],
        [
            "a at byte 88: option 1 of 65535 bytes does not fit into its block; went on at byte \
             132",
            "Some(1000) \"\" None 6",
        ]
    );
}

#[test]
fn what_was_lost_is_in_the_statistics() {
    use crate::format::write::{CaptureWriter, Item};
    use k485_proto::record::{Gap, GapReason};
    let gap = |bus: &str, ns, reason, bytes| {
        let gap = Gap { reason, ns: None, bytes };
        Item::Gap(Record::of_gap(gap, Some(Time(ns)), bus.into()))
    };
    let items = [
        gap("a", 5, GapReason::Unplugged, Some(1)),
        gap("b", 9, GapReason::Overrun, Some(12)),
        gap("b", 1 << 33, GapReason::Dropped, None),
        gap("b", 7, GapReason::Overrun, Some(3)),
    ];
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Options::default());
    items.iter().for_each(|item| writer.write(item).unwrap());
    writer.finish().unwrap();
    let statistics = LITTLE.block(
        kind::STATISTICS,
        &[
            LITTLE.u32(1),
            LITTLE.u32(2),
            LITTLE.u32(0),
            LITTLE.option(option::ISB_IFDROP, &2u64.to_le_bytes()),
            LITTLE.option(option::ISB_OSDROP, &1u64.to_le_bytes()),
            LITTLE.option(option::COMMENT, b"bytes lost, as far as they were counted: 15"),
            LITTLE.option(0, &[]),
        ],
    );
    assert!(out.ends_with(&statistics));
    let got = read(&[out]);
    assert_eq!(got.len(), 4, "{got:?}");
    assert!(got.iter().all(Result::is_ok));
}
