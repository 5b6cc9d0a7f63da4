//! Blocks out of bytes: where one begins and ends, and where the next whole one is behind a broken
//! one.

use std::io::{self, BufRead, ErrorKind, Read};

/// The first bytes of a section's header, in any byte order.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// What a section's header has in its own byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Longer blocks are taken for broken: they are held as a whole.
const LIMIT: u32 = 16 << 20;
/// How much is read at once.
const PIECE: u64 = 64 << 10;
/// The bytes of a block around its body: kind and size before, size behind.
const AROUND: usize = 12;

/// Kinds of blocks.
pub(super) mod kind {
    pub(in super::super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(in super::super) const INTERFACE: u32 = 1;
    pub(in super::super) const OLD_PACKET: u32 = 2;
    pub(in super::super) const SIMPLE_PACKET: u32 = 3;
    pub(in super::super) const STATISTICS: u32 = 5;
    pub(in super::super) const PACKET: u32 = 6;

    /// The least size of a block of a kind that reading may go on at.
    pub(super) fn least(kind: u32) -> Option<usize> {
        match kind {
            SECTION => Some(28),
            INTERFACE => Some(20),
            OLD_PACKET | PACKET => Some(32),
            SIMPLE_PACKET => Some(16),
            // Names, statistics, a journal's entry, secrets.
            4 | 5 | 9 | 10 => Some(12),
            _ => None,
        }
    }
}

/// Whether the section that begins with these bytes is big endian; `None` where it is none.
pub(super) fn byte_order(bytes: &[u8]) -> Option<bool> {
    let magic: [u8; 4] = bytes.get(8..12)?.try_into().ok()?;
    match magic {
        _ if magic == BYTE_ORDER.to_le_bytes() => Some(false),
        _ if magic == BYTE_ORDER.to_be_bytes() => Some(true),
        _ => None,
    }
}

/// Numbers and bytes of a stretch of a block.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn len(self) -> usize {
        self.bytes.len()
    }

    pub(super) fn all(self) -> &'a [u8] {
        self.bytes
    }

    /// What is behind `at`; nothing where it ends before.
    pub(super) fn from(self, at: usize) -> Fields<'a> {
        Fields { bytes: self.bytes.get(at..).unwrap_or_default(), ..self }
    }

    pub(super) fn bytes(self, at: usize, size: usize) -> Result<&'a [u8], String> {
        let end = at.saturating_add(size);
        self.bytes.get(at..end).ok_or_else(|| {
            format!("a block with a body of {} bytes is too short for its kind", self.len())
        })
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(at, N)?);
        Ok(array)
    }

    pub(super) fn u16(self, at: usize) -> Result<u16, String> {
        let bytes = self.array(at)?;
        Ok(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(self, at: usize) -> Result<u32, String> {
        let bytes = self.array(at)?;
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn i64(self, at: usize) -> Result<i64, String> {
        let bytes = self.array(at)?;
        Ok(if self.big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) })
    }

    /// The options in this stretch, up to their end or one that does not fit.
    pub(super) fn options(self) -> OptionIter<'a> {
        OptionIter { rest: self }
    }
}

/// Options: code and value.
pub(super) struct OptionIter<'a> {
    rest: Fields<'a>,
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<(u16, Fields<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        let (Ok(code), Ok(size)) = (rest.u16(0), rest.u16(2)) else { return None };
        if code == 0 {
            return None;
        }
        let size = usize::from(size);
        let value = rest.bytes(4, size);
        self.rest = rest.from(4 + size.next_multiple_of(4));
        if value.is_err() {
            self.rest = rest.from(rest.len());
        }
        let cut = |_| format!("option {code} of {size} bytes does not fit into its block");
        Some(value.map(|bytes| (code, Fields { bytes, ..rest })).map_err(cut))
    }
}

/// A whole block.
pub(super) struct Block<'a> {
    pub(super) kind: u32,
    /// Of the whole block, in bytes.
    pub(super) size: usize,
    pub(super) body: Fields<'a>,
}

/// What is at the window's beginning.
pub(super) enum Look<'a> {
    Block(Block<'a>),
    /// Something that is no whole block; whether it says that it is an interface's description.
    Broken {
        what: String,
        is_interface: bool,
    },
    End,
}

/// A piece of the file, from the place that reading has come to.
pub(super) struct Window {
    input: Box<dyn BufRead + Send>,
    buf: Vec<u8>,
    /// How much of `buf` lies behind.
    start: usize,
    offset: u64,
    /// The section's byte order.
    big: bool,
    ended: bool,
    error: Option<io::Error>,
}

impl Window {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        let buf = Vec::new();
        Window { input, buf, start: 0, offset: 0, big: false, ended: false, error: None }
    }

    /// Where the window begins in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The error that ended the input.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Leaves bytes behind that the window has.
    pub(super) fn consume(&mut self, size: usize) {
        let size = size.min(self.buf.len() - self.start);
        self.start += size;
        self.offset += size as u64;
    }

    /// What the window has after it was made to have `size` bytes, if the input has.
    fn fill(&mut self, size: usize) -> &[u8] {
        if self.buf.len() - self.start < size && !self.ended {
            self.buf.drain(..self.start);
            self.start = 0;
            while self.buf.len() < size && !self.ended {
                match self.input.by_ref().take(PIECE).read_to_end(&mut self.buf) {
                    Ok(read) => self.ended = read == 0,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.ended = true;
                        self.error = Some(error);
                    }
                }
            }
        }
        &self.buf[self.start..]
    }

    /// The block at the window's beginning.
    pub(super) fn look(&mut self) -> Look<'_> {
        match self.measure() {
            Ok(None) => Look::End,
            Ok(Some((kind, size, big))) => {
                self.big = big;
                let bytes = &self.buf[self.start..][8..size - 4];
                Look::Block(Block { kind, size, body: Fields { bytes, big } })
            }
            Err(what) => {
                let fields = Fields { bytes: &self.buf[self.start..], big: self.big };
                let is_interface = fields.u32(0) == Ok(kind::INTERFACE);
                Look::Broken { what, is_interface }
            }
        }
    }

    /// Kind, size and byte order of the block at the window's beginning, which is in the window as
    /// a whole then; or what is wrong with it.
    fn measure(&mut self) -> Result<Option<(u32, usize, bool)>, String> {
        let mut big = self.big;
        let head = self.fill(AROUND);
        if head.is_empty() {
            return Ok(None);
        }
        if head.len() < AROUND {
            return Err(format!("the file is cut off: {} bytes of a block", head.len()));
        }
        if head.starts_with(&SECTION) {
            big = byte_order(head).ok_or("a section whose byte order mark is broken")?;
        }
        let fields = Fields { bytes: head, big };
        let (kind, claimed) = (fields.u32(0)?, fields.u32(4)?);
        if claimed % 4 != 0 || claimed > LIMIT || (claimed as usize) < AROUND {
            return Err(format!("a broken block: its size cannot be {claimed} bytes"));
        }
        let size = claimed as usize;
        let have = self.fill(size);
        if have.len() < size {
            return Err(format!("a broken block: {} of its {size} bytes are there", have.len()));
        }
        let again = Fields { bytes: have, big }.u32(size - 4)?;
        if again != claimed {
            return Err(format!(
                "a broken block: its size is {claimed} bytes at its beginning and {again} at its end"
            ));
        }
        Ok(Some((kind, size, big)))
    }

    /// Leaves behind what is broken: goes on to the next whole block of a known kind and gives its
    /// place, or to the end.
    pub(super) fn find_block(&mut self) -> Option<u64> {
        loop {
            self.consume(1);
            let big = self.big;
            let head = self.fill(AROUND);
            if head.len() < AROUND {
                let left = head.len();
                self.consume(left);
                return None;
            }
            let head = Fields { bytes: head, big };
            let least = head.u32(0).ok().and_then(kind::least);
            if let Some(least) = least
                && let Ok(Some((_, size, _))) = self.measure()
                && size >= least
            {
                return Some(self.offset);
            }
        }
    }
}
