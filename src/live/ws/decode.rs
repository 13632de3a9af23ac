//! Decoding of client frames.
//!
//! A frame that lies whole in the input, which is nearly every frame, is unmasked where it is and
//! handed out without a copy. Only a frame that is cut by the end of the input, or a fragmented
//! message, is collected in memory, and that memory is freed when the message has been handed
//! out: an idle connection costs the [`Decoder`] itself and nothing on the heap.

use std::mem;

use super::frame::{HEAD_MAX, Head, OpCode, ProtocolError, is_close_code, unmask};

/// How many frames a message may be spread over. Honest clients do not fragment at all; without a
/// limit, empty fragments would keep a message open, and us busy, for ever.
const MAX_FRAGMENTS: u32 = 4096;

/// Something a client has sent. It borrows from the input or from the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// A text message.
    Text(&'m str),
    /// A binary message.
    Binary(&'m [u8]),
    /// A ping: a pong with the same payload is due.
    Ping(&'m [u8]),
    /// A pong.
    Pong(&'m [u8]),
    /// The closing handshake, with code and reason if the client gave them. Nothing follows.
    Close(Option<(u16, &'m str)>),
}

/// An incremental decoder of what one client sends.
///
/// ```text
/// let mut rest = &mut buffer[..read];
/// while let Some(message) = decoder.next(&mut rest)? {
///     // `rest` is what has not been looked at yet. To stop here, copy it and go on with the copy.
/// }
/// // All input has been taken in; the decoder keeps what it needs of an unfinished message.
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    /// What must be remembered between two inputs; `None` when there is nothing.
    partial: Option<Box<Partial>>,
    finished: bool,
}

impl Decoder {
    /// A decoder that refuses messages above `max_message` bytes, all fragments taken together.
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, partial: None, finished: false }
    }

    /// Takes the next message off the front of `input`, which afterwards is the unread rest.
    ///
    /// `None` means that the input is used up, and only then, so call again until it comes: that
    /// call also frees what was collected for the last message. After an error or a close nothing
    /// more is read: further input is dropped and gives `None`.
    pub fn next<'m, 'i: 'm>(&'m mut self, input: &mut &'i mut [u8]) -> Result<Option<Message<'m>>, ProtocolError> {
        let step = self.advance(input);
        if matches!(step, Err(_) | Ok(Step::Whole(Message::Close(_)))) {
            self.finish(input);
        }
        let (opcode, payload) = match step? {
            Step::More => return Ok(None),
            Step::Whole(message) => return Ok(Some(message)),
            Step::Collected(opcode) => match (&self.partial, opcode.is_control()) {
                (Some(partial), true) => (opcode, partial.control.as_slice()),
                (Some(partial), false) => (opcode, partial.message.as_slice()),
                (None, _) => return Ok(None),
            },
        };
        let message = read_message(opcode, payload);
        if matches!(message, Err(_) | Ok(Message::Close(_))) {
            // What was collected is still lent out: the next call, or the drop, frees it.
            self.finished = true;
            *input = &mut [];
        }
        message.map(Some)
    }

    /// Whether a close or an error has ended the stream.
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// How many bytes are held on the heap: 0 unless a message is incomplete.
    pub fn held(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| size_of::<Partial>() + partial.message.capacity() + partial.control.capacity())
    }

    fn finish(&mut self, input: &mut &mut [u8]) {
        self.finished = true;
        self.partial = None;
        *input = &mut [];
    }

    /// Reads until a message is complete or the input used up.
    fn advance<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Step<'i>, ProtocolError> {
        if self.finished {
            self.finish(input);
            return Ok(Step::More);
        }
        if self.partial.as_deref_mut().is_some_and(Partial::release) {
            self.partial = None;
        }
        loop {
            let mut frame = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(frame) => frame,
                None => match self.read_head(input)? {
                    Some(head) => self.admit(head)?,
                    None => return Ok(Step::More),
                },
            };
            let whole = frame.read == 0 && frame.left() <= input.len();
            let payload = frame.take(input);
            if whole && frame.head.is_message() {
                return read_message(frame.head.opcode, payload).map(Step::Whole);
            }
            let partial = self.partial.get_or_insert_default();
            // A frame of which only the header has come may still come whole: nothing begins yet.
            if frame.read > 0 || frame.left() == 0 {
                partial.collect(&frame, payload, self.max_message)?;
            }
            if frame.left() > 0 {
                partial.frame = Some(frame);
                return Ok(Step::More);
            }
            if frame.head.fin {
                let opcode = partial.complete(frame.head.opcode);
                return Ok(Step::Collected(opcode));
            }
        }
    }

    /// The next header, `None` when the input ends before it does.
    fn read_head(&mut self, input: &mut &mut [u8]) -> Result<Option<Head>, ProtocolError> {
        if self.partial.as_ref().is_none_or(|partial| partial.cut.length == 0) {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((head, size)) = Head::parse(input)? {
                skip(input, size);
                return Ok(Some(head));
            }
        }
        let cut = &mut self.partial.get_or_insert_default().cut;
        let before = usize::from(cut.length);
        cut.fill(input);
        let Some((head, size)) = Head::parse(cut.bytes())? else {
            *input = &mut [];
            return Ok(None);
        };
        *cut = CutHead::default();
        skip(input, size - before);
        Ok(Some(head))
    }

    /// Checks what a header alone cannot tell: its place in the stream, and the limits.
    fn admit(&mut self, head: Head) -> Result<Frame, ProtocolError> {
        let open = self.partial.as_deref_mut().filter(|partial| partial.kind.is_some());
        let collected = match (head.opcode, open) {
            (OpCode::Continuation, None) => return Err(ProtocolError::NothingToContinue),
            (OpCode::Continuation, Some(partial)) => {
                partial.fragments += 1;
                if partial.fragments > MAX_FRAGMENTS {
                    return Err(ProtocolError::TooManyFragments);
                }
                partial.message.len()
            }
            (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Err(ProtocolError::MessageUnfinished);
            }
            (OpCode::Text | OpCode::Binary, None) => 0,
            (OpCode::Close | OpCode::Ping | OpCode::Pong, _) => return Ok(Frame { head, read: 0 }),
        };
        // What is collected never exceeds the limit, so this cannot wrap.
        if head.length > self.max_message - collected {
            return Err(ProtocolError::TooBig);
        }
        Ok(Frame { head, read: 0 })
    }
}

/// How far [`Decoder::advance`] has come.
enum Step<'i> {
    /// The input is used up.
    More,
    /// A message that lay whole in the input.
    Whole(Message<'i>),
    /// What has been collected is complete: the message, or the control frame.
    Collected(OpCode),
}

/// A frame being read.
#[derive(Debug)]
struct Frame {
    head: Head,
    /// How much of the payload has been read.
    read: usize,
}

impl Frame {
    const fn left(&self) -> usize {
        self.head.length - self.read
    }

    /// Takes as much of the payload as the input has, and unmasks it.
    fn take<'i>(&mut self, input: &mut &'i mut [u8]) -> &'i [u8] {
        let bytes = mem::take(input);
        let (payload, rest) = bytes.split_at_mut(self.left().min(bytes.len()));
        *input = rest;
        unmask(payload, self.head.key, self.read);
        self.read += payload.len();
        payload
    }
}

/// A header that the end of the input has cut.
#[derive(Clone, Copy, Debug, Default)]
struct CutHead {
    bytes: [u8; HEAD_MAX],
    length: u8,
}

impl CutHead {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Adds as much of `input` as there is room for.
    fn fill(&mut self, input: &[u8]) {
        let room = self.bytes.iter_mut().skip(usize::from(self.length));
        for (slot, byte) in room.zip(input) {
            *slot = *byte;
            self.length += 1;
        }
    }
}

/// What has to be kept of an unfinished message.
#[derive(Debug, Default)]
struct Partial {
    cut: CutHead,
    /// The frame that the end of the input has cut.
    frame: Option<Frame>,
    /// Text or binary while a message is being collected.
    kind: Option<OpCode>,
    fragments: u32,
    message: Vec<u8>,
    /// How much of the message is known to be UTF-8.
    checked: usize,
    /// The payload of a cut control frame, which may stand between the fragments of a message.
    control: Vec<u8>,
    /// What the last call has handed out, to be freed by the next.
    lent: Option<OpCode>,
}

impl Partial {
    /// Adds a piece of a frame's payload.
    fn collect(&mut self, frame: &Frame, payload: &[u8], max: usize) -> Result<(), ProtocolError> {
        let head = &frame.head;
        if head.opcode.is_control() {
            self.control.extend_from_slice(payload);
            return Ok(());
        }
        if self.kind.is_none() {
            self.kind = Some(head.opcode);
            self.fragments = 1;
        }
        // Memory follows what has come, not what is announced; doubling keeps the copying small.
        let needed = self.message.len() + payload.len();
        if needed > self.message.capacity() {
            let most = if head.fin { needed + frame.left() } else { max };
            let target = needed.max(self.message.capacity() * 2).min(most);
            self.message.reserve_exact(target - self.message.len());
        }
        self.message.extend_from_slice(payload);
        if self.kind == Some(OpCode::Text) {
            return self.check_utf8();
        }
        Ok(())
    }

    /// Checks what is new, so that a bad message fails early. A character may still be cut at the
    /// end: whether the message ends within one is seen when it is handed out.
    fn check_utf8(&mut self) -> Result<(), ProtocolError> {
        let unchecked = self.message.get(self.checked..).unwrap_or_default();
        self.checked += match str::from_utf8(unchecked) {
            Ok(_) => unchecked.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(ProtocolError::BadUtf8),
        };
        Ok(())
    }

    /// Notes that a frame has completed what is to be handed out, and tells what that is.
    fn complete(&mut self, opcode: OpCode) -> OpCode {
        let opcode = if opcode.is_control() { opcode } else { self.kind.unwrap_or(opcode) };
        self.lent = Some(opcode);
        opcode
    }

    /// Frees what was handed out last. Whether nothing at all is left to keep.
    fn release(&mut self) -> bool {
        match self.lent.take() {
            Some(opcode) if opcode.is_control() => self.control = Vec::new(),
            // Nothing else can be pending then, so that all of this is dropped.
            Some(_) => self.kind = None,
            None => {}
        }
        self.kind.is_none() && self.frame.is_none() && self.cut.length == 0
    }
}

/// The message of a whole payload.
fn read_message(opcode: OpCode, payload: &[u8]) -> Result<Message<'_>, ProtocolError> {
    let text = |bytes| str::from_utf8(bytes).map_err(|_| ProtocolError::BadUtf8);
    Ok(match opcode {
        OpCode::Text => Message::Text(text(payload)?),
        OpCode::Binary | OpCode::Continuation => Message::Binary(payload),
        OpCode::Ping => Message::Ping(payload),
        OpCode::Pong => Message::Pong(payload),
        OpCode::Close => Message::Close(match payload.split_first_chunk() {
            Some((code, reason)) => {
                let code = u16::from_be_bytes(*code);
                if !is_close_code(code) {
                    return Err(ProtocolError::BadClose);
                }
                Some((code, text(reason)?))
            }
            None if payload.is_empty() => None,
            None => return Err(ProtocolError::BadClose),
        }),
    })
}

fn skip(input: &mut &mut [u8], count: usize) {
    let bytes = mem::take(input);
    *input = bytes.get_mut(count..).unwrap_or_default();
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const FIN: u8 = 0x80;

    /// A masked frame with a header as given in its first byte.
    pub fn client_frame(first: u8, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | short as u8),
            length @ 126..=0xFFFF => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// Everything that comes of the chunks, the error last; asserts what holds for all input.
    pub fn decode(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        for chunk in chunks {
            let mut copy = chunk.to_vec();
            let mut rest = &mut copy[..];
            loop {
                match decoder.next(&mut rest) {
                    Ok(Some(message)) => seen.push(format!("{message:?}")),
                    Ok(None) => break,
                    Err(error) => {
                        seen.push(error.reason().to_owned());
                        assert!(decoder.is_finished());
                    }
                }
            }
            assert!(rest.is_empty());
            assert!(!decoder.is_finished() || decoder.held() == 0);
        }
        seen
    }

    fn decode_frames(frames: Frames<'_>) -> Vec<String> {
        let parts = frames.iter().map(|(first, payload)| client_frame(*first, KEY, payload));
        let whole = parts.collect::<Vec<_>>().concat();
        let seen = decode(&mut Decoder::new(1000), &[&whole]);
        let bytes = whole.chunks(1).collect::<Vec<_>>();
        assert_eq!(decode(&mut Decoder::new(1000), &bytes), seen, "byte by byte");
        seen
    }

    type Frames<'f> = &'f [(u8, &'f [u8])];

    const TEXT: u8 = FIN | 1;
    const BINARY: u8 = FIN | 2;
    const CLOSE: u8 = FIN | 8;
    const PING: u8 = FIN | 9;
    const PONG: u8 = FIN | 10;

    #[test]
    fn sizes() {
        assert!(size_of::<Decoder>() <= 24);
        assert!(size_of::<Partial>() <= 192);
    }

    #[test]
    fn examples_of_the_rfc() {
        let mut masked = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        let (mut decoder, mut rest) = (Decoder::new(5), &mut masked[..]);
        assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Text("Hello"))));
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert_eq!(decode(&mut Decoder::new(5), &[b"\x81\x05Hello"]), ["frame not masked"]);
    }

    #[test]
    fn sequences() {
        let long = [b'x'; 125];
        let table: &[(Frames<'_>, &[&str])] = &[
            (&[(TEXT, b"a"), (BINARY, b"b")], &["Text(\"a\")", "Binary([98])"]),
            (&[(TEXT, b""), (BINARY, b"")], &["Text(\"\")", "Binary([])"]),
            (&[(PING, b""), (PONG, b"p")], &["Ping([])", "Pong([112])"]),
            (&[(1, b"a"), (0, b"b"), (FIN, b"c")], &["Text(\"abc\")"]),
            (&[(2, b""), (0, b""), (FIN, b"")], &["Binary([])"]),
            (&[(1, b"a"), (PING, b"p"), (FIN, b"b")], &["Ping([112])", "Text(\"ab\")"]),
            (&[(1, b"a"), (FIN, b"b"), (TEXT, b"c")], &["Text(\"ab\")", "Text(\"c\")"]),
            (&[(1, b"a"), (CLOSE, b""), (FIN, b"b")], &["Close(None)"]),
            (&[(FIN, b"a")], &["continuation of nothing"]),
            (&[(0, b"a")], &["continuation of nothing"]),
            (&[(TEXT, b"a"), (FIN, b"b")], &["Text(\"a\")", "continuation of nothing"]),
            (&[(1, b"a"), (TEXT, b"b")], &["message unfinished"]),
            (&[(1, b"a"), (2, b"b")], &["message unfinished"]),
            (&[(PING ^ FIN, b"")], &["control frame fragmented"]),
            (&[(CLOSE ^ FIN, b"")], &["control frame fragmented"]),
            (&[(PONG, &long), (PING, b"")], &[&format!("Pong({long:?})"), "Ping([])"]),
            (&[(PING, &[0; 126])], &["control frame too long"]),
            (&[(TEXT | 0x40, b"")], &["reserved bits set"]),
            (&[(TEXT | 0x20, b"")], &["reserved bits set"]),
            (&[(PING | 0x10, b"")], &["reserved bits set"]),
            (&[(FIN | 3, b"")], &["unknown opcode"]),
            (&[(FIN | 7, b"")], &["unknown opcode"]),
            (&[(FIN | 11, b"")], &["unknown opcode"]),
            (&[(FIN | 15, b"")], &["unknown opcode"]),
        ];
        for (frames, expected) in table {
            assert_eq!(decode_frames(frames), *expected, "{frames:?}");
        }
    }

    #[test]
    fn close_payloads() {
        let table: &[(&[u8], &str)] = &[
            (b"", "Close(None)"),
            (b"\x03", "malformed close"),
            (b"\x03\xe8", "Close(Some((1000, \"\")))"),
            (b"\x0b\xb9over", "Close(Some((3001, \"over\")))"),
            (b"\x03\xe8\xc3\x28", "not UTF-8"),
            (b"\x03\xe8\xc3", "not UTF-8"),
        ];
        for (payload, expected) in table {
            // What follows a close is not read, whatever it is.
            assert_eq!(decode_frames(&[(CLOSE, payload), (0xFF, b"")]), [*expected]);
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
            assert_eq!(decode_frames(&[(CLOSE, &code.to_be_bytes())]), ["malformed close"]);
        }
    }

    #[test]
    fn lengths() {
        let table: &[(&[u8], &str)] = &[
            (&[0x82, 0xFE, 0, 125], "malformed length"),
            (&[0x82, 0xFE, 0, 0], "malformed length"),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255], "malformed length"),
            (&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0], "malformed length"),
            (&[0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4], "message too big"),
            (&[0x82, 0xFE, 3, 0xE9, 1, 2, 3, 4], "message too big"),
        ];
        for (bytes, expected) in table {
            assert_eq!(decode(&mut Decoder::new(1000), &[bytes]), [*expected], "{bytes:?}");
        }
        for length in [125, 126, 127, 65_535, 65_536, 70_000] {
            let frame = client_frame(BINARY, KEY, &vec![7; length]);
            let expected = [format!("{:?}", Message::Binary(&vec![7; length]))];
            assert_eq!(decode(&mut Decoder::new(length), &[&frame]), expected);
            let (head, tail) = frame.split_at(frame.len() - length);
            assert_eq!(decode(&mut Decoder::new(length), &[head, tail, &frame[..1]]), expected);
            assert_eq!(decode(&mut Decoder::new(length - 1), &[&frame]), ["message too big"]);
        }
    }

    #[test]
    fn limit_is_over_all_fragments_and_spares_control_frames() {
        let half = [b'x'; 500];
        assert_eq!(decode_frames(&[(2, &half), (PING, &[0; 9]), (FIN, &half)]).len(), 2);
        assert_eq!(decode_frames(&[(2, &half), (0, &half), (FIN, b"x")]), ["message too big"]);
        let ping = client_frame(PING, KEY, &[0; 125]);
        assert_eq!(decode(&mut Decoder::new(0), &[&ping]).len(), 1);
    }

    #[test]
    fn utf8_is_checked_across_fragments_and_fails_fast() {
        let text = "aé€😀".as_bytes();
        for cut in 0..=text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(decode_frames(&[(1, a), (FIN, b)]), ["Text(\"aé€😀\")"]);
        }
        let table: &[Frames<'_>] = &[
            &[(TEXT, b"\xff")],
            &[(TEXT, b"\xe2\x82")],
            &[(1, b"a\xe2\x82"), (FIN, b"")],
            // Not finished, and already wrong: overlong, a surrogate, beyond U+10FFFF.
            &[(1, b"a\xc0")],
            &[(1, b"\xed"), (0, b"\xa0")],
            &[(1, b"\xf4"), (0, b"\x90")],
            &[(1, b"\xe2"), (0, b"a")],
        ];
        for frames in table {
            assert_eq!(decode_frames(frames), ["not UTF-8"], "{frames:?}");
        }
        // Inside a frame, too: the rest of it is not waited for.
        let frame = client_frame(TEXT, KEY, b"\xffaaaaaaaaaa");
        assert_eq!(decode(&mut Decoder::new(1000), &[&frame[..8]]), ["not UTF-8"]);
    }

    #[test]
    fn fragments_are_counted_and_cost_nothing() {
        let mut decoder = Decoder::new(1000);
        let first = client_frame(1, KEY, b"");
        let empty = client_frame(0, KEY, b"");
        assert!(decode(&mut decoder, &[&first]).is_empty());
        for _ in 1..MAX_FRAGMENTS {
            assert!(decode(&mut decoder, &[&empty]).is_empty());
            assert_eq!(decoder.held(), size_of::<Partial>());
        }
        assert_eq!(decode(&mut decoder, &[&empty]), ["too many fragments"]);
        assert_eq!(decoder.held(), 0);
    }

    #[test]
    fn memory_follows_what_has_come_and_is_freed() {
        let frame = client_frame(TEXT, KEY, &[b'x'; 100_000]);
        let mut decoder = Decoder::new(1 << 20);
        for (index, piece) in frame.chunks(1000).enumerate() {
            let came = (index + 1) * 1000;
            let seen = decode(&mut decoder, &[piece]);
            assert_eq!(seen.len(), usize::from(came >= frame.len()));
            assert!(decoder.held() <= size_of::<Partial>() + (2 * came).min(100_000));
        }
        assert_eq!(decoder.held(), 0);
    }

    #[test]
    fn rest_can_be_carried_on_elsewhere() {
        let mut input = [client_frame(1, KEY, b"a"), client_frame(FIN, KEY, b"b")].concat();
        input.extend(client_frame(BINARY, KEY, b"c"));
        let (mut decoder, mut rest) = (Decoder::new(9), &mut input[..]);
        assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Text("ab"))));
        let mut later = rest.to_vec();
        let mut rest = &mut later[..];
        assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Binary(b"c"))));
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert_eq!(decoder.held(), 0);
    }
}
