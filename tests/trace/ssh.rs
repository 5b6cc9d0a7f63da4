//! A stream that listens on the printer itself only.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use crate::bench::*;
use crate::common::{command, folder};

#[test]
fn a_stream_through_ssh() {
    let (tracer, folder) = (Tracer::new(), folder());
    // An ssh that is no ssh: it goes to the tracer of this test.
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = bin.join("ssh");
    let port = tracer.listener.local_addr().unwrap().port();
    let python = format!(
        "#!/usr/bin/env python3\n\
         import os, select, socket, sys\n\
         open({args:?}, 'w').write(' '.join(sys.argv[1:]))\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         while True:\n\
         \x20   ready, _, _ = select.select([s, 0], [], [])\n\
         \x20   if s in ready:\n\
         \x20       data = s.recv(65536)\n\
         \x20       if not data: break\n\
         \x20       os.write(1, data)\n\
         \x20   if 0 in ready:\n\
         \x20       data = os.read(0, 65536)\n\
         \x20       if not data: break\n\
         \x20       s.sendall(data)\n",
        args = folder.path().join("args"),
    );
    fs::write(&script, python).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let kept = folder.path().join("kept");
    let mut ssh = command(["trace", "capture", "ssh://root@k2.local:2222", "--count", "1", "-o"]);
    ssh.arg(&kept).env("PATH", &path);
    let capture = run(ssh);
    let mut stream = tracer.accept();
    say(&mut stream, OURS);
    // The hello comes through.
    let mut hello = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut hello).unwrap();
    assert!(hello.contains("\"wire\":\"binary\""), "{hello}");
    say(&mut stream, call(1, 1_767_128_272.0, "box", "m", "x"));
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(types(&files(&kept)["_all"]), ["connected", "call"]);
    let args = fs::read_to_string(folder.path().join("args")).unwrap();
    assert!(args.ends_with("-W 127.0.0.1:9876 -p 2222 -- root@k2.local"), "{args}");

    // One that fails has said why itself.
    fs::write(&script, "#!/bin/sh\necho 'open failed: Connection refused' >&2\nexit 255\n")
        .unwrap();
    let mut ssh = command(["trace", "capture", "ssh://root@k2.local", "--files", "none"]);
    ssh.env("PATH", &path);
    let (code, _, err) = run(ssh).end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.starts_with("open failed: Connection refused\n"), "{err}");
    assert!(
        err.contains("ssh ended before the stream began") && err.contains("auto_start"),
        "{err}"
    );
}
