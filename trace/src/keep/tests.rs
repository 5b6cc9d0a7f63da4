use super::*;
use crate::files::{chosen, sessions};

/// A folder that is deleted at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("k485-keep-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn options(&self) -> Options {
        Options { folder: self.0.clone(), objects: true, all: true, size: None, every: None }
    }

    fn files(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(&path).unwrap())
            })
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stamps() -> impl Iterator<Item = String> {
    (0..5).map(|second| format!("20260101_00000{second}"))
}

#[test]
fn a_file_an_object_and_one_for_all() {
    let folder = Folder::new("objects");
    let mut keeper = Keeper::create(folder.options(), Time(0), stamps()).unwrap();
    keeper.write("1", None, Time(0));
    keeper.write("2", Some("serial_485 serial485"), Time(0));
    keeper.write("3", Some("../../etc/passwd"), Time(0));
    keeper.write("4", Some("_system"), Time(0));
    keeper.write("5", Some("Serial_485 serial485"), Time(0));
    keeper.write_everywhere("6", Time(0));
    let before = folder.files();
    assert!(before.values().all(|text| text.len() <= 2 * 6), "{before:?}");
    let summary = keeper.finish(Time(0)).clone();
    let files = folder.files();
    let text = |name: &str| files[&format!("{name}_20260101_000000.jsonl")].as_str();
    assert_eq!(text("_all"), "1\n2\n3\n4\n5\n6\n");
    assert_eq!(text("_system"), "1\n6\n");
    assert_eq!(text("serial_485_serial485"), "2\n5\n6\n");
    assert_eq!(text("object.._.._etc_passwd"), "3\n6\n");
    assert_eq!(text("object_system"), "4\n6\n");
    assert_eq!((files.len(), summary.files.len()), (5, 5));
    assert_eq!((summary.lines, summary.bytes, summary.lost), (15, 30, 0));
    assert_eq!(chosen(summary.files).len(), 1);

    // The next one in the same second has a name of its own.
    let other = Keeper::create(folder.options(), Time(0), stamps()).unwrap();
    assert_eq!(other.stamp(), "20260101_000001");
    let none = Keeper::create(folder.options(), Time(0), stamps().take(2));
    assert!(matches!(none, Err(KeepError::Folder { .. })));
}

#[test]
fn lines_are_handed_over_in_time() {
    let folder = Folder::new("time");
    let options = Options { objects: false, ..folder.options() };
    let mut keeper = Keeper::create(options, Time(0), stamps()).unwrap();
    keeper.write("a", Some("box"), Time(0));
    let all = |folder: &Folder| folder.files()["_all_20260101_000000.jsonl"].clone();
    keeper.tick(Time(HAND_OVER - 1));
    assert_eq!(all(&folder), "");
    keeper.tick(Time(HAND_OVER));
    assert_eq!(all(&folder), "a\n");
    keeper.write(&"x".repeat(BATCH), None, Time(HAND_OVER));
    assert_eq!(all(&folder).len(), BATCH + 3);
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn files_rotate_between_lines() {
    let folder = Folder::new("rotate");
    let options = Options { objects: false, size: Some(10), ..folder.options() };
    let mut keeper = Keeper::create(options, Time(0), stamps()).unwrap();
    for n in 0..5 {
        keeper.write(&format!("line{n}"), None, Time(0));
    }
    keeper.write("a line that is longer than a file", None, Time(0));
    keeper.write("z", None, Time(0));
    keeper.finish(Time(0));
    let files = folder.files();
    let texts: Vec<&str> = files.values().map(String::as_str).collect();
    assert_eq!(
        texts,
        [
            "line0\n",
            "line1\n",
            "line2\n",
            "line3\n",
            "line4\n",
            "a line that is longer than a file\n",
            "z\n"
        ]
    );
    assert!(files.contains_key("_all_20260101_000000_00007.jsonl"), "{files:?}");
    let paths = files.keys().map(|name| folder.0.join(name)).collect::<Vec<_>>();
    assert_eq!(sessions(paths.clone())[0].files, paths, "by name is by time");

    let folder = Folder::new("rotate-time");
    let options = Options { objects: false, every: Some(Time::SECOND), ..folder.options() };
    let mut keeper = Keeper::create(options, Time(0), stamps()).unwrap();
    for n in 0..4 {
        keeper.write("x", None, Time(n * 600 * Time::MILLISECOND));
        keeper.tick(Time((n * 600 + 500) * Time::MILLISECOND));
    }
    keeper.finish(Time(0));
    assert_eq!(folder.files().into_values().collect::<Vec<_>>(), ["x\n", "x\nx\n", "x\n"]);
}

#[test]
fn objects_beyond_the_limit_share_a_file() {
    let folder = Folder::new("many");
    let options = Options { all: false, ..folder.options() };
    let mut keeper = Keeper::create(options, Time(0), stamps()).unwrap();
    for n in 0..MAX_OBJECTS + 20 {
        keeper.write("x", Some(&format!("object{n}")), Time(0));
    }
    keeper.finish(Time(0));
    let files = folder.files();
    assert!(files.len() <= MAX_OBJECTS + 3, "{}", files.len());
    let lines: usize = files.values().map(|text| text.lines().count()).sum();
    assert_eq!(lines, MAX_OBJECTS + 20);
    assert!(files["_others_20260101_000000.jsonl"].lines().count() > 10);
}

#[test]
fn what_cannot_be_written_waits() {
    let folder = Folder::new("stuck");
    let mut keeper = Keeper::create(folder.options(), Time(0), stamps()).unwrap();
    keeper.write("1", None, Time(0));
    // No file can be begun in a folder that is gone.
    fs::remove_dir_all(&folder.0).unwrap();
    keeper.write("2", Some("box"), Time(HAND_OVER));
    keeper.tick(Time(2 * HAND_OVER));
    assert!(keeper.is_stuck());
    assert!(matches!(keeper.event(), Some(KeepEvent::Stuck { .. })));
    keeper.tick(Time(3 * HAND_OVER));
    keeper.tick(Time(2 * HAND_OVER + RETRY));
    assert_eq!((keeper.is_stuck(), keeper.event()), (true, None), "told once");
    fs::create_dir_all(&folder.0).unwrap();
    keeper.tick(Time(2 * HAND_OVER + 2 * RETRY));
    assert_eq!((keeper.is_stuck(), keeper.event()), (false, Some(KeepEvent::GoesOn)));
    let summary = keeper.finish(Time(0)).clone();
    assert_eq!(summary.lost, 0);
    assert_eq!(folder.files()["box_20260101_000000.jsonl"], "2\n");
}
