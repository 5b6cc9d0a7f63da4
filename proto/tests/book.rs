//! The project's pages agree with the code: generated tables are current, frames in the text are
//! frames, links lead somewhere.

#[path = "../examples/protocol_book/book.rs"]
mod book;

use std::fs;
use std::path::{Path, PathBuf};

use book::{BookError, END, OPEN, SECTIONS};
use k485_proto::frame::{Frame, MIN_FRAME};
use k485_proto::message::kind::{KINDS, hex_bytes};

/// The pages with generated sections.
const PAGES: [&str; 2] = ["docs/protocol.md", "docs/motor-parameters.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All pages: those of the book, and those beside the workspace's Cargo.toml.
fn pages() -> Vec<PathBuf> {
    let folders = [root(), root().join("docs"), root().join("captures")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut pages: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

#[test]
fn generated_sections_are_current() {
    for page in PAGES {
        let text = read(&root().join(page));
        let line = |text: &str, n: usize| text.lines().nth(n).unwrap_or("(end)").to_owned();
        let made = book::rewrite(&text).unwrap_or_else(|error| panic!("{page}: {error}"));
        let differs = (0..made.lines().count().max(text.lines().count()))
            .find(|n| line(&made, *n) != line(&text, *n));
        if let Some(n) = differs {
            panic!(
                "{page}:{}: is not what the declarations say; write it anew with\n  cargo run -p \
                 k485-proto --example protocol_book -- {}\nexpected: {}\n   found: {}",
                n + 1,
                PAGES.join(" "),
                line(&made, n),
                line(&text, n)
            );
        }
        assert_eq!(made, text, "{page}");
    }
}

#[test]
fn every_section_is_in_one_page() {
    let all: String = PAGES.iter().map(|page| read(&root().join(page))).collect();
    for (name, _) in SECTIONS {
        assert_eq!(all.matches(&format!("{OPEN}{name} -->\n")).count(), 1, "{name}");
    }
}

#[test]
fn every_kind_is_explained() {
    for kind in KINDS {
        assert!(book::kind_meaning(kind.name).is_some(), "{}", kind.name);
    }
}

#[test]
fn only_what_is_between_the_marks_is_rewritten() {
    let page = format!("before\n{OPEN}evidence -->\nold\n{END}\nafter | the end");
    let made = book::rewrite(&page).unwrap();
    assert!(made.starts_with(&format!("before\n{OPEN}evidence -->\n\n| word |")), "{made}");
    assert!(made.ends_with(&format!(" |\n\n{END}\nafter | the end")), "{made}");
    assert!(!made.contains("old"));
    assert_eq!(book::rewrite(&made), Ok(made));
    assert_eq!(book::rewrite("no mark"), Ok("no mark".into()));
}

#[test]
fn broken_marks_are_refused() {
    let unknown = format!("{OPEN}nothing -->\n{END}\n");
    assert_eq!(book::rewrite(&unknown), Err(BookError::Unknown("nothing".into())));
    let unclosed = format!("{OPEN}keys -->\n");
    assert_eq!(book::rewrite(&unclosed), Err(BookError::Unclosed("keys".into())));
    let nested = format!("{OPEN}keys -->\n{OPEN}kinds -->\n{END}\n");
    assert_eq!(book::rewrite(&nested), Err(BookError::Unclosed("keys".into())));
    let stray = format!("text\n{END}\n");
    assert_eq!(book::rewrite(&stray), Err(BookError::Stray(2)));
}

/// The words that begin with F7 and are long enough for a frame.
fn frames_in(text: &str) -> impl Iterator<Item = &str> {
    let is_head = |word: &&str| word.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("f7"));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(is_head).filter(|word| word.len() >= 2 * MIN_FRAME)
}

#[test]
fn frames_in_the_pages_are_frames() {
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        // An example of noise says that it is some.
        let lines = text.lines().filter(|line| !line.contains("; noise: "));
        for word in lines.flat_map(frames_in) {
            let bytes = hex_bytes(word).unwrap_or_else(|_| panic!("{}: {word}", page.display()));
            let error = Frame::from_bytes(&bytes).err();
            assert_eq!(error, None, "{}: {word}", page.display());
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} frames found: is the search right?");
}

/// The targets of a page's links that are files.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

#[test]
fn links_lead_to_files() {
    for page in pages() {
        let folder = page.parent().unwrap();
        for target in targets(&read(&page)) {
            assert!(folder.join(target).exists(), "{}: no {target}", page.display());
        }
    }
}

#[test]
fn the_summary_has_every_page_of_the_book_once() {
    let docs = root().join("docs");
    let summary = read(&docs.join("SUMMARY.md"));
    let mut listed: Vec<&str> = targets(&summary).collect();
    listed.sort_unstable();
    let pages: Vec<String> = pages()
        .iter()
        .filter(|page| page.parent() == Some(&docs))
        .filter_map(|page| page.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, pages);
}
