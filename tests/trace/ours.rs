//! k485's own tracer in a real interpreter.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::*;
use crate::common::live::{lines, next};
use crate::common::{folder, k485, project};

/// A printer of a few lines, in which our own tracer runs.
const PRINTER: &str = r#"
import sys
sys.path[:0] = [sys.argv[1] + '/extra', sys.argv[1] + '/extra/tests']
from little_host import Printer

class Serial_485_Wrapper:
    def cmd_send_data_with_response(self, data, timeout):
        return bytes.fromhex('f70107000a19240000e7') if data[0] == 1 else None

class Box:
    def __init__(self, serial):
        self.serial = serial
    def poll(self, number):
        return self.serial.cmd_send_data_with_response(bytes([number, 3, 0xff, 10]), 0.1)
    def Tn_action(self, name):
        return [self.poll(1) is not None, self.poll(2) is not None]
    def fail(self, why):
        raise ValueError(why)
    def note(self, text, more):
        return more

serial = Serial_485_Wrapper()
box = Box(serial)
printer = Printer().start({'serial_485 serial485': serial, 'box': box})
print(printer.run('TRACE_ALL OBJECT=box'), file=sys.stderr)
print(printer.run('TRACE_ALL OBJECT=serial_485_serial485'), file=sys.stderr)
print(printer.hooks.server.address[1], flush=True)
clients = lambda: printer.hooks.server.clients
printer.reactor.run_until(lambda: sorted(c.binary for c in clients()) == [False, True], 60)
for n in range(50):
    box.Tn_action('T%dA' % n)
    try:
        box.fail('no %d' % n)
    except ValueError:
        pass
    printer.reactor.step()
# A lone half of a character, and what Python prints in escapes or not.
box.note('\ud800x', ['gr\xfcn\u2028', {'\u200b': '\U0001f600'}])
printer.run('TRACE_MARK NAME=done')
printer.reactor.run_until(lambda: not clients(), 60)
"#;

#[test]
fn our_own_tracer_in_both_forms() {
    let folders = [folder(), folder()];
    let mut printer = Command::new("python3")
        .args(["-c", PRINTER])
        .arg(project(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let port = next(&lines(printer.stdout.take().unwrap()));
    let said = lines(printer.stderr.take().unwrap());
    let Some(port) = port else { panic!("{:?}", said.iter().collect::<Vec<_>>()) };
    let address = format!("127.0.0.1:{port}");
    // Of each round a call of the change, two polls, two sends and one that raises; and four frames,
    // less the reply that does not come.
    let count = (50 * (6 * 2 + 3) + 2 + 1).to_string();
    let args = ["--count", &count, "--quiet"];
    let binary = start(&address, &folders[0], &args);
    let plain = start(&address, &folders[1], &[&args[..], &["--plain"]].concat());
    for capture in [binary, plain] {
        let (code, _, err) = capture.end();
        assert_eq!(code, Some(0), "{err}");
    }
    assert!(printer.wait().unwrap().success());
    let [binary, plain] =
        [&folders[0], &folders[1]].map(|folder| files(folder.path()).remove("_all").unwrap());
    let events = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(events(&binary), events(&plain));
    let note = r#""args": "?x, ['gr\\xfcn\\u2028', {'\\u200b': '\\U0001f600'}]", "#;
    assert!(binary.contains(note), "{}", binary.lines().nth_back(2).unwrap());
    let kinds = types(&binary);
    assert_eq!(kinds.iter().filter(|kind| *kind == "frame").count(), 150);

    let path = folders[0].path().to_str().unwrap();
    let tree = k485(["trace", "tree", path, "--no-fold"]).clean();
    let shown: Vec<&str> = tree.lines().skip(1).map(|line| &line[23..]).collect();
    let reply = format!("│     └─ box1   GET_BOX_STATE -> OK {}", state());
    assert_eq!(
        shown[..9],
        [
            "box.Tn_action(\"T0A\") -> [true, false]",
            "├─ box.poll(1) -> <f70107000a19240000e7>",
            "│  └─ serial_485 serial485.cmd_send_data_with_response(<0103ff0a>, 0.1) -> \
             <f70107000a19240000e7>",
            &reply,
            "└─ box.poll(2) -> null",
            "   └─ serial_485 serial485.cmd_send_data_with_response(<0203ff0a>, 0.1) -> null",
            "      └─ box2   GET_BOX_STATE -> no reply",
            "box.fail(\"no 0\") raised ValueError: no 0",
            "box.Tn_action(\"T1A\") -> [true, false]",
        ]
    );
    assert!(tree.contains("-- mark: done --"), "{tree}");
    // In JSON the frames are told apart, with what answers them, and there are no others.
    let json = k485(["trace", "tree", path, "--no-fold", "--json"]).clean();
    let first: Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    let [answered, absent] =
        [0, 1].map(|at| first["children"][at]["children"][0]["children"].as_array().unwrap());
    let told = |frame: &Value| {
        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
        ["direction", "bytes", "outcome", "text"].map(text)
    };
    let reply = format!("box1   GET_BOX_STATE <- OK {}", state());
    assert_eq!(
        answered.iter().map(told).collect::<Vec<_>>(),
        [
            ["tx", "0103ff0a", "answered", "box1   GET_BOX_STATE"],
            ["rx", "f70107000a19240000e7", "answered", &reply],
        ]
    );
    let unanswered = ["tx", "0203ff0a", "timeout", "box2   GET_BOX_STATE -> no reply"];
    assert_eq!(absent.iter().map(told).collect::<Vec<_>>(), [unanswered]);
    let stats = k485(["trace", "stats", path, "--json"]).clean();
    let stats: Value = serde_json::from_str(&stats).unwrap();
    let row = |method: &str| {
        let rows = stats["methods"].as_array().unwrap();
        rows.iter().find(|row| row["method"] == method).unwrap().clone()
    };
    assert_eq!(
        (row("poll")["calls"].as_u64(), row("fail")["raised"].as_u64()),
        (Some(100), Some(50))
    );
    // The same frames as records of a capture: those of the calls, told once.
    let decoded = k485(["decode", path]).clean();
    assert_eq!(decoded.matches("GET_BOX_STATE").count(), 100, "{decoded}");
}
