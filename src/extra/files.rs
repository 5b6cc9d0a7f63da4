//! The tracer's files, as they are in `extra/trace_hooks`.

use crc::{CRC_32_CKSUM, Crc};

/// Names and contents of these files.
macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../extra/trace_hooks/", $name)))),*]
    };
}

/// The files by name. A test holds it equal to the folder.
pub(super) static FILES: [(&str, &str); 16] = files! {
    "__init__.py"
    "attrs.py"
    "commands.py"
    "discover.py"
    "frames.py"
    "hooks.py"
    "labels.py"
    "patch.py"
    "pump.py"
    "rebind.py"
    "record.py"
    "sink.py"
    "stream.py"
    "values.py"
    "wire.py"
    "wrappers.py"
};

/// The tracer's version: `VERSION = '1.0'` in its first file.
pub(super) fn version() -> &'static str {
    let line = FILES[0].1.lines().find_map(|line| line.strip_prefix("VERSION = "));
    line.map_or("?", |version| version.trim().trim_matches(['\'', '"']))
}

/// What `cksum` of POSIX says of some bytes: their CRC, and their count behind them in it.
pub(super) fn cksum(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_CKSUM);
    let mut digest = CRC.digest();
    digest.update(bytes);
    let mut count = bytes.len();
    while count > 0 {
        digest.update(&[(count & 0xff) as u8]);
        count >>= 8;
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("extra/trace_hooks");
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            // Python's own, where its tests ran.
            .filter(|name| name != "__pycache__")
            .collect();
        names.sort();
        let own: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(own, names, "put the missing ones into FILES");
    }

    #[test]
    fn files_can_be_carried_in_a_script() {
        for (name, text) in FILES {
            assert!(text.ends_with('\n'), "{name}: a here-document ends its last line");
            assert!(!text.lines().any(|line| line == super::super::END), "{name}");
            assert!(!text.contains('\0'), "{name}");
            let plain = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
            assert!(name.chars().all(plain), "{name}");
        }
    }

    #[test]
    fn the_version_is_found() {
        assert!(version().chars().all(|c| c.is_ascii_digit() || c == '.'), "{}", version());
    }

    #[test]
    fn sums_are_those_of_cksum() {
        // The first is that of an empty file, the second the catalogue's check with its count.
        assert_eq!(cksum(b""), 4_294_967_295);
        assert_eq!(cksum(b"123456789"), 930_766_865);
    }
}
