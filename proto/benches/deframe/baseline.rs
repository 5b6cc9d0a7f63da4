//! What the deframer is measured against: the loop that one would write without it, once in Rust
//! over the `crc` crate's table, once in C.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crc::{CRC_8_SMBUS, Crc, Table};

use crate::stream::Tally;

/// The hand loop: F7, LEN of at least 3, right CRC, else one byte further.
pub(crate) fn crc_crate_loop(bytes: &[u8]) -> Tally {
    static CRC: Crc<u8, Table<1>> = Crc::<u8, Table<1>>::new(&CRC_8_SMBUS);
    let mut tally = Tally::default();
    let mut at = 0;
    while let [head, _, len, ..] = bytes[at..] {
        let end = at + usize::from(len) + 3;
        if head == 0xf7
            && len >= 3
            && end <= bytes.len()
            && CRC.checksum(&bytes[at + 2..end - 1]) == bytes[end - 1]
        {
            tally.add(at as u64);
            at = end;
        } else {
            at += 1;
        }
    }
    tally
}

/// The C loop, running as a process of its own that waits for the word to make a pass. That way
/// the workspace needs neither `unsafe` nor a C compiler for anything but this bench.
pub(crate) struct CLoop {
    child: Child,
    /// `None` once the process has been told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl CLoop {
    /// Compiles `baseline.c` with `$CC` (or `cc`) and starts it on `stream`.
    ///
    /// # Errors
    /// Whatever keeps it from running, most likely that there is no compiler.
    pub(crate) fn start(name: &str, stream: &[u8]) -> io::Result<CLoop> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // The process id keeps two benches that run at once apart.
        let stem = format!("deframe-{name}-{}", std::process::id());
        let program = folder.join(format!("{stem}{}", env::consts::EXE_SUFFIX));
        let input = folder.join(format!("{stem}.bin"));

        let started = compile(&source, &program).and_then(|()| {
            fs::write(&input, stream)?;
            let mut child = Command::new(&program)
                .arg(&input)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let orders = child.stdin.take();
            let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
            let mut c_loop = CLoop { child, orders, answers };
            // Its answer tells that it has read the input, so both files can go.
            c_loop.pass()?;
            Ok(c_loop)
        });
        for file in [&program, &input] {
            // One that was never made is as good as one removed.
            let _ = fs::remove_file(file);
        }
        started
    }

    /// Makes one pass; gives its time and what it found.
    ///
    /// # Errors
    /// When the process has died or says something else than three numbers.
    pub(crate) fn pass(&mut self) -> io::Result<(Duration, Tally)> {
        if let Some(orders) = &mut self.orders {
            orders.write_all(b"\n")?;
            orders.flush()?;
        }
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let numbers: Vec<u64> =
            line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        match numbers[..] {
            [nanos, frames, offsets] => {
                Ok((Duration::from_nanos(nanos), Tally { frames, offsets }))
            }
            _ => Err(io::Error::other(format!("the C loop said {line:?}"))),
        }
    }
}

/// The end of its input ends the process; waiting for it leaves none behind.
impl Drop for CLoop {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

fn compile(source: &Path, program: &Path) -> io::Result<()> {
    let cc = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&cc)
        .args(["-std=gnu11", "-O3", "-o"])
        .args([program, source])
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", cc.display())))?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} failed: {status}", cc.display())))
    }
}
