//! The frame: opcodes, codes and limits, the headers that servers write and clients send.
//!
//! A server never masks and never fragments here, so its frame is a header of two, four or ten
//! bytes followed by the payload as it is. The length of the header depends on the payload, which is
//! unknown until a batch has been gathered: the gatherer therefore keeps [`HEADER_MAX`] bytes free
//! at the front and [`seal_frame`] writes the header right before the payload, so that nothing has
//! to be moved.

use std::fmt;

/// The longest header of a server frame: two bytes and a 64-bit length.
pub const HEADER_MAX: usize = 10;

/// The longest header of a client frame: two bytes, a 64-bit length and the masking key.
pub(super) const HEAD_MAX: usize = 14;

/// The longest payload of a control frame (ping, pong, close).
pub const CONTROL_MAX: usize = 125;

/// The longest reason of a close frame: a control payload less the two bytes of the code.
pub const REASON_MAX: usize = CONTROL_MAX - 2;

const FIN: u8 = 0x80;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A ping.
    Ping = 0x9,
    /// A pong.
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of the lower four bits of a frame's first byte; reserved ones give `None`.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of this kind control the connection rather than carry a message.
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Writes the header of an unfragmented frame to the *end* of `room`, and returns the index of its
/// first byte: with the payload directly behind the room, the frame is everything from there on.
pub fn write_header(room: &mut [u8; HEADER_MAX], opcode: OpCode, payload: usize) -> usize {
    let first = FIN | opcode as u8;
    if let Ok(short @ 0..=125) = u8::try_from(payload) {
        let [.., a, b] = room;
        (*a, *b) = (first, short);
        HEADER_MAX - 2
    } else if let Ok(length) = u16::try_from(payload) {
        let [.., a, b, c, d] = room;
        let [high, low] = length.to_be_bytes();
        (*a, *b, *c, *d) = (first, 126, high, low);
        HEADER_MAX - 4
    } else {
        // A usize has at most 64 bits wherever this compiles.
        let length = (payload as u64).to_be_bytes();
        let [a, b, rest @ ..] = room;
        (*a, *b) = (first, 127);
        *rest = length;
        0
    }
}

/// Makes a frame of a batch whose first [`HEADER_MAX`] bytes were kept free and whose remaining
/// bytes are the payload. What is to be sent starts at the index returned.
///
/// Frames behind it in the same write (a pong, a close) may be appended with [`encode_frame`]
/// after this, not before, since everything behind the room counts as payload.
pub fn seal_frame(batch: &mut [u8], opcode: OpCode) -> usize {
    let length = batch.len();
    match batch.split_first_chunk_mut::<HEADER_MAX>() {
        Some((room, payload)) => write_header(room, opcode, payload.len()),
        None => {
            debug_assert!(false, "a batch without room for its header");
            length
        }
    }
}

/// Appends a whole frame. The payload of a control frame must not exceed [`CONTROL_MAX`].
pub fn encode_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_MAX);
    append_header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

fn append_header(opcode: OpCode, payload: usize, out: &mut Vec<u8>) {
    let mut room = [0; HEADER_MAX];
    let start = write_header(&mut room, opcode, payload);
    out.reserve(HEADER_MAX + payload);
    out.extend(room.iter().skip(start));
}

/// Appends a close frame; a reason above [`REASON_MAX`] bytes is cut at a character's boundary.
///
/// The answer to a close without a code is `encode_frame(OpCode::Close, &[], out)`.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    debug_assert!(is_close_code(code), "{code} must not be sent");
    let (reason, _) = reason.split_at(reason.floor_char_boundary(REASON_MAX));
    append_header(OpCode::Close, 2 + reason.len(), out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Whether a code may stand in a close frame: those that RFC 6455 and IANA define for the wire
/// (1004 to 1006 and 1015 are for use inside an endpoint only), libraries' and applications' own.
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Why a connection has to be closed: the client broke the protocol, or a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A reserved bit is set, although no extension was negotiated.
    ReservedBits,
    /// The opcode is a reserved one.
    UnknownOpCode,
    /// The frame is not masked.
    NotMasked,
    /// A control frame has more than 125 bytes of payload.
    ControlTooLong,
    /// A control frame is a fragment.
    ControlFragmented,
    /// A length is not written in its shortest form, or has its highest bit set.
    BadLength,
    /// A continuation without a message to continue.
    NothingToContinue,
    /// A new message before the last fragment of the one before.
    MessageUnfinished,
    /// A close frame with a payload of one byte, or a code that must not be sent.
    BadClose,
    /// A text message or the reason of a close is not UTF-8.
    BadUtf8,
    /// The message exceeds the decoder's limit.
    TooBig,
    /// The message comes in too many fragments.
    TooManyFragments,
}

impl ProtocolError {
    /// The code to close with.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::BadUtf8 => 1007,
            Self::TooManyFragments => 1008,
            Self::TooBig => 1009,
            _ => 1002,
        }
    }

    /// The reason to close with.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits set",
            Self::UnknownOpCode => "unknown opcode",
            Self::NotMasked => "frame not masked",
            Self::ControlTooLong => "control frame too long",
            Self::ControlFragmented => "control frame fragmented",
            Self::BadLength => "malformed length",
            Self::NothingToContinue => "continuation of nothing",
            Self::MessageUnfinished => "message unfinished",
            Self::BadClose => "malformed close",
            Self::BadUtf8 => "not UTF-8",
            Self::TooBig => "message too big",
            Self::TooManyFragments => "too many fragments",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for ProtocolError {}

/// The header of a client frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: OpCode,
    pub(super) key: [u8; 4],
    pub(super) length: usize,
}

impl Head {
    /// The header at the front of `bytes` and its size, `None` when it is cut. What is wrong is
    /// refused as soon as the byte that is wrong is there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let fin = first & 0x80 != 0;
        let opcode = OpCode::from_bits(first & 0x0F).ok_or(ProtocolError::UnknownOpCode)?;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(ProtocolError::NotMasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        let (length, shortest, rest) = match short {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*length)), 126, rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*length), 0x1_0000, rest)
            }
            _ => (u64::from(short), 0, rest),
        };
        if length < shortest || length > i64::MAX as u64 {
            return Err(ProtocolError::BadLength);
        }
        let length = usize::try_from(length).map_err(|_| ProtocolError::TooBig)?;
        let Some((&key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some((Self { fin, opcode, key, length }, bytes.len() - rest.len())))
    }

    /// Whether the frame by itself is a message or a control frame, rather than a fragment.
    pub(super) const fn is_message(&self) -> bool {
        self.fin && !matches!(self.opcode, OpCode::Continuation)
    }
}

/// Applies the masking key to a piece of a payload that begins at `offset`; eight bytes at a time,
/// which the compiler widens further.
pub(super) fn unmask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let key = [a, b, c, d, a, b, c, d];
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_survive_their_bits() {
        for bits in 0..=u8::MAX {
            let known = matches!(bits, 0..=2 | 8..=10);
            assert_eq!(OpCode::from_bits(bits).map(|op| op as u8), known.then_some(bits));
        }
        assert!(OpCode::Ping.is_control() && OpCode::Close.is_control());
        assert!(!OpCode::Text.is_control() && !OpCode::Continuation.is_control());
    }

    #[test]
    fn header_takes_the_shortest_form_and_ends_at_the_payload() {
        let table: [(usize, &[u8]); 7] = [
            (0, &[0x81, 0]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (256, &[0x81, 126, 1, 0]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (0x0102_0304, &[0x81, 127, 0, 0, 0, 0, 1, 2, 3, 4]),
        ];
        for (length, expected) in table {
            let mut room = [0xEE; HEADER_MAX];
            let start = write_header(&mut room, OpCode::Text, length);
            assert_eq!(&room[start..], expected, "length {length}");
            assert!(room[..start].iter().all(|byte| *byte == 0xEE));
        }
    }

    #[test]
    fn sealed_batch_is_the_encoded_frame() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut batch = vec![0; HEADER_MAX];
            batch.extend_from_slice(&payload);
            let start = seal_frame(&mut batch, OpCode::Binary);
            let mut whole = Vec::new();
            encode_frame(OpCode::Binary, &payload, &mut whole);
            assert_eq!(&batch[start..], &whole[..]);
        }
    }

    #[test]
    fn examples_of_the_rfc() {
        let mut out = Vec::new();
        encode_frame(OpCode::Text, b"Hello", &mut out);
        encode_frame(OpCode::Ping, b"Hello", &mut out);
        assert_eq!(out, b"\x81\x05Hello\x89\x05Hello");
    }

    #[test]
    fn close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        encode_close(3001, "shutdown", &mut out);
        assert_eq!(out, b"\x88\x0a\x0b\xb9shutdown");
        for (reason, kept) in [("ü".repeat(80), 122), ("x".repeat(200), 123), ("€".repeat(41), 123)] {
            out.clear();
            encode_close(1000, &reason, &mut out);
            assert_eq!(out.len(), 4 + kept);
            assert_eq!(usize::from(out[1]), 2 + kept);
            assert!(reason.starts_with(str::from_utf8(&out[4..]).unwrap()));
        }
    }

    #[test]
    fn close_codes() {
        let sent = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        for code in 0..3000 {
            assert_eq!(is_close_code(code), sent.contains(&code), "{code}");
        }
        assert!((3000..5000).all(is_close_code) && !(5000..=u16::MAX).any(is_close_code));
    }

    #[test]
    fn unmasking_in_pieces_is_unmasking() {
        const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            let plain = (0..length).collect::<Vec<u8>>();
            let masked = |from: usize| plain.iter().zip(KEY.iter().cycle()).skip(from).map(|(a, b)| a ^ b);
            for from in 0..plain.len() {
                let mut piece = masked(from).collect::<Vec<_>>();
                unmask(&mut piece, KEY, from);
                assert_eq!(piece, plain[from..]);
            }
        }
    }

    #[test]
    fn reasons_fit_a_close_frame() {
        use ProtocolError::*;
        for error in [
            ReservedBits,
            UnknownOpCode,
            NotMasked,
            ControlTooLong,
            ControlFragmented,
            BadLength,
            NothingToContinue,
            MessageUnfinished,
            BadClose,
            BadUtf8,
            TooBig,
            TooManyFragments,
        ] {
            assert!((1..=123).contains(&error.reason().len()) && is_close_code(error.close_code()));
            // No JSON value begins with these words: not true, false, null, a number, a quote.
            assert!(error.reason().contains(' ') && error.reason().starts_with(char::is_alphabetic));
        }
    }
}
