//! The view of events as they come: in the order of time, nested.

use crate::bench::{SEND, SERIAL, back, call, state};
use crate::common::k485_with;
use crate::exchanges::{ABSENT, POLL, POLLED, Stream, bytes};

/// The lines of the view, without the hour.
#[track_caller]
fn view(text: &str, more: &[&str]) -> Vec<String> {
    // Times of 1970 are not those of a clock.
    let text = text
        .replace("\"time\": 0.", "\"time\": 1767128400.")
        .replace("\"time\": 1.", "\"time\": 1767128401.");
    let args = [&["trace", "view", "-"], more].concat();
    let out = k485_with(args, text.as_bytes()).clean();
    out.lines().map(|line| line.chars().skip(6).collect()).collect()
}

fn exchange() -> String {
    format!("box1   GET_BOX_STATE -> OK {}", state())
}

#[test]
fn frames_stand_where_they_were_told() {
    let mut stream = Stream::default();
    stream.call((1, 1, 0), "box", "flush", "x");
    stream.frame(1, 1, "tx", POLL);
    stream.frame(1, 1, "rx", POLLED);
    stream.call((2, 1, 1), "box", "get_len", "x");
    stream.end((2, 1, 1), "box", "get_len", "70");
    // Nobody answers, which is known when it is over.
    stream.frame(1, 1, "tx", ABSENT);
    stream.end((1, 1, 0), "box", "flush", "1");
    assert_eq!(
        view(&stream.text, &[]),
        [
            "00.001           box.flush(x)",
            &format!("00.002  1.00 ms    {}", exchange()),
            "00.004  1.00 ms    box.get_len(x) -> 70",
            "00.006             box3   GET_BOX_STATE -> no reply",
            "00.007  1.00 ms  end box.flush -> 1",
        ]
    );
}

#[test]
fn a_reply_that_comes_behind_other_things_has_its_own_time() {
    let mut stream = Stream::default();
    let args = "{'_bytes': '0103ff0a'}, 0.1";
    stream.call((1, 1, 0), SERIAL, SEND, args);
    stream.frame(1, 1, "tx", POLL);
    stream.call((2, 2, 0), "serial_485 two", SEND, args);
    stream.frame(2, 2, "tx", POLL);
    stream.frame(1, 1, "rx", POLLED);
    stream.end((1, 1, 0), SERIAL, SEND, &bytes(POLLED));
    stream.frame(2, 2, "rx", POLLED);
    stream.end((2, 2, 0), "serial_485 two", SEND, &bytes(POLLED));
    let lines = [
        format!("00.001           {SERIAL}.{SEND}(<{POLL}>, 0.1)"),
        format!("00.003           serial_485 two.{SEND}(<{POLL}>, 0.1)"),
        format!("00.005  4.00 ms    {}", exchange()),
        format!("00.006  1.00 ms  end {SERIAL}.{SEND} -> <{POLLED}>"),
        format!("00.007  4.00 ms    {}", exchange()),
        format!("00.008  1.00 ms  end serial_485 two.{SEND} -> <{POLLED}>"),
    ];
    assert_eq!(view(&stream.text, &[]), lines, "two calls, each with its reply");
    // Frames outside of any call do not wait for calls that began before them.
    let mut stream = Stream::default();
    stream.call((1, 1, 0), "box", "long", "x");
    stream.frame(2, 0, "tx", POLL);
    stream.frame(2, 0, "rx", POLLED);
    stream.end((1, 1, 0), "box", "long", "1");
    let lines = view(&stream.text, &[]).iter().map(|line| line[..7].to_owned()).collect::<Vec<_>>();
    assert_eq!(lines, ["00.001 ", "00.002 ", "00.004 "]);
}

#[test]
fn frames_that_no_event_told_are_made_of_the_call() {
    let args = "{'_bytes': '0103ff0a'}, 2";
    let text = [
        call(1, 1.0, SERIAL, SEND, args),
        call(2, 1.001, "rack", "speed", "1"),
        back(2, 1.002, "rack", "speed", "360"),
        back(1, 1.003, SERIAL, SEND, &bytes(POLLED)),
        back(9, 1.1, SERIAL, SEND, &bytes(POLLED)),
    ]
    .concat();
    let mut lines = [
        format!("01.000           {SERIAL}.{SEND}(<{POLL}>, 2)"),
        "01.001  20.5 ms  rack.speed(1) -> 360".to_owned(),
        format!("01.003  20.5 ms    {}", exchange()),
        format!("01.003  20.5 ms  end {SERIAL}.{SEND} -> <{POLLED}>"),
    ];
    let seen = view(&text, &[]);
    assert_eq!(seen[..4], lines);
    let alone = "-> <POLLED> [its beginning is not in the trace]".replace("POLLED", POLLED);
    assert!(seen[4].starts_with("01.100  20.5 ms ") && seen[4].ends_with(&alone), "{seen:?}");
    let lone = format!("GET_BOX_STATE <- OK {} [request not seen]", state());
    assert!(seen[5].starts_with("01.100  20.5 ms ") && seen[5].ends_with(&lone), "{seen:?}");
    // What is shown when it is over has its frames below it.
    let found = view(&text, &["-F", "duration>1ms && method~send && !orphan"]);
    lines[0] = format!("01.000  20.5 ms  {SERIAL}.{SEND}(<{POLL}>, 2) -> <{POLLED}>");
    lines[1] = format!("01.000  20.5 ms    {}", exchange());
    assert_eq!(found, lines[..2]);
    // A filter leaves out the frames of other calls.
    let found = view(&text, &["-F", "object==rack"]);
    assert_eq!(found, ["01.001  20.5 ms  rack.speed(1) -> 360"]);
}

#[test]
fn attributes_are_named_once_and_stand_in_their_call() {
    let mut stream = Stream::default();
    let attr = |path: &str| {
        format!(
            "\"object\": \"box\", \"class\": \"Box\", \"path\": \"{path}\", \
             \"attr\": \"serial\", \"value\": 7"
        )
    };
    stream.call((1, 1, 0), "box", "poll", "x");
    stream.line("attr_read", 1, 1, &attr("box"));
    stream.call((2, 1, 1), "box", "inner", "x");
    stream.line("attr_read", 1, 2, &attr("box.state"));
    stream.end((2, 1, 1), "box", "inner", "1");
    stream.end((1, 1, 0), "box", "poll", "1");
    stream.line("attr_read", 1, 0, &attr("boxes"));
    stream.line("attr_read", 1, 0, &attr(""));
    assert_eq!(
        view(&stream.text, &[]),
        [
            "00.001           box.poll(x)",
            "00.002             box.serial = 7",
            "00.003  1.00 ms    box.inner(x) -> 1",
            "00.004               box.state.serial = 7",
            "00.006  1.00 ms  end box.poll -> 1",
            "00.007           box.boxes.serial = 7",
            "00.008           box.serial = 7",
        ]
    );
}

#[test]
fn a_handler_of_gcode_shows_the_line() {
    let mut stream = Stream::default();
    let argv = "[{\"_type\": \"GCodeCommand\", \"_id\": 5, \"_attrs\": [\"_command\", \
                \"_commandline\", \"_params\", \"_need_ack\", \"respond_info\"], \
                \"_commandline\": \"BOX_GO T=T2A\"}]";
    let rest = format!(
        "\"id\": 1, \"object\": \"box\", \"class\": \"C\", \"method\": \"cmd_BOX_GO\", \
         \"args\": \"{{'_type': 'GCodeCommand'}}\", \"depth\": 0, \"argv\": {argv}, \"kw\": {{}}"
    );
    stream.line("call", 1, 0, &rest);
    stream.end((1, 1, 0), "box", "cmd_BOX_GO", "null");
    assert_eq!(view(&stream.text, &[])[0], "00.001  1.00 ms  box.cmd_BOX_GO(BOX_GO T=T2A) -> null");
    let tree = |more: &[&str]| {
        let args = [&["trace", "tree", "-"], more].concat();
        k485_with(args, stream.text.as_bytes()).clean()
    };
    assert!(tree(&[]).ends_with("box.cmd_BOX_GO(BOX_GO T=T2A) -> null\n"));
    assert!(tree(&["-v"]).contains("\"_need_ack\""), "all of it");
    let json: serde_json::Value = serde_json::from_str(&tree(&["--json"])).unwrap();
    assert_eq!(json["argv"][0]["_attrs"][4], "respond_info");
}
