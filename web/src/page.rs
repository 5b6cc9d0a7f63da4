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

/// All of them.
pub(crate) const FILES: &[File] = &[
    File { path: "/", mime: HTML, text: include_str!("../page/index.html") },
    File { path: "/style.css", mime: CSS, text: include_str!("../page/style.css") },
    File { path: "/app.js", mime: JS, text: include_str!("../page/app.js") },
];
