//! `k485 trace gcode`, `on`, `off` and `status` through the binary: at both of a printer's APIs,
//! and at a real Klipper's socket where `K485_KLIPPER` names one.

mod common;

use std::net::TcpListener;

use common::printer::{Fate, Printer};
use common::{folder, k485};

/// The printer's faces: what the test does is done at each.
fn at_both(test: impl Fn(&Printer, &str)) {
    let folder = folder();
    let path = folder.path().join("klippy_uds");
    let printer = Printer::new();
    printer.socket(&path);
    test(&printer, path.to_str().unwrap());
    let printer = Printer::new();
    let address = printer.moonraker().to_string();
    test(&printer, &address);
}

#[test]
fn what_commands_print_is_shown() {
    at_both(|printer, place| {
        let out = k485(["trace", "gcode", place, "M117 x", "Tn_action tool=T1A"]).clean();
        assert_eq!(out, "echo\ntwo lines\nloaded T1A\n");
        assert_eq!(printer.model().scripts, ["M117 x", "Tn_action tool=T1A"]);
        // Another connection hears it as well.
        assert_eq!(k485(["trace", "gcode", place, "M117"]).clean(), "echo\ntwo lines\n");
    });
}

#[test]
fn what_is_printed_late_is_shown_too() {
    at_both(|printer, place| {
        printer.model().next.push_back(("M117", Fate::Late("// at last")));
        assert_eq!(k485(["trace", "gcode", place, "M117"]).clean(), "at last\n");
    });
}

#[test]
fn unknown_commands_are_noticed_though_the_api_calls_them_done() {
    at_both(|printer, place| {
        let run = k485(["trace", "gcode", place, "TRACE_DEEP OBJECT=box", "M117"]);
        assert_eq!(run.code, Some(4));
        assert!(run.err.contains("does not know TRACE_DEEP: its tracer is not"), "{}", run.err);
        assert!(run.err.contains("k485 extra install"), "{}", run.err);
        // What comes behind it is not sent.
        assert_eq!(printer.model().scripts, ["TRACE_DEEP OBJECT=box"]);
        let run = k485(["trace", "gcode", place, "FOO"]);
        assert!(run.err.ends_with("does not know FOO\n"), "{}", run.err);
    });
}

#[test]
fn errors_are_told_once() {
    at_both(|printer, place| {
        printer.model().next.push_back(("G1", Fate::Error("Must home axis first")));
        let err = k485(["trace", "gcode", place, "G1 X10", "M117"]).failed(4);
        assert_eq!(err, format!("k485: {place}: G1 X10: Must home axis first\n"));
        assert_eq!(printer.model().scripts.len(), 1);
    });
}

#[test]
fn a_printer_that_is_shut_down_says_so() {
    at_both(|printer, place| {
        printer
            .model()
            .next
            .push_back(("G1", Fate::Shutdown("MCU 'mcu' shutdown: Timer too close")));
        for _ in 0..2 {
            let err = k485(["trace", "gcode", place, "G1 X10"]).failed(4);
            assert!(err.contains("not ready (shutdown): MCU 'mcu' shutdown: Timer"), "{err}");
            assert_eq!(err.matches("Timer too close").count(), 1, "{err}");
        }
    });
}

#[test]
fn a_klipper_that_ends_meanwhile_is_not_waited_for() {
    at_both(|printer, place| {
        printer.model().next.push_back(("RESTART", Fate::Gone));
        let err = k485(["trace", "gcode", place, "RESTART"]).failed(1);
        assert!(err.contains("restarted") || err.contains("Klipper closed it"), "{err}");
    });
}

#[test]
fn no_answer_in_time() {
    at_both(|printer, place| {
        printer.model().next.push_back(("G28", Fate::Silent));
        let err = k485(["trace", "gcode", "--timeout", "300ms", place, "G28"]).failed(5);
        assert!(err.contains("no answer within 0.3 s"), "{err}");
        assert!(err.contains("--timeout"), "{err}");
    });
}

#[test]
fn shorthands() {
    at_both(|printer, place| {
        let all = [
            "TRACE_STREAM_START",
            "TRACE_DEEP",
            "TRACE_ATTRS",
            "TRACE_ALL",
            "TRACE_DISABLE",
            "TRACE_EVERYTHING",
            "TRACE_STREAM_STOP",
            "TRACE_STATUS",
            "TRACE_STREAM_STATUS",
        ];
        printer.model().known.extend(all);
        let run = |args: &[&str]| {
            printer.model().scripts.clear();
            k485(["trace"].iter().chain(args)).clean();
            printer.model().scripts.clone()
        };
        assert_eq!(run(&["on", place]), ["TRACE_STREAM_START", "TRACE_EVERYTHING"]);
        assert_eq!(run(&["on", place, "--deep"]), ["TRACE_STREAM_START", "TRACE_DEEP"]);
        assert_eq!(
            run(&["on", place, "box", "serial_485 serial485", "--attrs"]),
            [
                "TRACE_STREAM_START",
                "TRACE_ALL OBJECT=box",
                "TRACE_ATTRS OBJECT=box ENABLE=1",
                "TRACE_ALL OBJECT=serial_485_serial485",
                "TRACE_ATTRS OBJECT=serial_485_serial485 ENABLE=1"
            ]
        );
        assert_eq!(
            run(&["off", place]),
            ["TRACE_DISABLE OBJECT=*", "TRACE_ATTRS", "TRACE_STREAM_STOP"]
        );
        assert_eq!(
            run(&["off", place, "box"]),
            ["TRACE_DISABLE OBJECT=box", "TRACE_ATTRS OBJECT=box ENABLE=0"]
        );
        assert_eq!(run(&["status", place]), ["TRACE_STATUS", "TRACE_STREAM_STATUS"]);
    });
}

#[test]
fn what_the_tracer_refuses_is_an_error() {
    at_both(|printer, place| {
        printer.model().next.push_back(("TRACE_ALL", Fate::Says("// TRACE_ALL: there is no foo")));
        let err = k485(["trace", "gcode", place, "TRACE_ALL OBJECT=foo"]).failed(4);
        assert_eq!(err, format!("k485: {place}: TRACE_ALL: there is no foo\n"));
    });
}

#[test]
fn all_attribute_traces_are_ended() {
    at_both(|printer, place| {
        printer.model().known.extend(["TRACE_DISABLE", "TRACE_STREAM_STOP", "TRACE_ATTRS"]);
        let says = "// Attribute traces (2):\n//   box (m.Box)\n//   box.state (m.State)";
        printer.model().next.push_back(("TRACE_ATTRS", Fate::Says(says)));
        k485(["trace", "off", place]).clean();
        let expected = [
            "TRACE_DISABLE OBJECT=*",
            "TRACE_ATTRS",
            "TRACE_ATTRS OBJECT=box ENABLE=0",
            "TRACE_STREAM_STOP",
        ];
        assert_eq!(printer.model().scripts, expected);
    });
}

#[test]
fn a_moonraker_that_wants_its_key() {
    let printer = Printer::new();
    printer.model().key = Some("0123abcd");
    let place = printer.moonraker().to_string();
    let err = k485(["trace", "gcode", &place, "M117"]).failed(1);
    assert!(err.contains("does not trust") && err.contains("--api-key"), "{err}");
    k485(["trace", "gcode", &place, "M117", "--api-key", "0123abcd"]).clean();
    let output = common::command(["trace", "gcode", &place, "M117"])
        .env("K485_API_KEY", "0123abcd")
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[test]
fn places_where_nobody_is() {
    let err = k485(["trace", "gcode", "/no/such/socket", "M117"]).failed(1);
    assert!(err.contains("/no/such/socket: cannot connect") && err.contains("-a PATH"), "{err}");
    // A port that was free a moment ago.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
    let err = k485(["trace", "gcode", &free, "M117"]).failed(1);
    assert!(err.contains("cannot connect") && err.contains("Is Moonraker there?"), "{err}");
    let err = k485(["trace", "gcode", "https://k2", "M117"]).failed(2);
    assert!(err.contains("no TLS"), "{err}");
}

#[test]
fn something_else_that_listens() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        // As the tracer's stream does: it speaks first.
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Write::write_all(&mut &stream, b"{\"type\": \"connected\"}\n");
        }
    });
    let err = k485(["trace", "gcode", &place, "M117"]).failed(1);
    assert!(err.contains("9876 is the stream"), "{err}");
}
