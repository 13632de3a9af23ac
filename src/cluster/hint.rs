//! Hints: what a node has committed or what was published on it, told to whoever listens to the channel.
//!
//! They are sealed with a key that only nodes have, because they get to people's eyes without a look into PostgreSQL, and
//! numbered, so that none counts twice. A message is `!`, the seal, the node, the number, and hints: each a kind, a
//! length, and so many bytes.

use bytes::{Buf, BufMut, Bytes};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use crate::live::backend::LogEvent;

/// What tells it from the words of [`super::message`], which begin with a digit.
pub(super) const MARK: u8 = b'!';
/// Half of the digest; nobody guesses 128 bits.
const SEAL_BYTES: usize = 16;
/// Node, number.
const HEAD_BYTES: usize = 16 + 8;

const EVENT: u8 = 1;
const PUBLISHED: u8 = 2;
const ASKED: u8 = 3;

/// What a node tells.
#[derive(Debug)]
pub(super) enum Hint<'a> {
    /// It has committed an event, of this epoch of the log.
    Event(&'a str, LogEvent),
    /// Somebody has published this there: the `data` of a push.
    Published(&'a [u8]),
    /// It begins to listen.
    Asked,
}

/// Makes seals, and knows them.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// All nodes have to have the same key, and nobody else may have it.
    pub fn new(key: &[u8]) -> Self {
        // Any length is taken.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    fn mac(&self, channel: Channel, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(channel.to_string().as_bytes());
        mac.update(&[0]);
        mac.update(body);
        mac
    }

    /// The message for a channel.
    pub(super) fn message(&self, channel: Channel, node: Uuid, number: u64, hints: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(1 + SEAL_BYTES + HEAD_BYTES + hints.len());
        message.push(MARK);
        message.extend_from_slice(&[0; SEAL_BYTES]);
        message.extend_from_slice(node.as_bytes());
        message.put_u64(number);
        message.extend_from_slice(hints);
        let (head, body) = message.split_at_mut(1 + SEAL_BYTES);
        head[1..].copy_from_slice(&self.mac(channel, body).finalize().into_bytes()[..SEAL_BYTES]);
        message
    }
}

/// A message that came.
pub(super) struct Message<'a> {
    pub node: Uuid,
    pub number: u64,
    seal: &'a [u8],
    /// What the seal is for.
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whoever wrote it; see [`Message::is_genuine`].
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let (seal, body) = message.strip_prefix(&[MARK])?.split_at_checked(SEAL_BYTES)?;
        let mut head = body.get(..HEAD_BYTES)?;
        let node = Uuid::from_u128(head.get_u128());
        Some(Self { node, number: head.get_u64(), seal, body })
    }

    /// Whether a node wrote it, for this channel.
    pub fn is_genuine(&self, seal: &Seal, channel: Channel) -> bool {
        seal.mac(channel, self.body).verify_truncated_left(self.seal).is_ok()
    }

    /// What it says. Nodes of another version may say what this one does not know: that is left out.
    pub fn hints(&self, channel: Channel) -> impl Iterator<Item = Hint<'a>> + use<'a> {
        let mut rest = self.body.get(HEAD_BYTES..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (kind, bytes) = (rest.try_get_u8().ok()?, rest.try_get_u32().ok()?);
            let (hint, next) = rest.split_at_checked(bytes as usize)?;
            rest = next;
            Some((kind, hint))
        })
        .filter_map(move |(kind, hint)| match kind {
            EVENT => read_event(channel, hint),
            PUBLISHED => Some(Hint::Published(hint)),
            ASKED => Some(Hint::Asked),
            _ => None,
        })
    }
}

/// An event as a hint.
pub(super) fn event(epoch: &str, event: &LogEvent) -> Vec<u8> {
    let (epoch, name, payload) = (epoch.as_bytes(), event.name.as_bytes(), &event.payload);
    let mut body = Vec::with_capacity(10 + epoch.len() + name.len() + payload.len());
    body.put_u64(event.offset);
    for text in [epoch, name] {
        // Both are ours, and short.
        let text = &text[..text.len().min(usize::from(u8::MAX))];
        body.put_u8(text.len() as u8);
        body.extend_from_slice(text);
    }
    body.extend_from_slice(payload);
    hint(EVENT, &body)
}

fn read_event(channel: Channel, mut body: &[u8]) -> Option<Hint<'_>> {
    let offset = body.try_get_u64().ok()?;
    let mut text = || {
        let length = body.try_get_u8().ok()?;
        let (text, rest) = body.split_at_checked(usize::from(length))?;
        body = rest;
        std::str::from_utf8(text).ok()
    };
    let (epoch, name) = (text()?, text()?);
    Some(Hint::Event(epoch, LogEvent { channel, offset, name: name.into(), payload: Bytes::copy_from_slice(body) }))
}

/// Published data as a hint.
pub(super) fn published(data: &[u8]) -> Vec<u8> {
    hint(PUBLISHED, data)
}

/// The beginning of listening as a hint.
pub(super) fn asked() -> Vec<u8> {
    hint(ASKED, &[])
}

fn hint(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut hint = Vec::with_capacity(5 + body.len());
    hint.put_u8(kind);
    hint.put_u32(body.len() as u32);
    hint.extend_from_slice(body);
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Channel = Channel::User(Uuid::from_u128(1));

    fn log_event() -> LogEvent {
        LogEvent { channel: CHANNEL, offset: 7, name: "task.created".into(), payload: Bytes::from_static(b"{\"a\":1}") }
    }

    fn message(seal: &Seal) -> Vec<u8> {
        let hints = [event("e1", &log_event()), published(b"{}"), hint(99, b"later"), asked()].concat();
        seal.message(CHANNEL, Uuid::from_u128(5), 42, &hints)
    }

    #[test]
    fn hints_are_read_as_they_are_written() {
        let seal = Seal::new(b"secret");
        let bytes = message(&seal);
        let message = Message::read(&bytes).unwrap();
        assert!(message.is_genuine(&seal, CHANNEL));
        assert_eq!((message.node, message.number), (Uuid::from_u128(5), 42));
        let hints: Vec<_> = message.hints(CHANNEL).collect();
        let [Hint::Event("e1", event), Hint::Published(b"{}"), Hint::Asked] = hints.as_slice() else {
            panic!("{hints:?}");
        };
        assert_eq!((event.offset, &*event.name, &event.payload), (7, "task.created", &log_event().payload));
    }

    #[test]
    fn what_no_node_wrote_is_known() {
        let seal = Seal::new(b"secret");
        let bytes = message(&seal);
        let genuine =
            |bytes: &[u8], channel| Message::read(bytes).is_some_and(|message| message.is_genuine(&seal, channel));
        assert!(genuine(&bytes, CHANNEL));
        assert!(!genuine(&bytes, Channel::User(Uuid::from_u128(2))), "of another channel");
        assert!(!Message::read(&bytes).unwrap().is_genuine(&Seal::new(b"guess"), CHANNEL), "with another key");
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!genuine(&other, CHANNEL), "byte {at}");
            assert!(!genuine(&bytes[..at], CHANNEL), "cut at {at}");
        }
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let seal = Seal::new(b"secret");
        let hints = event("e1", &log_event());
        for length in 0..hints.len() {
            let bytes = seal.message(CHANNEL, Uuid::nil(), 1, &hints[..length]);
            assert_eq!(Message::read(&bytes).unwrap().hints(CHANNEL).count(), 0, "{length}");
        }
    }
}
