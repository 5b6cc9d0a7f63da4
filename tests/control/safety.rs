//! Who may ask.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bench::{Bench, Host};
use crate::http::{Socket, raw};

const CUT: &str = "{\"do\":\"cut\"}";

#[test]
fn other_pages_and_other_names_are_refused() {
    let bench = Bench::start(&[]);
    let host = format!("Host: {}", bench.address);
    let token = format!("Authorization: Bearer {}", bench.token);
    let post =
        ["POST /api/v1/hands HTTP/1.1", "Content-Type: application/json", "Content-Length: 12"];
    let send = |more: &[&str]| raw(&bench.address, &[&post[..], more].concat(), CUT.as_bytes());
    assert_eq!(send(&[&host, &token]).status, 200);
    let own = format!("Origin: http://{}", bench.address);
    assert_eq!(send(&[&host, &token, &own]).status, 200);
    let place = (403, "place".to_owned());
    for origin in ["http://evil.example", "null", "https://localhost", "file://"] {
        let origin = format!("Origin: {origin}");
        let answer = send(&[&host, &token, &origin]);
        assert_eq!(answer.refusal(), place, "{origin}");
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
    let port = bench.address.split(':').nth(1).unwrap();
    for name in ["evil.example", "127.0.0.1.evil.example", "192.168.1.1", "0.0.0.0"] {
        let wrong = format!("Host: {name}:{port}");
        assert_eq!(send(&[&wrong, &token]).refusal(), place, "{wrong}");
    }
    assert_eq!(send(&["Host: 127.0.0.1:1", &token]).refusal(), place);
    assert_eq!(send(&[&format!("Host: localhost:{port}"), &token]).status, 200);
    assert_eq!(send(&[&token]).refusal(), (400, "malformed".to_owned()));
    // Looking is refused to them as well.
    let get = raw(&bench.address, &["GET /api/v1/state HTTP/1.1", "Host: evil.example"], b"");
    assert_eq!(get.refusal(), place);
    // A page asks before it sends such a thing, and gets no leave.
    let ask = ["OPTIONS /api/v1/hands HTTP/1.1", &host, "Origin: http://evil.example"];
    assert_eq!(raw(&bench.address, &ask, b"").refusal(), place);
}

#[test]
fn changes_need_the_token() {
    let bench = Bench::start(&[]);
    let wrong = "Authorization: Bearer 00000000000000000000000000000000";
    let basic = format!("Authorization: Basic {}", bench.token);
    for headers in [&[][..], &[wrong], &[&basic]] {
        for (method, path) in [
            ("POST", "/api/v1/hands"),
            ("POST", "/api/v1/faults"),
            ("DELETE", "/api/v1/faults"),
            ("DELETE", "/api/v1/faults/1"),
            ("POST", "/api/v1/scene"),
            ("POST", "/api/v1/clock"),
            ("POST", "/api/v1/clock/step"),
        ] {
            let answer = bench.ask_with(method, path, Some(&json!({ "do": "cut" })), headers);
            assert_eq!(answer.refusal(), (401, "token".to_owned()), "{method} {path}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        }
        // Looking needs none here.
        assert_eq!(bench.ask_with("GET", "/api/v1/state", None, headers).status, 200);
    }
}

#[test]
fn on_an_address_that_others_reach_looking_needs_it_too() {
    let bench = Bench::start(&["--control", "0.0.0.0:0"]);
    let port = bench.address.split(':').nth(1).unwrap();
    assert_eq!(bench.address, format!("127.0.0.1:{port}"));
    for path in ["/api/v1/state", "/api/v1/exchanges", "/api/v1/events", "/api/v1/openapi.json"] {
        assert_eq!(bench.ask_with("GET", path, None, &[]).refusal().0, 401, "{path}");
    }
    assert_eq!(bench.ask_with("GET", "/", None, &[]).status, 200);
    assert_eq!(bench.ask("GET", "/api/v1/state", None).status, 200);
    assert_eq!(Socket::open(&bench.address, "", &[]).err().unwrap().status, 401);
    let protocols = format!("Sec-WebSocket-Protocol: k485.v1, k485.token.{}", bench.token);
    let mut socket = Socket::open(&bench.address, "", &[&protocols]).ok().unwrap();
    assert_eq!(socket.next()["type"], "hello");
}

#[test]
fn bodies_are_limited_and_must_be_json() {
    let bench = Bench::start(&[]);
    let host = format!("Host: {}", bench.address);
    let token = format!("Authorization: Bearer {}", bench.token);
    let send = |more: &[&str], body: &[u8]| {
        let length = format!("Content-Length: {}", body.len());
        let head = ["POST /api/v1/hands HTTP/1.1", host.as_str(), &token, &length];
        raw(&bench.address, &[&head[..], more].concat(), body)
    };
    let json = "Content-Type: application/json";
    let large = format!("{{\"do\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(send(&[json], large.as_bytes()).refusal(), (413, "too_large".to_owned()));
    let media = (415, "media_type".to_owned());
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(send(&[&format!("Content-Type: {wrong}")], CUT.as_bytes()).refusal(), media);
    }
    assert_eq!(send(&[], CUT.as_bytes()).refusal(), media);
    let utf8 = "Content-Type: application/json; charset=utf-8";
    assert_eq!(send(&[utf8], CUT.as_bytes()).status, 200);
    for wrong in ["", "{", "{\"do\":\"cut\"} x", "\u{0}"] {
        let refusal = send(&[json], wrong.as_bytes()).refusal();
        assert_eq!(refusal, (400, "malformed".to_owned()), "{wrong:?}");
    }
    for wrong in ["[]", "3", "{\"do\":\"cutt\"}", "{}", "{\"do\":\"jam\",\"slot\":\"T9A\"}"] {
        let refusal = send(&[json], wrong.as_bytes()).refusal();
        assert_eq!(refusal, (422, "unprocessable".to_owned()), "{wrong}");
    }
    // As deep as no reader goes.
    let deep = "{\"do\":".to_owned() + &"[".repeat(100_000);
    assert_eq!(send(&[json], deep.as_bytes()).refusal().0, 400);
    assert_eq!(bench.ask("GET", "/api/v1/nothing", None).refusal(), (404, "not_found".to_owned()));
    let put = bench.ask("PUT", "/api/v1/state", None);
    assert_eq!(put.refusal(), (405, "method".to_owned()));
    assert!(put.head.contains("allow: get"), "{}", put.head);
}

#[test]
fn browsers_are_told_what_to_keep_to() {
    let bench = Bench::start(&[]);
    for path in ["/", "/js/main.js", "/css/base.css", "/api/v1/state", "/nothing"] {
        let head = bench.ask("GET", path, None).head;
        for header in [
            "content-security-policy: default-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(header), "{path}: {header} is not in {head}");
        }
        assert!(!head.contains("access-control-allow"), "{head}");
    }
}

#[test]
fn who_says_half_a_request_holds_up_nobody() {
    let bench = Bench::start(&[]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    let half = |_| {
        let mut stream = TcpStream::connect(&bench.address).unwrap();
        write!(stream, "POST /api/v1/hands HTTP/1.1\r\nHost: {}\r\n", bench.address).unwrap();
        stream
    };
    let _slow: Vec<TcpStream> = (0..60).map(half).collect();
    assert_eq!(bench.ask("GET", "/api/v1/state", None).status, 200);
    assert_eq!(host.ask(1, 0xff, 0x05, &[]).0, 0);
}

#[test]
fn a_token_file_is_the_users_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let name = path.to_str().unwrap();
    let bench = Bench::start(&["--token-file", name]);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), bench.token);
    assert_eq!(bench.told["control"]["token_file"], name);
    // Nor can others read what k485 ctl finds it by; and that is gone with it.
    let note = || fs::read_dir(bench.folder.path()).unwrap().map(Result::unwrap);
    let note = note().find(|entry| entry.file_name().to_string_lossy().contains("control"));
    let note = note.unwrap();
    assert_eq!(note.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let token = bench.token.clone();
    let said = bench.end();
    assert!(!note.path().exists() && !said.contains(&token), "{said}");
    // It is used again, and refused once others can read it.
    let again = Bench::start(&["--token-file", name]);
    assert_eq!(again.token, token);
    drop(again);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
    command.args(["emulate", "--control", "127.0.0.1:0", "--token-file", name, "--pty"]);
    let output = command.arg(folder.path().join("bus")).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("others can read") && said.contains("chmod 600"), "{said}");
}

/// A token is taken as it is and percent-encoded, wherever it is told: what is said of it can be used.
#[test]
fn every_token_that_a_file_may_hold_works_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for token in
        ["ab+c/d=efghi,jklmnop", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "aaaa%41%zz%+&token=#x"]
    {
        fs::write(&path, token).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let file = path.to_str().unwrap();
        let bench = Bench::start(&["--control", "0.0.0.0:0", "--token-file", file]);
        // As the page's address has it: without what ends an address in a text, or means something.
        let said = bench.token.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        assert!(said.chars().all(plain), "{said}");
        for given in [token, &said] {
            let header = format!("Authorization: Bearer {given}");
            let cut = json!({ "do": "cut" });
            let answer = bench.ask_with("POST", "/api/v1/hands", Some(&cut), &[&header]);
            assert_eq!(answer.status, 200, "{given}");
        }
        let protocols = format!("Sec-WebSocket-Protocol: k485.v1, k485.token.{said}");
        let mut socket = Socket::open(&bench.address, "", &[&protocols]).ok().unwrap();
        assert_eq!(socket.next()["type"], "hello");
        let url = format!("http://{}/", bench.address);
        let address = format!("{url}#token={said}");
        for args in [
            &["--url", address.as_str(), "cut"][..],
            &["--url", &url, "--token-file", file, "cut"],
            &["cut"],
        ] {
            assert_eq!(bench.ctl(args), (Some(0), String::new(), String::new()), "{args:?}");
        }
        // Nearly right is wrong.
        for wrong in [&said[1..], &said.replace('%', "%25"), &token[..token.len() - 1]] {
            let wrong = format!("{url}#token={wrong}");
            assert_eq!(bench.ctl(&["--url", &wrong, "cut"]).0, Some(1), "{wrong}");
        }
    }
}
