//! Spans out of a byte stream, in any chunking: frames, or noise with the reason it is noise.
//!
//! Every input byte is in exactly one span, and the concatenation of the spans is the input. A
//! candidate that turns out to be no frame is retried from its second byte, so a frame that hides
//! in noise is found. Where one span ends and the next begins depends on the bytes alone, never on
//! how they were cut into chunks: a noise span ends at the next F7, at the end that the rejected
//! candidate claimed for itself, or after [`MAX_FRAME`] bytes without any F7. The deframer holds
//! at most one frame's worth of bytes.
//!
//! A stream that stops in mid-frame leaves a candidate open. A live reader that has heard nothing
//! for a while says so with [`Deframer::idle`]: a candidate with a damaged LEN would otherwise
//! hold back up to 255 bytes of good frames.

use crate::frame::{Frame, FrameError, HEAD, MAX_FRAME};

/// A stretch of the stream: a frame, or noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span<'a> {
    /// A frame, head to CRC.
    Frame {
        /// Where it begins, in bytes from the start of the stream.
        offset: u64,
        /// The frame.
        frame: Frame<'a>,
    },
    /// Bytes that are no frame.
    Noise(Noise<'a>),
}

/// Bytes that are no frame, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise<'a> {
    /// Where they begin, in bytes from the start of the stream.
    pub offset: u64,
    /// The bytes, never empty.
    pub bytes: &'a [u8],
    /// Why they are no frame.
    pub reason: NoiseReason,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoiseReason {
    /// Bytes before a frame head: no F7 among them.
    Garbage,
    /// An F7 whose LEN is below 3.
    BadLength {
        /// LEN as received.
        len: u8,
    },
    /// A candidate of full length whose CRC is wrong.
    BadCrc {
        /// The CRC computed from the bytes.
        expected: u8,
        /// The CRC byte as received.
        received: u8,
    },
    /// A candidate that the stream's end or a silence cut short.
    Truncated {
        /// How many bytes the candidate needed, by its LEN.
        need: u16,
        /// How many there were from its head to the end or the silence.
        have: u16,
    },
}

impl NoiseReason {
    /// The reason in one word: `garbage`, `bad_length`, `bad_crc`, `truncated`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            NoiseReason::Garbage => "garbage",
            NoiseReason::BadLength { .. } => "bad_length",
            NoiseReason::BadCrc { .. } => "bad_crc",
            NoiseReason::Truncated { .. } => "truncated",
        }
    }
}

impl core::fmt::Display for NoiseReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NoiseReason::Garbage => f.write_str("garbage: no frame head"),
            NoiseReason::BadLength { len } => write!(f, "bad length: LEN {len}, the least is 3"),
            NoiseReason::BadCrc { expected, received } => {
                write!(f, "bad CRC: expected {expected:02x}, received {received:02x}")
            }
            NoiseReason::Truncated { need, have } => {
                write!(f, "truncated: {have} of {need} bytes")
            }
        }
    }
}

impl<'a> Span<'a> {
    /// Where the span begins, in bytes from the start of the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Span::Frame { offset, .. } | Span::Noise(Noise { offset, .. }) => *offset,
        }
    }

    /// The span's bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Span::Frame { frame, .. } => frame.raw(),
            Span::Noise(noise) => noise.bytes,
        }
    }
}

/// What the bytes at the front of a buffer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A frame of so many bytes.
    Frame(usize),
    /// Noise of so many bytes.
    Noise(usize, NoiseReason),
    /// Undecided until there are so many bytes, or a silence comes.
    Need(usize),
}

/// Where noise that starts at `bytes[0]` and reaches at most to `end` ends: before the next F7.
fn noise_end(bytes: &[u8], end: usize) -> usize {
    let end = end.min(bytes.len());
    bytes[1..end].iter().position(|byte| *byte == HEAD).map_or(end, |at| at + 1)
}

/// Judges the front of `bytes`, which must not be empty. `closed` says that no byte will follow.
#[inline]
fn judge(bytes: &[u8], closed: bool) -> Verdict {
    if bytes[0] != HEAD {
        let end = noise_end(bytes, MAX_FRAME);
        // Garbage is undecided while it could still grow.
        return if end < bytes.len() || end == MAX_FRAME || closed {
            Verdict::Noise(end, NoiseReason::Garbage)
        } else {
            Verdict::Need(end + 1)
        };
    }
    match Frame::parse(bytes) {
        Ok((frame, _)) => Verdict::Frame(frame.raw().len()),
        Err(FrameError::BadLength { len }) => {
            Verdict::Noise(noise_end(bytes, 3), NoiseReason::BadLength { len })
        }
        Err(FrameError::BadCrc { expected, received }) => {
            let claimed = usize::from(bytes[2]) + 3;
            let reason = NoiseReason::BadCrc { expected, received };
            Verdict::Noise(noise_end(bytes, claimed), reason)
        }
        Err(FrameError::Truncated { need, have }) if closed => {
            // Both are at most MAX_FRAME here.
            let reason = NoiseReason::Truncated { need: need as u16, have: have as u16 };
            Verdict::Noise(noise_end(bytes, have), reason)
        }
        Err(FrameError::Truncated { need, .. }) => Verdict::Need(need),
        // `parse` gives none of these for bytes that begin with F7.
        Err(
            FrameError::NoHead { .. }
            | FrameError::Trailing { .. }
            | FrameError::DataTooLong { .. },
        ) => Verdict::Noise(1, NoiseReason::Garbage),
    }
}

/// Turns a byte stream into [`Span`]s.
///
/// ```
/// use k485_proto::deframer::{Deframer, Span};
///
/// let mut deframer = Deframer::new();
/// let mut frames = 0;
/// for chunk in [&[0x00, 0xf7, 0x01][..], &[0x03, 0xff, 0x0a, 0x5c]] {
///     let mut rest = chunk;
///     while let Some(span) = deframer.pull(&mut rest) {
///         match span {
///             Span::Frame { offset, frame } => {
///                 assert_eq!((offset, frame.func()), (1, 0x0a));
///                 frames += 1;
///             }
///             Span::Noise(noise) => assert_eq!(noise.bytes, [0x00]),
///         }
///     }
/// }
/// assert_eq!(frames, 1);
/// assert!(deframer.idle().is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Deframer {
    buf: [u8; MAX_FRAME],
    /// The undecided bytes are `buf[start..end]`.
    start: usize,
    end: usize,
    /// Where `buf[start]` is in the stream.
    offset: u64,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// A deframer at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Deframer { buf: [0; MAX_FRAME], start: 0, end: 0, offset: 0 }
    }

    /// How many bytes wait for a verdict: at most [`MAX_FRAME`].
    #[must_use]
    pub fn pending(&self) -> usize {
        self.end - self.start
    }

    /// The bytes that wait for a verdict.
    #[must_use]
    pub fn pending_bytes(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Where the first byte that waits for a verdict (or the next byte to come) is in the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes bytes from the front of `input` and gives the next span; `None` once `input` is used
    /// up and what is left needs more bytes.
    ///
    /// Call it until it gives `None`, then with the next chunk.
    #[inline]
    pub fn pull<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Span<'s>> {
        // Nothing undecided: judge the input where it lies, without a copy.
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if input.is_empty() {
                return None;
            }
            match judge(input, false) {
                Verdict::Need(_) => {
                    // Less than a frame, so it fits.
                    self.buf[..input.len()].copy_from_slice(input);
                    self.end = input.len();
                    *input = &[];
                    return None;
                }
                verdict => {
                    let (bytes, rest) = input.split_at(verdict.size());
                    *input = rest;
                    let offset = self.offset;
                    self.offset += bytes.len() as u64;
                    return Some(verdict.span(offset, bytes));
                }
            }
        }
        loop {
            match judge(&self.buf[self.start..self.end], false) {
                Verdict::Need(need) => {
                    if input.is_empty() {
                        return None;
                    }
                    // Only what the candidate asks for, so that the verdict on it, and so every
                    // span, is the same in any chunking.
                    let lack = need - (self.end - self.start);
                    let (bytes, rest) = input.split_at(lack.min(input.len()));
                    *input = rest;
                    self.append(bytes);
                }
                verdict => return Some(self.take(verdict)),
            }
        }
    }

    /// Tells of a silence, or of the stream's end: the bytes that wait for more will get none.
    /// Gives the next span of them; call it until it gives `None`.
    pub fn idle(&mut self) -> Option<Span<'_>> {
        if self.start == self.end {
            return None;
        }
        let verdict = judge(&self.buf[self.start..self.end], true);
        Some(self.take(verdict))
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.end + bytes.len() > self.buf.len() {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.buf[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    fn take(&mut self, verdict: Verdict) -> Span<'_> {
        let (start, offset) = (self.start, self.offset);
        self.start += verdict.size();
        self.offset += verdict.size() as u64;
        verdict.span(offset, &self.buf[start..self.start])
    }
}

impl Verdict {
    #[inline]
    fn size(self) -> usize {
        match self {
            Verdict::Frame(size) | Verdict::Noise(size, _) => size,
            Verdict::Need(_) => 0,
        }
    }

    #[inline]
    fn span(self, offset: u64, bytes: &[u8]) -> Span<'_> {
        match self {
            Verdict::Frame(_) => Span::Frame { offset, frame: Frame::checked_before(bytes) },
            Verdict::Noise(_, reason) => Span::Noise(Noise { offset, bytes, reason }),
            // Nobody asks for the span of an open verdict; its bytes are none.
            Verdict::Need(_) => Span::Noise(Noise { offset, bytes, reason: NoiseReason::Garbage }),
        }
    }
}

/// The spans of a whole stream held in memory.
pub fn spans(bytes: &[u8]) -> impl Iterator<Item = Span<'_>> {
    let mut rest = bytes;
    let mut offset = 0;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let verdict = judge(rest, true);
        let (bytes, after) = rest.split_at(verdict.size());
        rest = after;
        let span = verdict.span(offset, bytes);
        offset += bytes.len() as u64;
        Some(span)
    })
}
