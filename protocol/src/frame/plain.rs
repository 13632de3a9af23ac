//! Publications as clients write them: of all commands nearly all, so they are read without a general parser.
//!
//! What is taken here is a part of what [`ClientCommand`](super::ClientCommand) takes, and means the same; a test compares
//! the two. Everything else (another command, spaces, escapes, a field that is not known here) is left to it, and so are
//! all mistakes.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::live::{Json, Publication};
use crate::plain::Cursor;

/// A `publish` or a `send`.
#[derive(Debug)]
pub struct Said<'a> {
    /// What the reply carries; 0 for `send`, which has none.
    pub id: u32,
    /// The channel's name.
    pub channel: &'a str,
    /// What is published.
    pub publication: Publication<'a>,
}

/// Reads a line; `None` when it is not as plain as that.
pub(super) fn read(line: &str) -> Option<Said<'_>> {
    let mut cursor = Cursor(line);
    let (mut id, mut request) = (None, None);
    cursor.eat(b'{')?;
    loop {
        match cursor.name()? {
            "id" if id.is_none() => id = Some(cursor.whole()?),
            "publish" if request.is_none() => request = Some((true, cursor.publish()?)),
            "send" if request.is_none() => request = Some((false, cursor.send()?)),
            _ => return None,
        }
        if !cursor.more()? {
            break;
        }
    }
    let (replied, (channel, publication)) = request?;
    let id = id.unwrap_or_default();
    (cursor.0.is_empty() && replied == (id > 0)).then_some(Said { id, channel, publication })
}

impl<'a> Cursor<'a> {
    /// A value, which is only looked through; `None` inside for `null`.
    fn value(&mut self) -> Option<Option<Json<'a>>> {
        if let Some(object) = self.flat() {
            return Some(Some(Json::proven(object)));
        }
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<&RawValue>();
        let value = values.next()?.ok()?;
        self.0 = self.0.get(values.byte_offset()..)?;
        Some(Some(Json::from(value)).filter(|value| value.get() != "null"))
    }

    fn publish(&mut self) -> Option<(&'a str, Publication<'a>)> {
        let (mut channel, mut publication) = (None, None);
        self.eat(b'{')?;
        loop {
            match self.name()? {
                "channel" if channel.is_none() => channel = Some(self.text()?),
                "data" if publication.is_none() => publication = Some(self.publication()?),
                _ => return None,
            }
            if !self.more()? {
                break;
            }
        }
        Some((channel?, publication?))
    }

    fn send(&mut self) -> Option<(&'a str, Publication<'a>)> {
        self.eat(b'{')?;
        if self.name()? != "data" {
            return None;
        }
        let mut publication = self.publication()?;
        match (self.more()?, publication.channel.take()) {
            (false, Some(Cow::Borrowed(channel))) => Some((channel, publication)),
            _ => None,
        }
    }

    fn publication(&mut self) -> Option<Publication<'a>> {
        let (mut channel, mut kind, mut key, mut data) = (None, None, None, None);
        self.eat(b'{')?;
        loop {
            match self.name()? {
                "type" if kind.is_none() => kind = Some(self.text()?),
                "key" if key.is_none() => key = Some(self.text()?),
                "data" if data.is_none() => data = Some(self.value()?),
                "channel" if channel.is_none() => channel = Some(self.text()?),
                _ => return None,
            }
            if !self.more()? {
                break;
            }
        }
        Some(Publication {
            channel: channel.map(Cow::Borrowed),
            kind: Cow::Borrowed(kind?),
            key: key.map(Cow::Borrowed),
            data: data.flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClientCommand;
    use super::*;

    /// Everything that is said, as the general parser reads it.
    fn slowly(line: &str) -> Option<(u32, String, String)> {
        let command = ClientCommand::parse(line).ok()?;
        let (channel, data) = match (command.publish, command.send) {
            (Some(publish), None) if command.id > 0 => (Some(publish.channel), publish.data?),
            (None, Some(send)) if command.id == 0 => (None, send.data?),
            _ => return None,
        };
        let mut publication: Publication<'_> = serde_json::from_str(data.get()).ok()?;
        let channel = channel.or(publication.channel.take())?;
        publication.channel = None;
        Some((command.id, channel.into_owned(), format!("{publication:?}")))
    }

    fn quickly(line: &str) -> Option<(u32, String, String)> {
        let Said { id, channel, mut publication } = read(line)?;
        publication.channel = None;
        Some((id, channel.to_owned(), format!("{publication:?}")))
    }

    const PLAIN: &[&str] = &[
        r#"{"publish":{"channel":"workspace:1","data":{"type":"drag","key":"a","data":{"x":1.5}}},"id":7}"#,
        r#"{"id":7,"publish":{"data":{"data":null,"key":"ü","type":"drag"},"channel":"c"}}"#,
        r#"{"id":4294967295,"publish":{"channel":"","data":{"type":"nudge"}}}"#,
        r#"{"id":1,"publish":{"channel":"c","data":{"type":"t","data":[{"\"}":"]\\"},1e9,true,"\u00e9"]}}}"#,
        r#"{"id":1,"publish":{"channel":"c","data":{"channel":"ignored","type":"t","data":-0.5}}}"#,
        r#"{"send":{"data":{"channel":"c","type":"pointer","data":{"x":[ 1 , {} ]}}}}"#,
        r#"{"send":{"data":{"type":"t","channel":"c"}},"id":0}"#,
    ];

    #[test]
    fn reads_what_the_general_parser_reads() {
        for line in PLAIN {
            assert!(quickly(line).is_some(), "{line}");
            assert_eq!(quickly(line), slowly(line), "{line}");
        }
    }

    #[test]
    fn leaves_what_is_not_plain() {
        for line in [
            "",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":1,"ping":{}}"#,
            r#"{"id":1,"publish":{"channel":"c","data":{"type":"t"}},"rpc":{}}"#,
            r#"{"id":1,"publish":null}"#,
            r#"{"id":1,"send":{"data":{"channel":"c","type":"t"}}}"#,
            r#"{"publish":{"channel":"c","data":{"type":"t"}}}"#,
            r#"{"id":0,"publish":{"channel":"c","data":{"type":"t"}}}"#,
        ] {
            assert_eq!(quickly(line), None, "{line}");
        }
    }

    /// Whatever one byte more, less or other makes of a line: what is taken is what the general parser takes.
    #[test]
    fn damage_is_not_taken_for_anything_else() {
        const BYTES: &[u8] = b"\"\\{}[]:,0 1.-\n\r\t\x01enux";
        let mut taken = 0;
        for line in PLAIN {
            for at in 0..line.len() {
                let mut damaged = vec![[&line.as_bytes()[..at], &line.as_bytes()[at + 1..]].concat()];
                for byte in BYTES {
                    damaged.push([&line.as_bytes()[..at], &[*byte], &line.as_bytes()[at..]].concat());
                    damaged.push([&line.as_bytes()[..at], &[*byte], &line.as_bytes()[at + 1..]].concat());
                }
                for line in damaged.iter().filter_map(|line| str::from_utf8(line).ok()) {
                    if let Some(said) = quickly(line) {
                        taken += 1;
                        assert_eq!(Some(said), slowly(line), "{line}");
                    }
                }
            }
        }
        assert!(taken > 1_000, "{taken}");
    }
}
