//! `--dialect` and `k485 dialect` through the binary. Those over real captures need the folder that
//! `K485_CAPTURES` names; without it they report as ignored.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

type Outcome = Result<(), Failed>;
type Test = fn() -> Outcome;

/// A device at 41 whose 0A says something else than a box's.
const GRIPPER: &str = r#"
name = "gripper"

[[device]]
name = "gripper"
address = 0x41
class = "gripper"

[[function]]
class = "gripper"
code = 0x0a
name = "GET_GRIP"
doc = "Reads the grip."

[[function.request]]
fields = [{ name = "what", kind = "u8", values = { 0 = "open", 1 = "force" } }]

[[function.reply]]
form = "Force"
status = "any"
when = { what = 1 }
fields = [{ name = "force", kind = "u16be", unit = "mN", evidence = "wire" }]

[[status]]
code = 0x16
name = "JAMMED"
meaning = "the gripper is jammed"
"#;

/// A question for the force and its answer 258 mN under STATUS 16.
const ASKED: &str = "f74104ff0a01f6 f74105160a010262";

fn main() {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 11] = [
        ("text_shows_the_dialect", text_shows_the_dialect),
        ("json_shows_the_dialect", json_shows_the_dialect),
        ("explain_knows_the_dialect", explain_knows_the_dialect),
        ("encode_speaks_the_dialect", encode_speaks_the_dialect),
        ("errors_tell_file_line_and_column", errors_tell_file_line_and_column),
        ("a_new_dialect_checks", a_new_dialect_checks),
        ("shown_as_toml_it_reads_back", shown_as_toml_it_reads_back),
        ("auto_says_why_and_loses_nothing", auto_says_why_and_loses_nothing),
        ("auto_needs_a_capture", auto_needs_a_capture),
        ("the_page_holds", the_page_holds),
        ("the_page_names_every_key", the_page_names_every_key),
    ];
    let mut trials: Vec<Trial> =
        tests.map(|(name, test)| Trial::test(name, test)).into_iter().collect();
    let captures = std::env::var_os("K485_CAPTURES").map(PathBuf::from);
    let name = "auto_tells_the_captures_apart";
    trials.push(match captures {
        Some(folder) => Trial::test(name, move || auto_tells_the_captures_apart(&folder)),
        None => Trial::test(format!("{name} (K485_CAPTURES is unset)"), || Ok(()))
            .with_ignored_flag(true),
    });
    libtest_mimic::run(&arguments, trials).exit();
}

fn k485(args: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_k485")).args(args).stdin(Stdio::null()).output()?)
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// stdout of a run that succeeds.
fn clean(args: &[&str]) -> Result<String, Failed> {
    let output = k485(args)?;
    match output.status.code() {
        Some(0) => Ok(out(&output)),
        code => Err(format!("{args:?}: {code:?} {}", talk(&output)).into()),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, expected {expected:?}").into())
}

fn holds(text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { Err(format!("no {part:?} in\n{text}").into()) }
}

/// A folder with a file of this text in it, and the file's path.
fn file(text: &str) -> Result<(tempfile::TempDir, String), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("own.toml");
    fs::write(&path, text)?;
    let path = path.to_string_lossy().into_owned();
    Ok((folder, path))
}

fn text_shows_the_dialect() -> Outcome {
    let (_folder, path) = file(GRIPPER)?;
    let plain = clean(&["decode", "--hex", ASKED])?;
    holds(&plain, "function 0x0A")?;
    holds(&plain, "[implausible address]")?;
    holds(&plain, "RETRUDE_ERR4")?;
    let own = clean(&["decode", "--dialect", &path, "--hex", ASKED])?;
    holds(&own, "gripper GET_GRIP what=force -> JAMMED")?;
    holds(&own, "force=258 mN")?;
    equal("a mark", own.contains("implausible"), false)?;
    // What the file does not touch is K2's.
    let poll = ["decode", "--hex", "f70103ff0a5c f70107000a19240000e7"];
    let [k2, mine] = [clean(&poll)?, clean(&[&poll[..], &["--dialect", &path]].concat())?];
    holds(&k2, "GET_BOX_STATE -> OK temperature=25 C humidity=36 %")?;
    equal("a box's poll", mine, k2)
}

fn json_shows_the_dialect() -> Outcome {
    let (_folder, path) = file(GRIPPER)?;
    let text = clean(&["decode", "--to", "json", "--frames", "--dialect", &path, "--hex", ASKED])?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let frames: Vec<&Value> = lines.iter().filter(|line| line["type"] == "frame").collect();
    equal("frames", frames.len(), 2)?;
    equal("device", &frames[0]["device"], &Value::from("gripper"))?;
    equal("function", &frames[0]["function"], &Value::from("GET_GRIP"))?;
    equal("form", &frames[1]["form"], &Value::from("Force"))?;
    equal("force", &frames[1]["fields"]["force"], &Value::from(258))?;
    equal("status", &frames[1]["status_name"], &Value::from("JAMMED"))?;
    equal("marks", frames.iter().any(|f| f.get("implausible_addr").is_some()), false)
}

fn explain_knows_the_dialect() -> Outcome {
    let (_folder, path) = file(GRIPPER)?;
    let words = ["gripper", "GET_GRIP", "JAMMED", "0x16", "f74104ff0a01f6"];
    let text = clean(&[&["explain", "--dialect", &path], &words[..]].concat())?;
    for part in [
        "address 41 gripper: a gripper of the dialect [inferred]",
        "functions: 0A GET_GRIP",
        "function 0A GET_GRIP (gripper): Reads the grip.",
        "reply Force (what=1):",
        "force: u16be, mN [wire]",
        "status 16 JAMMED: the gripper is jammed",
        "gripper GET_GRIP, STATUS REQUEST",
        "what=force",
    ] {
        holds(&text, part)?;
    }
    let plain = k485(&["explain", "GET_GRIP"])?;
    equal("without it", plain.status.code(), Some(1))?;
    holds(&clean(&["explain", "--dialect", "hi", "BUSY"])?, "status 16 BUSY")?;
    holds(&clean(&["explain", "--dialect", "hi", "0x41"])?, "address 41 node41")
}

fn encode_speaks_the_dialect() -> Outcome {
    let (_folder, path) = file(GRIPPER)?;
    let encode = |args: &[&str]| {
        clean(&[&["encode", "--dialect", &path], args].concat()).map(|text| text.trim().to_owned())
    };
    let request = encode(&["gripper", "GET_GRIP", "what=force"])?;
    let reply = encode(&["gripper", "get_grip", "--reply", "--status", "JAMMED", "force=258"])?;
    equal("both", format!("{request} {reply}"), ASKED.to_owned())?;
    // What only the dialect knows is a wrong command line without it.
    let plain = k485(&["encode", "gripper", "GET_GRIP"])?;
    equal("unknown device", plain.status.code(), Some(2))?;
    holds(&talk(&plain), "error: no address: \"gripper\"")?;
    let status = k485(&["encode", "box1", "GET_BOX_STATE", "--reply", "--status", "JAMMED"])?;
    equal("unknown status", status.status.code(), Some(2))
}

fn errors_tell_file_line_and_column() -> Outcome {
    let wrong = GRIPPER.replace("unit = \"mN\"", "unti = \"mN\"").replace("\"u8\"", "\"u88\"");
    let (_folder, path) = file(&wrong)?;
    let at = |word: &str| {
        let mut lines = wrong.lines().enumerate();
        let found = lines.find_map(|(n, line)| Some(format!("{}:{}", n + 1, line.find(word)? + 1)));
        found.ok_or_else(|| Failed::from(format!("no {word}")))
    };
    let expected = format!(
        "k485: {path}:{}: no kind \"u88\"; did you mean u8?\n\
         k485: {path}:{}: unknown key \"unti\"; did you mean unit?\n",
        at("\"u88\"")?,
        at("unti")?
    );
    for args in [
        &["dialect", "check", &path][..],
        &["dialect", "show", &path],
        &["decode", "--dialect", &path, "--hex", ASKED],
        &["explain", "--dialect", &path, "box1"],
        &["encode", "--dialect", &path, "box1", "GET_BOX_STATE"],
        &["sniff", "--dialect", &path, "/nowhere"],
    ] {
        let output = k485(args)?;
        equal("exit code", output.status.code(), Some(1))?;
        equal("stdout", out(&output), String::new())?;
        equal("stderr", talk(&output), expected.clone())?;
    }
    for (name, what) in [
        ("hii", "no dialect \"hii\"; did you mean hi?"),
        ("zzz", "no dialect \"zzz\": there are k2, hi, k1, or a file such as zzz.toml"),
        ("/nowhere/own.toml", "/nowhere/own.toml: "),
    ] {
        let output = k485(&["explain", "--dialect", name, "box1"])?;
        equal("exit code", output.status.code(), Some(1))?;
        holds(&talk(&output), what)?;
    }
    // A capture given by mistake.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("dump.bin");
    fs::write(&path, vec![0xf7; 2 << 20])?;
    let output = k485(&["dialect", "check", &path.to_string_lossy()])?;
    equal("exit code", output.status.code(), Some(1))?;
    holds(&talk(&output), "is larger than a dialect can be")
}

fn a_new_dialect_checks() -> Outcome {
    for base in ["k2", "hi", "k1"] {
        let starter = clean(&["dialect", "new", "--base", base])?;
        let (_folder, path) = file(&starter)?;
        let expected = format!(
            "{path}: dialect mine over {base}, no errors\n  \
               adds device gripper at 51, class gripper\n  \
               adds status 60 GRIP_LOST\n  \
               adds gripper function 0A GET_GRIP\n"
        );
        equal("told", clean(&["dialect", "check", &path])?, expected)?;
        // The part that is only a comment holds too.
        let (before, change) = starter.split_at(starter.find("# [[field]]").ok_or("no change")?);
        let (_folder, path) = file(&format!("{before}{}", change.replace("# ", "")))?;
        holds(&clean(&["dialect", "check", &path])?, "redefines box function 0A GET_BOX_STATE\n")?;
    }
    let (_folder, path) = file(GRIPPER)?;
    holds(&clean(&["dialect", "check", &path])?, "redefines status 16 RETRUDE_ERR4 as JAMMED\n")?;
    equal("no such base", k485(&["dialect", "new", "--base", "k3"])?.status.code(), Some(2))
}

fn shown_as_toml_it_reads_back() -> Outcome {
    for args in [&["k2"][..], &["hi"], &["hi", "--own"], &["k1"], &["k1", "--own"]] {
        let show = ["dialect", "show", "--to", "toml"];
        let toml = clean(&[&show[..], args].concat())?;
        let (_folder, path) = file(&toml)?;
        let again = clean(&[&show[..], &[&*path], &args[1..]].concat())?;
        equal(args[0], again, toml)?;
    }
    let own = clean(&["dialect", "show", "hi", "--own"])?;
    holds(&own, "address 41 node41: class node [wire]")?;
    holds(&own, "status 16 BUSY")?;
    equal("only its own", own.contains("GET_RFID"), false)?;
    let all = clean(&["dialect", "show", "hi"])?;
    holds(&all, "GET_RFID (box)")?;
    holds(&all, "reply Changes (status 30):")?;
    equal("each once", all.matches("GET_BOX_STATE (box)").count(), 1)
}

/// Polls of a box and, between, of 41.
fn hi() -> String {
    "f70103ff0a5c\nf70107000a17290000b2\nf74103ff0a5c\n".repeat(5) + "f70103ff0a5c\n"
}

fn auto_says_why_and_loses_nothing() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hi.hex");
    fs::write(&path, hi())?;
    let path = path.to_string_lossy();
    let auto = k485(&["decode", "--dialect", "auto", &path])?;
    let why =
        "dialect: hi, because 5 polls went to 0x41, which only the Hi host is known to send\n";
    equal("why", talk(&auto), why.to_owned())?;
    equal("what", out(&auto), clean(&["decode", "--dialect", "hi", &path])?)?;
    // stdin cannot be read twice.
    let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(["decode", "--dialect", "auto", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(hi().as_bytes())?;
    let piped = child.wait_with_output()?;
    equal("piped", out(&piped), out(&auto))?;
    // Each capture for itself, more frames than are looked at, and a place that is skipped.
    let long = folder.path().join("long.hex");
    let polls = "f70103ff0a5c\n".repeat(3000);
    fs::write(&long, format!("f70103ff0a5c\nnot hex at all\n{polls}"))?;
    let long = long.to_string_lossy();
    let both = k485(&["decode", "-v", "--frames", "--dialect", "auto", &path, &long])?;
    equal("skipped", both.status.code(), Some(3))?;
    let talk = talk(&both);
    holds(&talk, &format!("dialect of {path}: hi, because"))?;
    let default = "k2 (the default), because none of the 2000 frames looked at tells the dialects";
    holds(&talk, &format!("dialect of {long}: {default} apart"))?;
    holds(&talk, &format!("{} frames", 16 + 3001))
}

fn auto_needs_a_capture() -> Outcome {
    for args in [
        &["explain", "--dialect", "auto", "box1"][..],
        &["encode", "--dialect", "auto", "box1", "GET_BOX_STATE"],
        &["sniff", "--dialect", "auto", "/nowhere"],
    ] {
        let output = k485(args)?;
        equal("exit code", output.status.code(), Some(1))?;
        holds(&talk(&output), "--dialect auto looks at the beginning of a capture")?;
    }
    Ok(())
}

/// The page on dialects.
fn page() -> Result<String, Failed> {
    Ok(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md"))?)
}

/// Every example of the page is a dialect without errors.
fn the_page_holds() -> Outcome {
    let page = page()?;
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    equal("examples", examples.len() > 1, true)?;
    for example in examples {
        let (_folder, path) = file(example)?;
        clean(&["dialect", "check", &path])?;
    }
    Ok(())
}

/// The keys are those that the errors about a wrong one list.
fn the_page_names_every_key() -> Outcome {
    let page = page()?;
    let function = "[[function]]\nclass = \"box\"\ncode = 5\n";
    let field = "{ name = \"a\", kind = \"u8\", Q = 1 }";
    for text in [
        "Q = 1\n".to_owned(),
        "[[device]]\nname = \"a\"\nclass = \"a\"\naddress = 0x40\nQ = 1\n".to_owned(),
        "[[status]]\ncode = 1\nQ = 1\n".to_owned(),
        format!("{function}Q = 1\n"),
        format!("{function}[[function.reply]]\nQ = 1\n"),
        format!("{function}[[function.reply]]\nfields = [{field}]\n"),
        "[[field]]\nclass = \"box\"\ncode = 0x0a\nname = \"ran\"\nQ = 1\n".to_owned(),
    ] {
        let (_folder, path) = file(&text)?;
        let output = k485(&["dialect", "check", &path])?;
        let talk = talk(&output);
        let (_, keys) = talk.split_once("there are: ").ok_or_else(|| talk.clone())?;
        for key in keys.trim().split(", ") {
            holds(&page, &format!("| `{key}` |"))?;
        }
    }
    let (_folder, path) =
        file(&format!("{function}reply = [{{ fields = [{{ name = \"a\", kind = \"Q\" }}] }}]"))?;
    let talk = talk(&k485(&["dialect", "check", &path])?);
    let (_, kinds) = talk.split_once("there are: ").ok_or_else(|| talk.clone())?;
    for kind in kinds.trim().split(", ") {
        holds(&page, &format!("`{kind}`"))?;
    }
    Ok(())
}

fn auto_tells_the_captures_apart(folder: &Path) -> Outcome {
    let captures = folder.join("captures");
    let why = |path: &Path| -> Result<String, Failed> {
        let output = k485(&["decode", "--dialect", "auto", &path.to_string_lossy()])?;
        let talk = talk(&output);
        Ok(talk.lines().find(|line| line.starts_with("dialect: ")).unwrap_or(&talk).to_owned())
    };
    let path = captures.join("wire/hi-buffer-test.bin");
    let hi = "dialect: hi, because 28 polls went to 0x41, which only the Hi host is known to send";
    equal("hi", why(&path)?, hi.to_owned())?;
    holds(
        &why(&captures.join("wire/interceptty-filament-change.txt"))?,
        "dialect: k1, because 1 load ended without stage 07 and the box reports version 110",
    )?;
    let mut traces = 0;
    for entry in fs::read_dir(&captures)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("printer-") {
            holds(&why(&entry.path())?, "dialect: k2, because ")?;
            traces += 1;
        }
    }
    equal("traces", traces, 3)?;
    // By the Hi's tables nothing is left over, and the polled node is no damaged address.
    let text = clean(&["decode", "--frames", "--dialect", "hi", &path.to_string_lossy()])?;
    equal("polls", text.matches("node41 GET_BOX_STATE").count(), 28)?;
    let dump = captures.join("wire/interceptty-filament-change.txt");
    let kit = clean(&["decode", "--frames", "--dialect", "k1", &dump.to_string_lossy()])?;
    equal("frames", kit.lines().count(), 545)?;
    for mark in ["implausible", "data=", "payload", "function 0x"] {
        equal(mark, text.contains(mark) || kit.contains(mark), false)?;
    }
    Ok(())
}
