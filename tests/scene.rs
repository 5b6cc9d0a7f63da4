//! `k485 scene` as a person runs it: files to begin with, errors at their places, the schema, and
//! scenes out of captures.

mod common;

use std::fs;

use common::{file, folder, k485, project, sample};

/// What `check` says against a scene.
#[track_caller]
fn wrong(text: &str) -> String {
    let folder = folder();
    let path = file(&folder, "SCENE.toml", text.as_bytes());
    k485(["scene", "check", &path]).failed(1).replace(&path, "SCENE.toml")
}

#[test]
fn every_example_is_a_scene_that_the_schema_takes() {
    let schema: serde_json::Value =
        serde_json::from_str(&k485(["scene", "schema"]).clean()).unwrap();
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let mut count = 0;
    for entry in fs::read_dir(project("scenes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        count += 1;
        let out = k485(["scene".as_ref(), "check".as_ref(), path.as_os_str()]).clean();
        assert!(out.contains(": no errors\n"), "{out}");
        let text = fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = toml::from_str(&text).unwrap();
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let page = fs::read_to_string(project("scenes/README.md")).unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name} is not in scenes/README.md");
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema: serde_json::Value =
        serde_json::from_str(&k485(["scene", "schema"]).clean()).unwrap();
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for text in [
        "sed = 1\n",
        "[[box]]\nadress = 1\n",
        "[climate]\nhumidity = 101\n",
        "[[event]]\nat = \"1s\"\ndo = \"insert\"\n",
        "[[event]]\nat = \"1\"\ndo = \"cut\"\n",
        "[[fault]]\nkind = \"drop\"\nprobability = 2\n",
        "[[box]]\nfirmware = \"9\"\n",
    ] {
        wrong(text);
        let value: serde_json::Value = toml::from_str(text).unwrap();
        assert!(!schema.is_valid(&value), "{text}");
    }
}

#[test]
fn a_scene_to_begin_with_has_so_many_boxes() {
    let folder = folder();
    for boxes in 1..=4 {
        let text = k485(["scene", "init", "--boxes", &boxes.to_string()]).clean();
        assert_eq!(text.matches("\n[[box]]\n").count(), boxes, "{text}");
        let path = file(&folder, "SCENE.toml", text.as_bytes());
        let out = k485(["scene", "check", &path]).clean();
        assert_eq!(out.matches("  box ").count(), boxes, "{out}");
    }
    k485(["scene", "init", "--boxes", "5"]).failed(2);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let error = wrong("[[box]]\nadress = 1\n");
    assert_eq!(error, "k485: SCENE.toml:2:1: unknown key \"adress\"; did you mean address?\n");
    let error = wrong("seed = \"one\"\n");
    assert_eq!(error, "k485: SCENE.toml:1:8: seed is a whole number, not a text\n");
    let error = wrong("\n[climate]\nhumidity = 300\n");
    assert_eq!(error, "k485: SCENE.toml:3:12: humidity is from 0 to 100, not 300\n");
    let error = wrong("[[box]]\naddress = 1\n\n[[box]]\naddress = 1\n");
    assert!(error.starts_with("k485: SCENE.toml:5:11: box 1 has this address already (line 2)"));
    let error = wrong("sed = 1\n[[motor]]\n");
    assert_eq!(error.lines().count(), 1, "{error}");
    let error = wrong("sed = 1\ntitel = \"a\"\n");
    assert_eq!(error.lines().count(), 2, "{error}");
    let error = wrong("[[box]\n");
    assert!(error.starts_with("k485: SCENE.toml:1:"), "{error}");
    for key in ["reply", "response", "answer"] {
        let error = wrong(&format!("[[box]]\n{key} = \"f70103000190\"\n"));
        assert!(error.contains(&format!("2:1: unknown key \"{key}\"")), "{error}");
    }
}

#[test]
fn files_that_are_no_scenes_are_told() {
    let error = k485(["scene", "check", "/nowhere/SCENE.toml"]).failed(1);
    assert!(error.starts_with("k485: /nowhere/SCENE.toml: "), "{error}");
    let folder = folder();
    let path = file(&folder, "SCENE.toml", &[0xf7, 0xff, 0xfe]);
    let error = k485(["scene", "check", &path]).failed(1);
    assert!(error.contains("is no UTF-8 text, so it is no scene"), "{error}");
}

#[test]
fn the_page_has_every_key_and_its_examples_hold() {
    let page = fs::read_to_string(project("docs/scene.md")).unwrap();
    let reference = k485(["scene", "schema", "--to", "markdown"]).clean();
    assert!(
        page.ends_with(&reference),
        "docs/scene.md must end with what `k485 scene schema --to markdown` prints"
    );
    let folder = folder();
    let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for example in examples {
        let path = file(&folder, "SCENE.toml", example.as_bytes());
        k485(["scene", "check", &path]).clean();
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn a_scene_is_learned_from_a_capture() {
    let folder = folder();
    let path = folder.path().join("SCENE.toml");
    let path = path.to_str().unwrap();
    let capture = sample();
    let capture = capture.to_str().unwrap();
    assert_eq!(k485(["scene", "learn", capture, "-o", path]).clean(), "");
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(k485(["scene", "learn", capture]).clean(), text, "the same again");
    let out = k485(["scene", "check", path]).clean();
    assert!(out.contains("box 1 at 01"), "{out}");
    assert!(text.contains("uniid = \""), "{text}");
    assert!(text.contains("\n# "), "{text}");
    let end = k485(["scene", "learn", "--as-of", "end", capture]).clean();
    assert!(!end.contains("[[event]]"), "{end}");

    let error = k485(["scene", "learn", capture, "-o", capture]).failed(1);
    assert!(error.contains("is both input and output"), "{error}");
    let silent = file(&folder, "silent.hex", b"(0.0) F7 01 03 FF 0A 5C\n");
    let error = k485(["scene", "learn", &silent]).failed(1);
    assert!(error.contains("nothing in it was answered"), "{error}");
}
