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
pub(super) mod tests;
