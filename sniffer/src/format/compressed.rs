//! gzip and zstd: read as if they were not there, written by a file name's end.
//!
//! Reading tells them by their first bytes. Offsets and lines are then those of what was packed.
//! Data that breaks off, or is damaged, gives what comes before that place, then an error that
//! says where in the file it is. At most the window of zstd's format is held (128 MiB), mostly a
//! few MiB.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// A way to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip: any number of members.
    Gzip,
    /// Zstandard: any number of frames.
    Zstd,
}

impl Packing {
    /// How many of an input's first bytes [`Packing::of_head`] looks at.
    pub const HEAD: usize = 4;

    /// The packing of an input that begins with these bytes.
    #[must_use]
    pub fn of_head(head: &[u8]) -> Option<Packing> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Some(Packing::Zstd)
            }
            _ => None,
        }
    }

    /// The packing that a file name's end says, `.gz` or `.zst`.
    #[must_use]
    pub fn of_name(name: &Path) -> Option<Packing> {
        match name.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "gz" => Some(Packing::Gzip),
            "zst" => Some(Packing::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }

    /// What the input holds, unpacked.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn reader(self, input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        // Read at large, handed on in pieces.
        let input = Counted { input: BufReader::new(input), count: 0 };
        let input = BufReader::with_capacity(PIECE, input);
        Ok(match self {
            Packing::Gzip => Box::new(Unpacked(MultiGzDecoder::new(input))),
            Packing::Zstd => Box::new(Unpacked(zstd::Decoder::with_buffer(input)?)),
        })
    }

    /// Packs what is written to it into `out`.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn writer<W: Write>(self, out: W) -> io::Result<Packer<W>> {
        Ok(Packer(match self {
            Packing::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Packing::Zstd => {
                Encoder::Zstd(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?)
            }
        }))
    }
}

/// How much packed data a decoder gets at once, in bytes. One that fails gives nothing of what came
/// of its last piece: the smaller it is, the less is lost before a damaged place.
const PIECE: usize = 64;

/// Counts what is read from it.
struct Counted<R> {
    input: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.input.read(buf)?;
        self.count += size as u64;
        Ok(size)
    }
}

type Input<R> = BufReader<Counted<R>>;

/// A decoder over counted input.
trait Decoder: Read {
    const PACKING: Packing;

    /// How much of its input it has taken.
    fn position(&self) -> u64;
}

fn position<R: Read>(input: &Input<R>) -> u64 {
    input.get_ref().count - input.buffer().len() as u64
}

impl<R: Read> Decoder for MultiGzDecoder<Input<R>> {
    const PACKING: Packing = Packing::Gzip;

    fn position(&self) -> u64 {
        position(self.get_ref())
    }
}

impl<R: Read> Decoder for zstd::Decoder<'static, Input<R>> {
    const PACKING: Packing = Packing::Zstd;

    fn position(&self) -> u64 {
        position(self.get_ref())
    }
}

/// Says of an error where in the packed file it is.
struct Unpacked<D>(D);

impl<D: Decoder> Read for Unpacked<D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let (name, at) = (D::PACKING.name(), self.0.position());
            let what = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    format!("the {name} data is cut off: the file ends at byte {at}")
                }
                _ => format!("the {name} data is damaged near byte {at} of the file: {error}"),
            };
            io::Error::new(error.kind(), what)
        })
    }
}

/// Packs what is written to it. Without [`Packer::finish`] the end is missing.
pub struct Packer<W: Write>(Encoder<W>);

enum Encoder<W: Write> {
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Packer<W> {
    /// Writes the end, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Encoder::Gzip(encoder) => encoder.write(buf),
            Encoder::Zstd(encoder) => encoder.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let mut packer = packing.writer(Vec::new()).unwrap();
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    /// Bytes that pack badly, so that a cut comes in the middle of them.
    fn bytes() -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        (0..200_000).map(|_| next()).collect()
    }

    fn unpack(packing: Packing, packed: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
        let mut out = Vec::new();
        let mut reader = packing.reader(Cursor::new(packed)).unwrap();
        let result = reader.read_to_end(&mut out);
        (out, result)
    }

    #[test]
    fn what_is_packed_twice_over_is_read_as_one() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let packed = [pack(packing, b"f7 01 03 "), pack(packing, b"ff 0a 5c")].concat();
            assert_eq!(Packing::of_head(&packed), Some(packing));
            let (out, result) = unpack(packing, packed);
            assert_eq!((out.as_slice(), result.unwrap()), (&b"f7 01 03 ff 0a 5c"[..], 17));
        }
    }

    #[test]
    fn what_is_cut_off_gives_what_there_was_and_says_where() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let whole = bytes();
            let mut packed = pack(packing, &whole);
            assert!(packed.len() > 150_000);
            packed.truncate(150_000);
            let (out, result) = unpack(packing, packed);
            assert!(out.len() > 10_000 && whole.starts_with(&out), "{}", out.len());
            let expected =
                format!("the {} data is cut off: the file ends at byte 150000", packing.name());
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn what_is_damaged_says_where() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut packed = pack(packing, &b"f7 01 03 ff 0a 5c\n".repeat(1000));
            let end = packed.len() - 12;
            packed[end..].fill(0xff);
            let (_, result) = unpack(packing, packed);
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with(&format!("the {} data is ", packing.name())), "{error}");
        }
    }

    #[test]
    fn what_comes_before_a_damaged_place_is_read() {
        // In several blocks, so that zstd has whole ones before the place.
        let whole = bytes();
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut packer = packing.writer(Vec::new()).unwrap();
            for part in whole[..3000].chunks(500) {
                packer.write_all(part).unwrap();
                packer.flush().unwrap();
            }
            let mut packed = packer.finish().unwrap();
            // All in one read of the file, and damaged in the fifth block.
            let place = 2300;
            packed[place..place + 300].fill(0xff);
            let (out, result) = unpack(packing, packed);
            assert!(result.is_err());
            assert!(out.starts_with(&whole[..1500]), "{packing:?}: {}", out.len());
        }
    }

    #[test]
    fn names() {
        let of = |name: &str| Packing::of_name(Path::new(name));
        assert_eq!(of("a.log.gz"), Some(Packing::Gzip));
        assert_eq!(of("a.pcapng.ZST"), Some(Packing::Zstd));
        assert_eq!(of("a.log"), None);
    }
}
