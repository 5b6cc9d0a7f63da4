//! Making sure that what was written is on the disk, on a thread of its own: the disk may take
//! seconds for it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// What to do.
enum Job {
    /// The file's bytes.
    Data(PathBuf, Arc<File>),
    /// That a folder has the file of this name.
    Name(PathBuf),
}

/// What became of it.
pub(super) struct Done {
    pub(super) path: PathBuf,
    pub(super) result: io::Result<()>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Syncer {
    jobs: Option<Sender<Job>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
    /// How many jobs are not done.
    open: usize,
}

impl Syncer {
    pub(super) fn new() -> io::Result<Syncer> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, done) = mpsc::channel();
        let work = move || {
            for job in todo {
                let result = match &job {
                    Job::Data(_, file) => file.sync_data(),
                    Job::Name(path) => sync_folder(path),
                };
                let (Job::Data(path, _) | Job::Name(path)) = job;
                if tell.send(Done { path, result }).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("k485-sync".to_owned()).spawn(work)?;
        Ok(Syncer { jobs: Some(jobs), done, thread: Some(thread), open: 0 })
    }

    /// Whether it waits for the disk.
    pub(super) fn is_busy(&self) -> bool {
        self.open > 0
    }

    /// Asks for a file's bytes.
    pub(super) fn data(&mut self, path: &Path, file: &Arc<File>) {
        self.send(Job::Data(path.to_owned(), Arc::clone(file)));
    }

    /// Asks for a new file's name.
    pub(super) fn name(&mut self, path: &Path) {
        self.send(Job::Name(path.to_owned()));
    }

    fn send(&mut self, job: Job) {
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()) {
            self.open += 1;
        }
    }

    /// What is done by now.
    pub(super) fn poll(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.open = self.open.saturating_sub(1);
        Some(done)
    }

    /// Waits for everything that was asked for.
    pub(super) fn finish(&mut self) -> Vec<Done> {
        self.jobs = None;
        // The thread ends when there is no more to do.
        let done = self.done.iter().collect();
        if let Some(thread) = self.thread.take() {
            // What it had to tell was told.
            let _ = thread.join();
        }
        self.open = 0;
        done
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
