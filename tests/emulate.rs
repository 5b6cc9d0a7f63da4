//! `k485 emulate` at real pseudo-terminals and TCP ports, and `k485 sniff emu:`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k485_link::{Clock, Event, Hear, Link, Options, Serial};
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use serde_json::Value;

/// Generous: the machine may be busy with other things.
const LONG: Duration = Duration::from_secs(60);

/// A `k485 emulate` that runs.
struct Emulator {
    child: Child,
    told: Value,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
    command.arg("emulate").args(args).stdin(Stdio::null());
    command
}

impl Emulator {
    fn start(args: &[&str]) -> Emulator {
        Emulator::of(&mut command(args))
    }

    fn of(command: &mut Command) -> Emulator {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("it ended: {error}");
        }
        Emulator { child, told: serde_json::from_str(&line).unwrap() }
    }

    /// The path or address of an endpoint.
    fn endpoint(&self, place: usize, key: &str) -> String {
        self.told["endpoints"][place][key].as_str().unwrap().to_owned()
    }

    /// Ctrl-C; what it says at the end.
    fn end(mut self) -> String {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client at a pseudo-terminal.
struct Client(Serial);

impl Client {
    fn open(path: &str, baud: u32) -> Client {
        Client(Serial::open(path, &Options { baud, ..Options::default() }, Clock::new()).unwrap())
    }

    /// So many bytes, waited for; fewer when they do not come.
    fn read(&mut self, count: usize, wait: Duration) -> Vec<u8> {
        let (mut heard, mut buf, until) = (Vec::new(), [0; 4096], Instant::now() + wait);
        while heard.len() < count && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            if let Event::Bytes { n, .. } = self.0.read(&mut buf, left).unwrap() {
                heard.extend_from_slice(&buf[..n]);
            }
        }
        heard
    }

    fn send(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) {
        let request = frame(addr, status, func, data);
        self.0.send(&request).unwrap();
    }

    /// The first whole frame of a reply.
    fn ask(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
        self.send(addr, status, func, data);
        let mut reply = self.read(3, LONG);
        while reply.len() < usize::from(reply[2]) + 3 {
            let more = usize::from(reply[2]) + 3 - reply.len();
            let more = self.read(more, LONG);
            assert!(!more.is_empty(), "half a reply: {reply:02x?}");
            reply.extend(more);
        }
        reply
    }

    /// Gives the only box address 1, as a host does.
    fn assign(&mut self) {
        let who = self.ask(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
        assert_eq!((who[1], who[4], who.len()), (0xfe, 0xa1, 20));
        self.assign_to(&who[7..19]);
    }

    fn assign_to(&mut self, uniid: &[u8]) {
        let mut data = vec![1];
        data.extend(uniid);
        self.send(0xfe, 0, 0xa0, &data);
        // Said three times.
        let heard = self.read(60, LONG);
        assert_eq!((heard.len(), heard[1], heard[4]), (60, 1, 0xa0), "{heard:02x?}");
    }
}

fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

fn link(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_host_finds_assigns_and_asks_a_box() {
    let folder = tempfile::tempdir().unwrap();
    let path = link(&folder, "bus");
    let emulator = Emulator::start(&["--boxes", "1", "--pty", &path, "--seed", "5"]);
    assert_eq!(emulator.endpoint(0, "link"), path);
    assert_eq!((&emulator.told["baud"], &emulator.told["seed"]), (&230_400.into(), &5.into()));
    assert_eq!(emulator.told["devices"][0]["kind"], "box");
    assert_eq!(emulator.told["devices"][4]["address"], 0x84);
    let mut client = Client::open(&path, 230_400);
    // Nobody has address 1 yet.
    client.send(1, 0, 0xa3, &[]);
    assert!(client.read(1, Duration::from_millis(200)).is_empty());
    client.assign();
    for func in [0xa2, 0xa3] {
        let reply = client.ask(1, 0, func, &[]);
        assert_eq!((reply[4], reply.len()), (func, 20));
    }
    let state = client.ask(1, 0xff, 0x0a, &[]);
    assert_eq!((state[3], state.len()), (0, 10));
    let motor = client.ask(0x83, 0, 0x0c, &[0x0b]);
    assert_eq!(motor[1], 0x83);
    drop(client);
    // Another one opens it.
    let mut client = Client::open(&path, 230_400);
    assert_eq!(client.ask(1, 0xff, 0x08, &[0])[5], 0x07);
    drop(client);
    let said = emulator.end();
    assert!(said.contains("devices answered "), "{said}");
    assert!(fs::symlink_metadata(&path).is_err(), "the link is left behind");
}

#[test]
fn endpoints_hear_each_other_and_a_client_itself_only_with_an_echo() {
    let folder = tempfile::tempdir().unwrap();
    for echo in [false, true] {
        let (a, b) = (link(&folder, "a"), link(&folder, "b"));
        let mut args = vec!["--pty", &a, "--pty", &b, "--tcp", "127.0.0.1:0"];
        args.extend(echo.then_some("--echo"));
        let emulator = Emulator::start(&args);
        let mut tcp = TcpStream::connect(emulator.endpoint(2, "address")).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        let (mut host, mut sniffer) = (Client::open(&a, 230_400), Client::open(&b, 230_400));
        let request = frame(0x81, 0, 0x0c, &[0x0b]);
        // A TCP client asks first, so that it is known to be there.
        tcp.write_all(&request).unwrap();
        let own = if echo { request.len() } else { 0 };
        let reply = 14;
        let mut heard = vec![0; own + reply];
        tcp.read_exact(&mut heard).unwrap();
        assert_eq!(heard[own..own + 2], [0xf7, 0x81]);
        let whole = request.len() + reply;
        assert_eq!(host.read(whole, LONG).len(), whole);
        assert_eq!(sniffer.read(whole, LONG).len(), whole);

        host.0.send(&request).unwrap();
        let heard = sniffer.read(whole, LONG);
        assert_eq!((&heard[..request.len()], heard.len()), (&request[..], whole));
        let mut at_tcp = vec![0; whole];
        tcp.read_exact(&mut at_tcp).unwrap();
        assert_eq!(at_tcp, heard);
        let expected = if echo { &heard[..] } else { &heard[request.len()..] };
        assert_eq!(host.read(expected.len(), LONG), expected);
        emulator.end();
    }
}

#[test]
fn a_client_at_another_speed_hears_garbage_and_is_not_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (link(&folder, "a"), link(&folder, "b"));
    let _emulator = Emulator::start(&["--pty", &a, "--pty", &b]);
    let (mut right, mut wrong) = (Client::open(&a, 230_400), Client::open(&b, 115_200));
    let reply = right.ask(0x81, 0, 0x0c, &[0x0b]);
    let heard = wrong.read(8, LONG);
    assert!(!heard.windows(reply.len()).any(|part| part == reply), "{heard:02x?}");
    assert!(!heard.is_empty());
    // Its own requests reach nobody.
    right.read(4096, Duration::from_millis(50));
    wrong.send(0x81, 0, 0x0c, &[0x0b]);
    let heard = right.read(64, Duration::from_millis(500));
    assert!(!heard.windows(2).any(|part| part == [0xf7, 0x81]), "{heard:02x?}");
}

#[test]
fn a_foreign_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = link(&folder, "file");
    fs::write(&file, "mine").unwrap();
    for args in [["--pty", &file], ["--toolhead-file", &file]] {
        let args = [&args[..], &["--tcp", "127.0.0.1:0"]].concat();
        let output = command(&args).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("choose another name"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
    // What an emulator that was killed has left is.
    let left = link(&folder, "left");
    symlink("/dev/pts/987654", &left).unwrap();
    let emulator = Emulator::start(&["--pty", &left]);
    assert!(Path::new(&left).exists());
    emulator.end();
}

#[test]
fn without_an_endpoint_it_is_in_the_users_folder() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = Emulator::of(command(&[]).env("XDG_RUNTIME_DIR", folder.path()));
    let link = emulator.endpoint(0, "link");
    assert_eq!(PathBuf::from(&link), folder.path().join("k485"));
    let leads = fs::read_link(&link).unwrap();
    assert_eq!(leads.to_str(), emulator.told["endpoints"][0]["path"].as_str());
    emulator.end();
    assert!(fs::symlink_metadata(&link).is_err());
}

#[test]
fn it_ends_with_its_stdin_if_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = link(&folder, "bus");
    let mut told = command(&["--pty", &path, "--until-eof"]);
    let mut emulator = Emulator::of(told.stdin(Stdio::piped()));
    assert!(fs::symlink_metadata(&path).is_ok());
    // What is written there is nothing to it.
    let mut stdin = emulator.child.stdin.take().unwrap();
    stdin.write_all(b"q\n\x04").unwrap();
    let mut said = emulator.child.stderr.take().unwrap();
    drop(stdin);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(emulator.child.wait().unwrap().success());
    assert!(rest.contains("clients sent 0 bytes"), "{rest}");
    assert!(fs::symlink_metadata(&path).is_err());
    // Others do not look at theirs.
    let deaf = Emulator::start(&["--pty", &path]);
    assert!(fs::symlink_metadata(&path).is_ok());
    deaf.end();
}

/// Waits until a file holds this.
fn wait_for(path: &str, content: &str) {
    let until = Instant::now() + LONG;
    while fs::read_to_string(path).unwrap_or_default() != content {
        assert!(Instant::now() < until, "{path} never holds {content:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_load_and_an_unload_switch_the_toolhead() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file, log) = (link(&folder, "bus"), link(&folder, "head"), link(&folder, "log"));
    let program = link(&folder, "told.sh");
    fs::write(&program, format!("#!/bin/sh\nprintf %s \"$1\" >> '{log}'\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    let args = ["--boxes", "1", "--pty", &path, "--auto", "--toolhead-file", &file];
    let emulator = Emulator::start(&[&args[..], &["--on-toolhead", &program]].concat());
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n");
    let mut client = Client::open(&path, 230_400);
    client.assign();
    let stage =
        |client: &mut Client, stage, param| client.ask(1, 0xff, 0x10, &[1, stage, param])[3];
    assert_eq!(stage(&mut client, 0, 0), 0);
    assert_eq!(stage(&mut client, 4, 0), 0);
    wait_for(&file, "1\n");
    assert_eq!(stage(&mut client, 6, 0), 0);
    // The extruder takes some, in its time.
    let until = Instant::now() + LONG;
    while client.ask(1, 0xff, 0x05, &[])[5] == 1 {
        assert!(Instant::now() < until, "the buffer stays full");
    }
    assert_eq!(client.ask(1, 0xff, 0x11, &[1, 1])[3], 0);
    wait_for(&file, "0\n");
    wait_for(&log, "10");
    drop(client);
    emulator.end();
    assert!(!Path::new(&file).exists());
}

#[test]
fn the_same_seed_and_requests_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = link(&folder, "bus");
    let answers = |seed: &str| {
        let emulator = Emulator::start(&["--boxes", "1", "--fast", "--pty", &path, "--seed", seed]);
        let mut client = Client::open(&path, 230_400);
        client.assign();
        let mut answers = Vec::new();
        for func in [0x14, 0x15, 0x05, 0x0a] {
            answers.extend(client.ask(1, 0xff, func, &[]));
        }
        drop(client);
        emulator.end();
        answers
    };
    assert_eq!(answers("1"), answers("1"));
}

/// The job that the README begins with.
#[test]
fn sniff_shows_an_embedded_bus_with_a_load() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(["sniff", "emu:", "--for", "120s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut wanted = vec![
        "SET_SLAVE_ADDR address=box",
        "GET_VERSION_SN -> OK version=1.1.3",
        "stage=to_hub",
        "stage=feed_start",
        "odometer=",
        "stage=feed_end",
        "SET_BOX_MODE slot=T1A mode=print -> OK",
    ];
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if wanted.first().is_some_and(|first| line.contains(first)) {
            wanted.remove(0);
        }
        if wanted.is_empty() {
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(wanted.is_empty(), "never seen: {wanted:?}");
}

#[test]
fn a_scene_is_played_and_faults_strike() {
    let folder = tempfile::tempdir().unwrap();
    let (path, scene) = (link(&folder, "bus"), link(&folder, "scene.toml"));
    fs::write(&scene, "seed = 9\n[bus]\nfast = true\n[[box]]\naddress = 2\n").unwrap();
    let emulator = Emulator::start(&[&scene, "--pty", &path, "--fault", "drop if func==0x0f"]);
    assert_eq!((&emulator.told["seed"], &emulator.told["fast"]), (&9.into(), &true.into()));
    let mut client = Client::open(&path, 230_400);
    assert_eq!(client.ask(2, 0xff, 0x08, &[0])[5], 0);
    client.send(2, 0xff, 0x0f, &[0]);
    assert!(client.read(1, Duration::from_millis(300)).is_empty());
    drop(client);
    let said = emulator.end();
    assert!(said.contains("struck 1 of 1"), "{said}");

    fs::write(&scene, "[[box]]\nadress = 2\n").unwrap();
    let output = command(&[&scene]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("address"), "{error}");
}
