//! A `tokio_util` codec: spans out of an asynchronous byte stream, and frames into one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use futures_util::StreamExt;
//! use k485_proto::codec::FrameCodec;
//! use tokio_util::codec::FramedRead;
//!
//! let bytes: &[u8] = &[0x00, 0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
//! let mut spans = FramedRead::new(bytes, FrameCodec::new());
//! let noise = spans.next().await.unwrap()?;
//! assert!(noise.frame().is_none());
//! let poll = spans.next().await.unwrap()?;
//! assert_eq!(poll.frame().unwrap().func(), 0x0a);
//! # Ok(())
//! # }
//! ```

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::deframer::{Deframer, Noise, NoiseReason, Span};
use crate::frame::Frame;

/// A [`Span`] that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedSpan {
    offset: u64,
    bytes: Bytes,
    reason: Option<NoiseReason>,
}

impl OwnedSpan {
    /// Where the span begins, in bytes from the start of the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The span's bytes, never empty.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The frame; `None` for noise.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        match self.reason {
            None => Some(Frame::checked_before(&self.bytes)),
            Some(_) => None,
        }
    }

    /// Why the bytes are noise; `None` for a frame.
    #[must_use]
    pub fn noise(&self) -> Option<NoiseReason> {
        self.reason
    }

    /// The same span, borrowed.
    #[must_use]
    pub fn as_span(&self) -> Span<'_> {
        let offset = self.offset;
        match self.reason {
            None => Span::Frame { offset, frame: Frame::checked_before(&self.bytes) },
            Some(reason) => Span::Noise(Noise { offset, bytes: &self.bytes, reason }),
        }
    }
}

impl From<Span<'_>> for OwnedSpan {
    fn from(span: Span<'_>) -> Self {
        let reason = match span {
            Span::Frame { .. } => None,
            Span::Noise(noise) => Some(noise.reason),
        };
        OwnedSpan { offset: span.offset(), bytes: Bytes::copy_from_slice(span.bytes()), reason }
    }
}

/// Decodes a stream into spans that lose no byte, and encodes frames.
///
/// The stream's end is a silence: what waits for more bytes comes out as noise (or as the frames
/// that hide in it). A silence in the middle of a stream is for the caller to tell, with
/// [`FrameCodec::idle`]. Errors come from the stream alone; decoding has none.
#[derive(Debug, Clone, Default)]
pub struct FrameCodec {
    deframer: Deframer,
}

impl FrameCodec {
    /// A codec at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells of a silence on the line and gives the next span of the bytes that waited; call it
    /// until it gives `None`. Through `FramedRead::decoder_mut`.
    pub fn idle(&mut self) -> Option<OwnedSpan> {
        self.deframer.idle().map(OwnedSpan::from)
    }

    /// How many bytes wait for a verdict.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.deframer.pending()
    }
}

impl Decoder for FrameCodec {
    type Item = OwnedSpan;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<OwnedSpan>, io::Error> {
        let mut rest = &src[..];
        let span = self.deframer.pull(&mut rest).map(OwnedSpan::from);
        let taken = src.len() - rest.len();
        src.advance(taken);
        Ok(span)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<OwnedSpan>, io::Error> {
        Ok(self.decode(src)?.or_else(|| self.idle()))
    }
}

impl Encoder<Frame<'_>> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<'_>, dst: &mut BytesMut) -> Result<(), io::Error> {
        dst.extend_from_slice(frame.raw());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    use futures_util::{SinkExt, StreamExt};
    use tokio::io::AsyncWriteExt;
    use tokio_util::codec::{Framed, FramedRead};

    /// The state poll to box 1 and its reply.
    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
    const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

    #[tokio::test]
    async fn spans_in_any_chunks_then_the_end() {
        let stream = [&[0x55, 0xaa][..], &POLL, &REPLY, &[0xf7, 0x01, 0x07, 0x00]].concat();
        for size in 1..=stream.len() {
            let (mut writer, reader) = tokio::io::duplex(size);
            let bytes = stream.clone();
            let feeding = tokio::spawn(async move {
                for chunk in bytes.chunks(size) {
                    writer.write_all(chunk).await.unwrap();
                }
            });
            let spans: Vec<OwnedSpan> =
                FramedRead::new(reader, FrameCodec::new()).map(Result::unwrap).collect().await;
            feeding.await.unwrap();
            let seen: Vec<_> =
                spans.iter().map(|s| (s.offset(), s.bytes().len(), s.noise())).collect();
            assert_eq!(
                seen,
                [
                    (0, 2, Some(NoiseReason::Garbage)),
                    (2, 6, None),
                    (8, 10, None),
                    (18, 4, Some(NoiseReason::Truncated { need: 10, have: 4 })),
                ],
                "chunks of {size}"
            );
            assert_eq!(spans[1].frame().unwrap().raw(), POLL);
            assert_eq!(spans[2].frame().unwrap().raw(), REPLY);
            assert!(spans.iter().map(OwnedSpan::as_span).eq(crate::deframer::spans(&stream)));
        }
    }

    #[tokio::test]
    async fn frames_go_both_ways() {
        let (host, device) = tokio::io::duplex(64);
        let mut host = Framed::new(host, FrameCodec::new());
        let mut device = Framed::new(device, FrameCodec::new());
        host.send(Frame::from_bytes(&POLL).unwrap()).await.unwrap();
        let heard = device.next().await.unwrap().unwrap();
        assert_eq!(heard.frame().unwrap().raw(), POLL);
        device.send(Frame::from_bytes(&REPLY).unwrap()).await.unwrap();
        let answer = host.next().await.unwrap().unwrap();
        assert_eq!((answer.offset(), answer.frame().unwrap().raw()), (0, &REPLY[..]));
        drop(device);
        assert!(host.next().await.is_none());
    }

    #[test]
    fn silence_frees_what_a_damaged_len_holds_back() {
        let mut codec = FrameCodec::new();
        let mut src = BytesMut::from(&[&[0xf7, 0x01, 0xff][..], &POLL].concat()[..]);
        assert_eq!(codec.decode(&mut src).unwrap(), None);
        assert!(src.is_empty(), "nothing piles up in front of the codec");
        assert_eq!(codec.pending(), 9);
        let noise = codec.idle().unwrap();
        assert_eq!(noise.noise(), Some(NoiseReason::Truncated { need: 258, have: 9 }));
        assert_eq!(codec.idle().unwrap().frame().unwrap().raw(), POLL);
        assert_eq!(codec.idle(), None);
    }
}
