//! The page: sources in small files, joined here; nothing is built, and nothing comes from elsewhere.

/// A file of the page.
pub(crate) struct File {
    /// Where it is asked for, from `/` on.
    pub(crate) path: &'static str,
    /// Its content type.
    pub(crate) mime: &'static str,
    /// What it holds.
    pub(crate) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file by its name in the page's folder.
macro_rules! file {
    ($name:literal, $mime:ident) => {
        File {
            path: concat!("/", $name),
            mime: $mime,
            text: include_str!(concat!("../page/", $name)),
        }
    };
}

/// All of them.
pub(crate) const FILES: &[File] = &[
    File { path: "/", mime: HTML, text: include_str!("../page/index.html") },
    file!("favicon.svg", SVG),
    file!("css/base.css", CSS),
    file!("css/layout.css", CSS),
    file!("css/controls.css", CSS),
    file!("css/boxes.css", CSS),
    file!("css/path.css", CSS),
    file!("css/log.css", CSS),
    file!("css/overlay.css", CSS),
    file!("js/api.js", JS),
    file!("js/boxes.js", JS),
    file!("js/clock.js", JS),
    file!("js/details.js", JS),
    file!("js/dom.js", JS),
    file!("js/exchange.js", JS),
    file!("js/faults.js", JS),
    file!("js/keys.js", JS),
    file!("js/log.js", JS),
    file!("js/machine.js", JS),
    file!("js/main.js", JS),
    file!("js/parts.js", JS),
    file!("js/path.js", JS),
    file!("js/ring.js", JS),
    file!("js/rows.js", JS),
    file!("js/side.js", JS),
    file!("js/slot.js", JS),
    file!("js/store.js", JS),
    file!("js/theme.js", JS),
    file!("js/toast.js", JS),
    file!("js/token.js", JS),
    file!("js/unseen.js", JS),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file names beside itself: addresses in HTML, imports in scripts.
    fn named(file: &File) -> Vec<String> {
        let mut names = Vec::new();
        for (before, folder) in [("href=\"", "/"), ("src=\"", "/"), ("from \"./", "/js/")] {
            for rest in file.text.split(before).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                if !name.starts_with('#') {
                    names.push(format!("{folder}{name}"));
                }
            }
        }
        names
    }

    #[test]
    fn the_page_is_whole_and_needs_nothing_from_elsewhere() {
        let paths: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        for file in FILES {
            for name in named(file) {
                assert!(paths.contains(&name.as_str()), "{} names {name}", file.path);
            }
            // The names of XML's vocabularies are no addresses that anybody asks.
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{}", file.path);
        }
    }

    #[test]
    fn what_comes_from_a_wire_cannot_become_markup() {
        let markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
        for file in FILES {
            for word in markup {
                assert!(!file.text.contains(word), "{} has {word}", file.path);
            }
        }
        let html = FILES[0].text;
        for inline in ["<style", " style=", " onclick=", " onload=", "<script>"] {
            assert!(!html.contains(inline), "the policy forbids {inline} in the page");
        }
    }
}
