//! The frames of SPDY/3.1 that a port-forward consists of, as bytes.
//!
//! A port-forward is two streams of one session: what the kubelet has to complain about, and the bytes themselves.
//! Only what a client of that needs is here; it knows no sockets.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The two streams of a connection. A client's streams have odd numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// On which the kubelet complains.
    pub complaints: u32,
    /// Of the bytes.
    pub bytes: u32,
}

impl Streams {
    /// Those of the first connection in a session.
    pub const FIRST: Self = Self { complaints: 1, bytes: 3 };

    /// Those of the next connection; `None` when a session has no more.
    pub fn next(self) -> Option<Self> {
        let bytes = self.bytes.checked_add(4).filter(|bytes| *bytes < 1 << 31)?;
        Some(Self { complaints: bytes - 2, bytes })
    }
}

/// What stands before the bytes of a frame.
pub const HEADER: usize = 8;

/// A control frame longer than this is none of a port-forward, in bytes.
const LONGEST_CONTROL: usize = 1 << 16;

const FINISH: u8 = 1;
const CONTROL: u16 = 0x8000;
const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;

/// What the other side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It takes the stream.
    Accepted(u32),
    /// Bytes of a stream.
    Bytes(u32, Bytes),
    /// Nothing follows on the stream.
    Finished(u32),
    /// The stream is over, for a reason that is a number.
    Reset(u32, u32),
    /// It wants this sent back, to see that we are there.
    Ping(u32),
    /// It takes no more streams.
    Away,
}

/// The other side does not speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Opens both streams, to `port` of the pod.
pub fn connect(streams: Streams, port: u16) -> Bytes {
    let mut frames = BytesMut::new();
    for (stream, kind, flags) in [(streams.complaints, "error", FINISH), (streams.bytes, "data", 0)] {
        let id = streams.bytes.to_string();
        let headers = headers(&[("port", &port.to_string()), ("requestid", &id), ("streamtype", kind)]);
        // The headers of all streams are one zlib stream: it begins with the first frame of the session.
        let mut body = BytesMut::from(if stream == Streams::FIRST.complaints { &b"\x78\x01"[..] } else { b"" });
        // Uncompressed, then an empty block that makes the reader hand on what it has.
        let length = u16::try_from(headers.len()).unwrap_or(u16::MAX);
        body.put_u8(0);
        body.put_u16_le(length);
        body.put_u16_le(!length);
        body.put_slice(&headers);
        body.put_slice(&[0, 0, 0, 0xff, 0xff]);

        frames.put_u16(CONTROL | VERSION);
        frames.put_u16(SYN_STREAM);
        frames.put_slice(&flags_and_length(flags, 10 + body.len()));
        frames.put_u32(stream);
        // Belongs to no other stream; any priority, any slot.
        frames.put_slice(&[0; 6]);
        frames.put_slice(&body);
    }
    frames.freeze()
}

/// What stands before `length` bytes that are sent on `stream`.
pub fn header(stream: u32, length: usize) -> [u8; HEADER] {
    frame_of_bytes(stream, 0, length)
}

/// Nothing follows on `stream`.
pub fn finish(stream: u32) -> Bytes {
    Bytes::copy_from_slice(&frame_of_bytes(stream, FINISH, 0))
}

/// The answer to a ping.
pub fn pong(id: u32) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u16(CONTROL | VERSION);
    frame.put_u16(PING);
    frame.put_slice(&flags_and_length(0, 4));
    frame.put_u32(id);
    frame.freeze()
}

fn headers(pairs: &[(&str, &str)]) -> BytesMut {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut headers = BytesMut::new();
    headers.put_u32(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        headers.put_u32(length(text));
        headers.put_slice(text.as_bytes());
    }
    headers
}

fn frame_of_bytes(stream: u32, flags: u8, length: usize) -> [u8; HEADER] {
    let mut frame = [0; HEADER];
    frame[..4].copy_from_slice(&stream.to_be_bytes());
    frame[4..].copy_from_slice(&flags_and_length(flags, length));
    frame
}

fn flags_and_length(flags: u8, length: usize) -> [u8; 4] {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    (u32::from(flags) << 24 | length).to_be_bytes()
}

/// Takes apart what comes in, in whatever pieces. Bytes of streams are handed on as they come, so it never holds more
/// than one control frame.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// The frame of bytes that has begun: stream, bytes that are still to come, whether it is the last.
    within: Option<(u32, usize, bool)>,
}

impl Decoder {
    /// Takes bytes, all of which are to be read by [`Self::next`] before more come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What is said next; `None` when that has not come yet.
    ///
    /// # Errors
    /// When it is not the protocol.
    pub fn next(&mut self) -> Result<Option<Said>, Malformed> {
        loop {
            if let Some((stream, missing, last)) = self.within {
                if missing == 0 {
                    self.within = None;
                    if last {
                        return Ok(Some(Said::Finished(stream)));
                    }
                    continue;
                }
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let bytes = self.buffer.split_to(missing.min(self.buffer.len())).freeze();
                self.within = Some((stream, missing - bytes.len(), last));
                return Ok(Some(Said::Bytes(stream, bytes)));
            }
            let Some(mut header) = self.buffer.get(..HEADER) else { return Ok(None) };
            let (first, second) = (header.get_u32(), header.get_u32());
            let (flags, length) = (second >> 24, usize::try_from(second & 0x00ff_ffff).unwrap_or(usize::MAX));
            let last = flags & u32::from(FINISH) != 0;
            if first >> 31 == 0 {
                self.buffer.advance(HEADER);
                self.within = Some((first, length, last));
                continue;
            }
            if length > LONGEST_CONTROL {
                return Err(Malformed("a control frame that is too long"));
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            let body = self.buffer.split_to(HEADER + length).split_off(HEADER);
            if let Some(said) = control(first, last, body)? {
                return Ok(Some(said));
            }
        }
    }
}

fn control(first: u32, last: bool, mut body: BytesMut) -> Result<Option<Said>, Malformed> {
    let mut number = || body.try_get_u32().map_err(|_| Malformed("a control frame that is too short"));
    let [high, low] = [first >> 16, first & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
    if high & !CONTROL != VERSION {
        return Err(Malformed("another version"));
    }
    Ok(match low {
        // That it has no bytes to send is known with the acceptance.
        SYN_REPLY if last => Some(Said::Finished(number()?)),
        SYN_REPLY => Some(Said::Accepted(number()?)),
        RST_STREAM => Some(Said::Reset(number()?, number()?)),
        // Those of the client's are odd, and it sends none.
        PING => Some(number()?).filter(|id| id % 2 == 0).map(Said::Ping),
        GO_AWAY => Some(Said::Away),
        // Settings, windows that nobody keeps to, headers that say nothing new.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bytes::Bytes;
    use flate2::read::ZlibDecoder;

    use super::{Decoder, HEADER, Malformed, Said, Streams, connect, finish, header, pong};

    const BYTES: u32 = Streams::FIRST.bytes;
    const COMPLAINTS: u32 = Streams::FIRST.complaints;

    #[test]
    fn both_streams_are_opened_with_headers_that_any_zlib_can_read() {
        let second = Streams::FIRST.next().unwrap();
        let frames = [connect(Streams::FIRST, 8000), connect(second, 8000)].concat();
        let (mut rest, mut packed, mut opened) = (&frames[..], Vec::new(), Vec::new());
        while !rest.is_empty() {
            let word = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(word(0), 0x8003_0001);
            opened.push((word(8), word(4) >> 24));
            let end = HEADER + (word(4) & 0x00ff_ffff) as usize;
            packed.extend_from_slice(&rest[HEADER + 10..end]);
            rest = &rest[end..];
        }
        assert_eq!(opened, [(1, 1), (3, 0), (5, 1), (7, 0)]);
        let expected = [("3", "error"), ("3", "data"), ("7", "error"), ("7", "data")];
        let expected = expected.map(|(id, kind)| headers_of(id, kind)).concat();
        let mut headers = vec![0; expected.len()];
        ZlibDecoder::new(&packed[..]).read_exact(&mut headers).unwrap();
        assert_eq!(headers, expected);
    }

    fn headers_of(id: &str, kind: &str) -> Vec<u8> {
        let mut headers = 3_u32.to_be_bytes().to_vec();
        for text in ["port", "8000", "requestid", id, "streamtype", kind] {
            headers.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            headers.extend_from_slice(text.as_bytes());
        }
        headers
    }

    #[test]
    fn what_is_said_is_understood_in_whatever_pieces_it_comes() {
        let mut wire = Vec::new();
        wire.extend_from_slice(b"\x80\x03\x00\x02\x00\x00\x00\x04\x00\x00\x00\x03"); // accepted
        wire.extend_from_slice(b"\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00"); // settings
        wire.extend_from_slice(&header(BYTES, 5));
        wire.extend_from_slice(b"hello");
        wire.extend_from_slice(&pong(2));
        wire.extend_from_slice(&pong(7)); // would be an answer to a ping of ours
        wire.extend_from_slice(&finish(BYTES));
        wire.extend_from_slice(b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05");
        wire.extend_from_slice(b"\x80\x03\x00\x07\x00\x00\x00\x00");
        let expected = [
            Said::Accepted(BYTES),
            Said::Bytes(BYTES, Bytes::from_static(b"hello")),
            Said::Ping(2),
            Said::Finished(BYTES),
            Said::Reset(COMPLAINTS, 5),
            Said::Away,
        ];
        for size in 1..=wire.len() {
            let mut decoder = Decoder::default();
            let mut said: Vec<Said> = Vec::new();
            for piece in wire.chunks(size) {
                decoder.feed(piece);
                while let Some(next) = decoder.next().unwrap() {
                    match (said.last_mut(), next) {
                        (Some(Said::Bytes(_, before)), Said::Bytes(_, more)) => {
                            *before = [&before[..], &more[..]].concat().into();
                        }
                        (_, next) => said.push(next),
                    }
                }
            }
            assert_eq!(said, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused_before_it_fills_the_memory() {
        for (wire, expected) in [
            (&b"\x80\x03\x00\x04\x00\xff\xff\xff"[..], "a control frame that is too long"),
            (b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x02", "another version"),
            (b"\x80\x03\x00\x06\x00\x00\x00\x02\x00\x00", "a control frame that is too short"),
        ] {
            let mut decoder = Decoder::default();
            decoder.feed(wire);
            assert_eq!(decoder.next(), Err(Malformed(expected)));
        }
    }
}
