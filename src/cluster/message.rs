//! How keys, fields and messages are written. Whatever comes back is read strictly: Redis is shared ground.

use bytes::Bytes;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

/// Bytes of one entry; longer ones are neither said nor heard.
pub(super) const ENTRY_BYTES_MAX: usize = 16 * 1024;

/// How keys and channels are called, and by which commands channels are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// Of all keys and channels.
    pub prefix: &'static str,
    pub publish: &'static str,
    pub subscribe: &'static str,
    pub unsubscribe: &'static str,
}

/// In a server by itself.
pub(super) const SINGLE: Names =
    Names { prefix: "studyhall:", publish: "PUBLISH", subscribe: "SUBSCRIBE", unsubscribe: "UNSUBSCRIBE" };
/// In a Redis Cluster, where what is in braces decides which server a key or channel is on: all of them on one, because
/// one call changes several.
pub(super) const SHARDED: Names =
    Names { prefix: "{studyhall}:", publish: "SPUBLISH", subscribe: "SSUBSCRIBE", unsubscribe: "SUNSUBSCRIBE" };

impl Names {
    /// The hash of a place, and the channel on which its changes are told.
    pub fn place(&self, place: Channel) -> String {
        format!("{}at:{place}", self.prefix)
    }

    /// The channel of one node.
    pub fn node(&self, node: Uuid) -> String {
        format!("{}node:{}", self.prefix, node.as_simple())
    }

    /// Which place a channel is for.
    pub fn place_of(&self, key: &[u8]) -> Option<Channel> {
        std::str::from_utf8(key).ok()?.strip_prefix(self.prefix)?.strip_prefix("at:")?.parse().ok()
    }
}

/// Whether anybody can be there. The channel of one person is nobody's place, but there are hints for it.
pub(super) fn has_people(channel: Channel) -> bool {
    !matches!(channel, Channel::User(_))
}

/// Orders what one node says: its generation, then the number of the call. Redis and Lua count to 2^53.
pub(super) type Version = (u64, u64);

/// What a node said of a person at a place; `None`: not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub node: Uuid,
    pub person: Uuid,
    pub version: Version,
    pub entry: Option<Bytes>,
}

/// What arrives on a node's own channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Letter<'a> {
    /// Its own pulse, by number.
    Pulse(u64),
    /// For one of its sessions.
    Forwarded { session: &'a str, data: Bytes },
}

/// The name of a node's lease.
pub(super) fn incarnation(node: Uuid, generation: u64) -> String {
    format!("{}.{generation}", node.as_simple())
}

/// A message on a place's channel: `node/person/generation/number/` and the word.
pub(super) fn word(message: &[u8]) -> Option<Word> {
    let (node, person, rest) = who(message)?;
    let (version, word) = version(rest)?;
    let entry = match word.split_first()? {
        (b'+', entry) => Some(bounded(entry)?),
        (b'-', []) => None,
        _ => return None,
    };
    Some(Word { node, person, version, entry })
}

/// A field of a place's hash, `node/person`, and its value, `generation/number/entry`.
pub(super) fn stored(field: &[u8], value: &[u8]) -> Option<Word> {
    let mut field = field.to_vec();
    field.push(b'/');
    let (node, person, rest) = who(&field)?;
    let (version, entry) = version(value)?;
    rest.is_empty().then_some(Word { node, person, version, entry: Some(bounded(entry)?) })
}

/// A forwarded message: the length of the session's name in one byte, the name, the data.
pub(super) fn forwarded(session: &str, data: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(session.len()).ok()?;
    Some([b"f", [length].as_slice(), session.as_bytes(), data].concat())
}

/// A message on a node's own channel.
pub(super) fn letter(message: &[u8]) -> Option<Letter<'_>> {
    match message.split_first()? {
        (b'p', number) => Some(Letter::Pulse(self::number(number)?)),
        (b'f', rest) => {
            let (length, rest) = rest.split_first()?;
            let (session, data) = rest.split_at_checked(usize::from(*length))?;
            Some(Letter::Forwarded { session: std::str::from_utf8(session).ok()?, data: Bytes::copy_from_slice(data) })
        }
        _ => None,
    }
}

fn who(text: &[u8]) -> Option<(Uuid, Uuid, &[u8])> {
    let (node, rest) = cut(text)?;
    let (person, rest) = cut(rest)?;
    Some((id(node)?, id(person)?, rest))
}

fn version(text: &[u8]) -> Option<(Version, &[u8])> {
    let (generation, rest) = cut(text)?;
    let (number, rest) = cut(rest)?;
    Some(((self::number(generation)?, self::number(number)?), rest))
}

fn cut(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'/')?;
    Some((&text[..at], &text[at + 1..]))
}

fn id(text: &[u8]) -> Option<Uuid> {
    (text.len() == 32).then(|| Uuid::try_parse_ascii(text).ok()).flatten()
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn bounded(entry: &[u8]) -> Option<Bytes> {
    (entry.len() <= ENTRY_BYTES_MAX).then(|| Bytes::copy_from_slice(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";
    const PERSON: &str = "0190a1b2c3d47e5f8a9b0c1d2e3f4a5c";

    #[test]
    fn words_are_read_as_they_are_written() {
        let (node, person) = (NODE.parse().unwrap(), PERSON.parse().unwrap());
        let there = Word { node, person, version: (2, 7), entry: Some(Bytes::from_static(b"a/b")) };
        assert_eq!(word(format!("{NODE}/{PERSON}/2/7/+a/b").as_bytes()), Some(there.clone()));
        assert_eq!(stored(format!("{NODE}/{PERSON}").as_bytes(), b"2/7/a/b"), Some(there.clone()));
        assert_eq!(word(format!("{NODE}/{PERSON}/2/7/-").as_bytes()), Some(Word { entry: None, ..there }));
        let place = Channel::Workspace(node);
        for names in [SINGLE, SHARDED] {
            assert_eq!(names.place_of(names.place(place).as_bytes()), Some(place));
        }
    }

    #[test]
    fn letters_are_read_as_they_are_written() {
        let data = forwarded("session", b"{}").unwrap();
        assert_eq!(letter(&data), Some(Letter::Forwarded { session: "session", data: Bytes::from_static(b"{}") }));
        assert_eq!(letter(b"p12"), Some(Letter::Pulse(12)));
        assert_eq!(forwarded(&"s".repeat(256), b""), None);
    }

    #[test]
    fn what_a_stranger_publishes_is_refused() {
        let long = format!("{NODE}/{PERSON}/1/1/+{}", "x".repeat(ENTRY_BYTES_MAX + 1));
        for text in [
            "",
            "/",
            "////",
            "hello",
            &format!("{NODE}/{PERSON}/1/1/"),
            &format!("{NODE}/{PERSON}/1/1/-x"),
            &format!("{NODE}/{PERSON}/-1/1/+x"),
            &format!("{NODE}/{PERSON}/1/99999999999999999999/-"),
            &format!("{NODE}/nobody/1/1/-"),
            &long,
        ] {
            assert_eq!(word(text.as_bytes()), None, "{text}");
        }
        for text in [b"".as_slice(), b"p", b"px", b"f", b"f\x05ab", b"f\x01\xff", b"x"] {
            assert_eq!(letter(text), None, "{text:?}");
        }
        assert_eq!(stored(format!("{NODE}/{PERSON}/1").as_bytes(), b"1/1/x"), None);
        assert_eq!(SINGLE.place_of(b"studyhall:at:room:1"), None);
        assert_eq!(SINGLE.place_of(SHARDED.place(Channel::Workspace(Uuid::nil())).as_bytes()), None);
    }
}
