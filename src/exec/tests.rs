use super::*;
use k485_proto::deframer::NoiseReason;
use k485_proto::record::{Origin, Record, Time, Verdict};
use std::sync::Mutex;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// So many bytes of noise.
fn noise(size: usize) -> Seen {
    Seen::Noise(Record {
        time: Some(Time(1_500_000_000)),
        bus: Arc::from("test"),
        dir: None,
        offset: 0,
        bytes: vec![0x55; size],
        origin: Origin::Wire,
        verdict: Verdict::Noise(NoiseReason::Garbage),
        call: None,
    })
}

struct Run {
    exec: Exec,
    stop: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl Run {
    /// Runs a script of sh, whose `$1` is a file in a folder of its own.
    fn start(script: &str, longest: Duration) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let args = vec!["-c".into(), script.into(), "sh".into(), file.into()];
        let program = Program { name: "sh".into(), path: "/bin/sh".into(), args, longest };
        let (stop, said) = (Arc::default(), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&said);
        let say = Box::new(move |what: &str| heard.lock().unwrap().push(what.to_owned()));
        let exec = Exec::start(program, Arc::clone(&stop), say).unwrap();
        Run { exec, stop, said, folder }
    }

    /// Waits until the script's file has this many lines.
    fn wait_for_lines(&self, count: usize) {
        let start = Instant::now();
        while self.out().lines().count() < count {
            assert!(start.elapsed() < LONG, "{:?}", self.out());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }
}

#[test]
fn each_match_is_a_json_line() {
    let mut run = Run::start("cat >> \"$1\"", LONG);
    for size in 1..=3 {
        run.exec.push(&noise(size)).unwrap();
    }
    run.wait_for_lines(3);
    let out = run.out();
    let bytes: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| format!("{} {}", line["type"], line["bytes"]))
        .collect();
    assert_eq!(bytes, [r#""noise" "55""#, r#""noise" "5555""#, r#""noise" "555555""#]);
    assert_eq!(run.exec.finish().to_string(), "exec: 3 runs");
    assert_eq!(run.said.lock().unwrap().len(), 0);
}

/// What a pipe does not hold gets through, whether it is read or not.
#[test]
fn long_records_and_deaf_programs() {
    let mut run = Run::start("wc -c >> \"$1\"", LONG);
    run.exec.push(&noise(1 << 20)).unwrap();
    run.wait_for_lines(1);
    assert!(run.out().trim().parse::<usize>().unwrap() > 2 << 20);
    run.exec.finish();
    let mut run = Run::start("true", LONG);
    run.exec.push(&noise(1 << 20)).unwrap();
    assert_eq!(run.exec.finish().to_string(), "exec: 1 run");
}

#[test]
fn endings_are_told_once_a_kind() {
    let script = "read line; case $line in *'\"55\"'*) exit 3;; *) kill -9 $$;; esac";
    let mut run = Run::start(script, LONG);
    for size in [1, 1, 2, 1] {
        run.exec.push(&noise(size)).unwrap();
    }
    let told = run.exec.finish().to_string();
    assert_eq!(told, "exec: 4 runs, 3 ended with exit code 3, 1 was killed by signal 9");
    let said = run.said.lock().unwrap();
    let wanted = ["--exec sh: ended with exit code 3", "--exec sh: was killed by signal 9"];
    assert_eq!(*said, wanted);
}

/// It and what it started are killed when it takes too long; the next one runs.
#[test]
fn a_program_that_takes_too_long() {
    let script = "read line; case $line in *'\"55\"'*) sleep 600 & echo $! >> \"$1\"; wait;; esac";
    let mut run = Run::start(script, Duration::from_millis(1500));
    run.exec.push(&noise(1)).unwrap();
    run.exec.push(&noise(2)).unwrap();
    let start = Instant::now();
    run.wait_for_lines(1);
    let sleeper: i32 = run.out().trim().parse().unwrap();
    let told = run.exec.finish().to_string();
    assert!(start.elapsed() < LONG);
    assert_eq!(told, "exec: 2 runs, 1 was killed, as it ran for 30 s");
    // A zombie of it may be left where nobody collects those; alive it is not.
    let start = Instant::now();
    let stat = format!("/proc/{sleeper}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < LONG, "{sleeper} is alive");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_queue_is_bounded_and_nothing_waits() {
    let mut run = Run::start("echo >> \"$1\"; sleep 600", LONG);
    run.exec.push(&noise(1)).unwrap();
    run.wait_for_lines(1);
    let start = Instant::now();
    for _ in 0..QUEUE + 7 {
        run.exec.push(&noise(1)).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    // And the end does not wait for them.
    let start = Instant::now();
    run.stop.store(true, Ordering::SeqCst);
    let told = run.exec.finish().to_string();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let wanted = "exec: 1 run, 1 was killed at the end; 7 matches without a run, as 256 waited \
                  already; 256 matches still waited at the end";
    assert_eq!(told, wanted);
}

/// What is quick is still done after Ctrl-C.
#[test]
fn what_waits_at_the_end_is_done_if_there_is_time() {
    let mut run = Run::start("echo >> \"$1\"", LONG);
    run.exec.push(&noise(1)).unwrap();
    run.stop.store(true, Ordering::SeqCst);
    assert_eq!(run.exec.finish().to_string(), "exec: 1 run");
}

#[test]
fn a_program_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let error = |wanted: &Path| find(wanted, "/bin:/usr/bin".into()).unwrap_err().to_string();
    assert!(error(&script).contains("chmod +x"));
    assert!(error(folder.path()).contains("not an executable file"));
    assert!(error(&folder.path().join("other")).contains("no such program"));
    assert!(error(Path::new("no-such-program")).contains("no folder of PATH"));
    assert!(find(Path::new("sh"), "/bin:/usr/bin".into()).unwrap().ends_with("sh"));
}
