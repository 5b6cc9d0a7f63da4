//! A symbolic link by which the other end of a pseudo-terminal is found.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Where pseudo-terminals are.
const PTS: &str = "/dev/pts";

/// A symbolic link that is removed when the value is dropped, unless it leads elsewhere by then.
#[derive(Debug)]
pub(crate) struct LinkFile {
    link: PathBuf,
    target: PathBuf,
}

impl LinkFile {
    /// Makes the link; see [`Pty::with_link`](crate::Pty::with_link) for what is replaced.
    pub(crate) fn new(link: &Path, target: &Path) -> Result<LinkFile, OpenError> {
        let made = match symlink(target, link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                check_left_behind(link, target)?;
                replace(link, target)
            }
            made => made,
        };
        made.map_err(|source| {
            let step = "make the link file";
            OpenError::Io { port: link.to_owned(), step, source }
        })?;
        Ok(LinkFile { link: link.to_owned(), target: target.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.link
    }
}

/// Fails unless the link is one that a process of ours can have left behind.
fn check_left_behind(link: &Path, target: &Path) -> Result<(), OpenError> {
    let taken = |why: String| Err(OpenError::LinkTaken { link: link.to_owned(), why });
    let Ok(leads) = fs::read_link(link) else {
        return taken("is there already, and is no link to a pseudo-terminal".to_owned());
    };
    if !leads.starts_with(PTS) && leads != target {
        return taken(format!("is a link to {}, no pseudo-terminal", leads.display()));
    }
    if leads != target && leads.exists() {
        return taken(format!("is a link to {}, which is in use", leads.display()));
    }
    Ok(())
}

/// Puts the new link in the old one's place, such that there is always one.
fn replace(link: &Path, target: &Path) -> io::Result<()> {
    let mut name = link.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = link.with_file_name(name);
    symlink(target, &new)?;
    fs::rename(&new, link).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

impl Drop for LinkFile {
    fn drop(&mut self) {
        if fs::read_link(&self.link).is_ok_and(|leads| leads == self.target) {
            let _ = fs::remove_file(&self.link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("bus");
        let made = LinkFile::new(&link, Path::new("/dev/pts/77")).unwrap();
        assert_eq!(fs::read_link(made.path()).unwrap(), Path::new("/dev/pts/77"));
        drop(made);
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn a_link_that_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("bus");
        for old in ["/dev/pts/987654", "/dev/pts/77"] {
            symlink(old, &link).unwrap();
            let made = LinkFile::new(&link, Path::new("/dev/pts/77")).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/pts/77"));
            drop(made);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        let elsewhere = folder.path().join("elsewhere");
        symlink("/dev/null", &elsewhere).unwrap();
        let refusal = |link: &Path| LinkFile::new(link, Path::new("/dev/pts/77")).unwrap_err();
        assert_eq!(
            refusal(&file).to_string(),
            format!(
                "{}: is there already, and is no link to a pseudo-terminal; choose another name, \
                 or remove it",
                file.display()
            )
        );
        let message = refusal(&elsewhere).to_string();
        assert!(message.contains(": is a link to /dev/null, no pseudo-terminal; "), "{message}");
        let live = crate::Pty::open().unwrap();
        let used = folder.path().join("used");
        symlink(live.path(), &used).unwrap();
        let message = refusal(&used).to_string();
        assert!(message.contains(", which is in use; choose another name"), "{message}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_link(&elsewhere).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn a_link_that_another_took_over_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("bus");
        let made = LinkFile::new(&link, Path::new("/dev/pts/987654")).unwrap();
        let _other = LinkFile::new(&link, Path::new("/dev/pts/987655")).unwrap();
        drop(made);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/pts/987655"));
    }
}
