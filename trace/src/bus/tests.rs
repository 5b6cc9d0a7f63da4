use super::*;
use crate::reader::{EventReader, TraceReader};
use k485_proto::record::Time;

const BOX: &str = "serial_485 serial485";

fn call(id: u64, time: &str, object: &str, args: &str) -> String {
    format!(
        "{{\"type\": \"call\", \"id\": {id}, \"time\": {time}, \"object\": \"{object}\", \
         \"class\": \"W\", \"method\": \"{SEND}\", \"args\": \"{args}\"}}\n"
    )
}

fn back(id: u64, time: &str, object: &str, result: &str) -> String {
    format!(
        "{{\"type\": \"return\", \"id\": {id}, \"time\": {time}, \"object\": \"{object}\", \
         \"class\": \"W\", \"method\": \"{SEND}\", \"result\": {result}, \
         \"duration_ms\": 15.5}}\n"
    )
}

fn read(text: &str) -> (Vec<Result<Record, String>>, Counts, usize) {
    let mut reader = TraceReader::new("t", text.as_bytes());
    let items = reader.by_ref().map(|item| item.map_err(|what| what.to_string())).collect();
    (items, reader.counts(), reader.open_calls())
}

/// What can be told of an item in one line.
fn told(item: &Result<Record, String>) -> String {
    match item {
        Ok(record) => format!(
            "{} {} {} {:?} {:?}",
            record.call.unwrap().id,
            record.dir.unwrap().name(),
            k485_proto::frame::Hex(&record.bytes),
            record.origin,
            record.verdict
        ),
        Err(complaint) => complaint.clone(),
    }
}

fn tell(text: &str) -> (Vec<String>, Counts, usize) {
    let (items, counts, open) = read(text);
    (items.iter().map(told).collect(), counts, open)
}

#[test]
fn a_request_and_its_reply() {
    let first = call(7, "10.5", BOX, "{'_bytes': '0103ff0a'}, 3600");
    let text = first.clone() + &back(7, "10.6", BOX, "{\"_bytes\": \"f70107000a19240000e7\"}");
    let (items, counts, open) = read(&text);
    let bus: Arc<str> = Arc::from(BOX);
    let request = Record {
        time: Some(Time(10_500_000_000)),
        bus,
        dir: Some(Direction::Request),
        offset: 0,
        bytes: vec![0x01, 0x03, 0xff, 0x0a],
        origin: Origin::Bare,
        verdict: Verdict::Frame,
        call: Some(Call { id: 1, timeout_ms: Some(3_600_000), duration_ns: None }),
    };
    let response = Record {
        time: Some(Time(10_600_000_000)),
        dir: Some(Direction::Response),
        offset: first.len() as u64,
        bytes: vec![0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7],
        origin: Origin::Wire,
        call: Some(Call { id: 1, timeout_ms: Some(3_600_000), duration_ns: Some(15_500_000) }),
        ..request.clone()
    };
    assert_eq!(items, [Ok(request), Ok(response)]);
    assert_eq!(counts, Counts { calls: 1, replies: 1, ..Counts::default() });
    assert_eq!(open, 0);
}

#[test]
fn every_way_a_call_can_end() {
    let error = call(3, "3", BOX, "").replace("\"call\"", "\"error\"");
    let text = call(1, "1", BOX, "{'_bytes': '0103ff0a'}, 2")
        + &call(2, "1", BOX, "{'_bytes': 'f70103ff0a5c'}")
        + &call(3, "1", BOX, "{'_bytes': '020300a2'}, 0.1, False")
        + &call(4, "1", BOX, "{'_bytes': '030300a2'}, 0.1, False")
        + &back(2, "2", BOX, "null")
        + &error
        // Two frames and a stray byte; a frame that lacks its last byte.
        + &back(1, "4", BOX, "{\"_bytes\": \"00f70103ff0a5cf70103ff0a5cf70103ff0a\"}");
    let (told, counts, open) = tell(&text);
    assert_eq!(
        told,
        [
            "1 request 0103ff0a Bare Frame",
            "2 request f70103ff0a5c Wire Frame",
            "3 request 020300a2 Bare Frame",
            "4 request 030300a2 Bare Frame",
            "2 response  Wire NoReply",
            "3 response  Wire NoReply",
            "1 response 00 Wire Noise(Garbage)",
            "1 response f70103ff0a5c Wire Frame",
            "1 response f70103ff0a5c Wire Frame",
            "1 response f70103ff0a Wire Noise(Truncated { need: 6, have: 5 })",
        ]
    );
    let expected = Counts { calls: 4, replies: 1, nulls: 1, errors: 1, ..Counts::default() };
    assert_eq!((counts, open), (expected, 1));
}

#[test]
fn returns_without_calls_are_given_with_a_call_of_their_own() {
    let short = "{\"type\": \"return\", \"id\": 9, \"result\": {\"_bytes\": \"00\"}}\n";
    let text = back(5, "1", BOX, "{\"_bytes\": \"f70103ff0a5c\"}")
        + &back(5, "1", BOX, "null")
        + short
        + &call(9, "2", BOX, "{'_bytes': '0103ff0a'}, 2")
        + short
        + short;
    let (told, counts, open) = tell(&text);
    assert_eq!(
        told,
        [
            "1 response f70103ff0a5c Wire Frame",
            "2 response  Wire NoReply",
            "4 request 0103ff0a Bare Frame",
            "4 response 00 Wire Noise(Garbage)",
        ],
        "the short form counts only where it ends a call of ours"
    );
    let expected = Counts { calls: 1, replies: 2, nulls: 1, orphans: 2, ..Counts::default() };
    assert_eq!((counts, open), (expected, 0));
}

#[test]
fn what_cannot_be_a_record_is_a_complaint() {
    let text = call(1, "1", BOX, "None, 2")
        + &back(1, "2", BOX, "{\"_bytes\": \"f70103ff0a5c\"}")
        + &call(2, "3", BOX, "{'_bytes': '0103ff0a'}")
        + &back(2, "4", BOX, "true");
    let (told, counts, open) = tell(&text);
    assert_eq!(
        told,
        [
            "t:1: the call's frame is left out: the arguments do not begin with \
             {'_bytes': '…'}: \"None, 2\"",
            "1 response f70103ff0a5c Wire Frame",
            "2 request 0103ff0a Bare Frame",
            "t:4: the return is left out: neither null nor {\"_bytes\": \"…\"}: true",
        ]
    );
    let expected = Counts { calls: 2, replies: 1, unreadable: 2, ..Counts::default() };
    assert_eq!((counts, open), (expected, 0));
}

#[test]
fn a_doubled_call_is_given_once_from_one_file_or_two() {
    let poll = "{'_bytes': '0103ff0a'}, 2";
    let reply = "{\"_bytes\": \"f70103ff0a5c\"}";
    let outer = [call(4, "1.0000", BOX, poll), back(4, "1.0200", BOX, reply)];
    let inner = [call(5, "1.0005", "serial", poll), back(5, "1.0195", "serial", reply)];
    let one = [&outer[0], &inner[0], &inner[1], &outer[1]].map(String::as_str).concat();
    let (outer, inner) = (outer.concat(), inner.concat());
    for files in [vec![&one], vec![&outer, &inner], vec![&inner, &outer]] {
        let files = files.into_iter().map(|text| EventReader::new("t", text.as_bytes()));
        let mut reader = TraceReader::merged(files);
        let records: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
        let seen = [&records[0], &records[1]].map(|record| (&*record.bus, record.time));
        let times = [Time(1_000_000_000), Time(1_020_000_000)].map(Some);
        assert_eq!(seen, [(BOX, times[0]), (BOX, times[1])]);
        assert_eq!((records.len(), records[0].call.unwrap().id), (2, 1));
        assert_eq!(records[1].call.unwrap().id, 1);
        let expected = Counts { calls: 1, replies: 1, doubled: 2, ..Counts::default() };
        assert_eq!(reader.counts(), expected);
    }
}

#[test]
fn the_inner_end_of_a_doubled_call_is_given_where_the_outer_one_does_not_come() {
    let poll = "{'_bytes': '0103ff0a'}, 2";
    let text = call(4, "1", BOX, poll)
        + &call(5, "1", "serial", poll)
        + &back(5, "2", "serial", "{\"_bytes\": \"f70103ff0a5c\"}");
    let (told, counts, open) = tell(&text);
    assert_eq!(told, ["1 request 0103ff0a Bare Frame", "1 response f70103ff0a5c Wire Frame"]);
    let expected = Counts { calls: 1, replies: 1, doubled: 1, ..Counts::default() };
    assert_eq!((counts, open), (expected, 1));
    // Another result: the outer one is what the caller saw.
    let (told, counts, _) = tell(&(text + &back(4, "3", BOX, "null")));
    assert_eq!(told, ["1 request 0103ff0a Bare Frame", "1 response  Wire NoReply"]);
    let expected = Counts { calls: 1, nulls: 1, doubled: 2, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[test]
fn the_same_frame_from_two_greenlets_is_two_calls_of_our_own_tracer() {
    let poll = "{'_bytes': '0103ff14'}, 1";
    let reply = "{\"_bytes\": \"f70104000800f0\"}";
    let own = |line: String, gid: u32| {
        line.replace("}\n", &format!(", \"parent\": 0, \"gid\": {gid}}}\n"))
    };
    let text = own(call(1, "1.0", BOX, poll), 1)
        + &own(call(2, "1.1", "serial_485 two", poll), 2)
        + &own(back(1, "1.2", BOX, reply), 1)
        + &own(back(2, "1.3", "serial_485 two", reply), 2);
    let (told, counts, _) = tell(&text);
    assert_eq!(
        told,
        [
            "1 request 0103ff14 Bare Frame",
            "2 request 0103ff14 Bare Frame",
            "1 response f70104000800f0 Wire Frame",
            "2 response f70104000800f0 Wire Frame",
        ]
    );
    assert_eq!(counts, Counts { calls: 2, replies: 2, ..Counts::default() });
}

#[test]
fn a_new_session_in_the_file_begins_with_its_ids() {
    let poll = "{'_bytes': '0103ff0a'}, 2";
    for between in ["", "{\"type\": \"connected\", \"message\": \"hi\"}\n"] {
        let text = call(100, "1", BOX, poll)
            + &call(101, "1", BOX, poll)
            + &back(100, "2", BOX, "null")
            + between
            + &call(2, "3", BOX, poll)
            + &back(101, "4", BOX, "null")
            + &back(2, "4", BOX, "null");
        let (items, counts, open) = read(&text);
        let ids: Vec<_> = items.iter().flatten().map(|record| record.call.unwrap().id).collect();
        assert_eq!(ids, [1, 2, 1, 3, 4, 3]);
        assert_eq!((counts.orphans, counts.given_up, open), (1, 1, 0));
    }
}

#[test]
fn labels_are_shared_and_bounded() {
    let long = "é".repeat(MAX_LABEL);
    let text: String = (0..40)
        .map(|id| {
            call(3 * id, "1", if id % 2 == 0 { BOX } else { &long }, "{'_bytes': '0103ff0a'}")
        })
        .collect();
    let (items, ..) = read(&text);
    let buses: Vec<_> = items.into_iter().map(|item| item.unwrap().bus).collect();
    assert_eq!(buses.len(), 40);
    assert_eq!((buses[1].len(), buses[1].ends_with("é…")), (255, true));
    assert!(Arc::ptr_eq(&buses[0], &buses[38]) && Arc::ptr_eq(&buses[1], &buses[39]));
}

#[test]
fn a_call_that_never_returns_makes_room_with_a_complaint() {
    let poll = "{'_bytes': '0103ff0a'}";
    let text: String = (0..=MAX_OPEN as u64).map(|id| call(id, "1", BOX, poll)).collect();
    let (items, counts, open) = read(&text);
    let complaints: Vec<_> = items.iter().filter_map(|item| item.as_ref().err()).collect();
    assert_eq!(
        complaints,
        ["t:4097: more than 4096 calls without return: the oldest is taken for lost"]
    );
    assert_eq!((items.len(), counts.calls, open), (MAX_OPEN + 2, 4097, MAX_OPEN));
    assert_eq!(counts.given_up, 1);
}

#[test]
fn frame_events_outside_of_send_calls_are_records() {
    let frame = |parent: &str, direction: &str, bytes: &str| {
        format!(
            "{{\"type\":\"frame\",\"time\":1,\"object\":\"{BOX}\",\"direction\":\"{direction}\",\
             \"bytes\":\"{bytes}\",\"parent\":{parent}}}\n"
        )
    };
    let text = frame("7", "tx", "0103ff0a")
        + &frame("null", "rx", "f70103ff0a5cf7")
        + &call(9, "2", BOX, "{'_bytes': '020300a2'}, 2")
        // Told by the call already.
        + &frame("9", "tx", "020300a2")
        + &frame("8", "tx", "01")
        + &frame("8", "rx", "0g");
    let (told, counts, open) = tell_frames(&text);
    assert_eq!(
        told,
        [
            "request 0103ff0a Bare Frame",
            "response f70103ff0a5c Wire Frame",
            "response f7 Wire Noise(Truncated { need: 3, have: 1 })",
            "request 020300a2 Bare Frame",
            "t:5: the frame is left out: 01 is no frame without head and CRC: truncated: 1 bytes, a \
             frame needs 4",
            "t:6: the frame is left out: the bytes are no hex pairs: \"0g\"",
        ]
    );
    let expected = Counts { calls: 1, frames: 4, unreadable: 2, ..Counts::default() };
    assert_eq!((counts, open), (expected, 1));
}

/// As `tell`, without the numbers of the calls.
fn tell_frames(text: &str) -> (Vec<String>, Counts, usize) {
    let (items, counts, open) = read(text);
    let told = |item: &Result<Record, String>| match item {
        Ok(record) => format!(
            "{} {} {:?} {:?}",
            record.dir.unwrap().name(),
            k485_proto::frame::Hex(&record.bytes),
            record.origin,
            record.verdict
        ),
        Err(complaint) => complaint.clone(),
    };
    (items.iter().map(told).collect(), counts, open)
}

#[test]
fn what_is_missing_is_a_gap_of_every_bus() {
    let gap = "{\"type\":\"gap\",\"time\":4,\"from\":1.5,\"to\":4}\n";
    let text = gap.to_owned()
        + &call(1, "1", BOX, "{'_bytes': '0103ff0a'}, 2")
        + gap
        + &gap.replace('4', "5")
        + &gap.replace('4', "5")
        + "{\"type\":\"dropped\",\"time\":6,\"count\":3}\n";
    let (items, _, _) = read(&text);
    let gaps: Vec<_> = items
        .iter()
        .skip(1)
        .map(|item| match item {
            Ok(Record { verdict: Verdict::Gap(gap), bus, time, .. }) => {
                (gap.reason, gap.ns, &**bus, time.unwrap().0 / Time::SECOND)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (away, dropped) = (GapReason::Disconnected, GapReason::Dropped);
    // The first one was told before any bus was known.
    assert_eq!(gaps, [(away, Some(3_500_000_000), BOX, 5), (dropped, None, BOX, 6)]);
}
