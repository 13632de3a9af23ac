//! Commands of a client without a socket, in a request of their own.

use std::borrow::Cow;

use serde::Deserialize;

use crate::format::Format;
use crate::protobuf;

/// `POST /emulation`
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Emulation<'a> {
    /// From the connect reply: who has the connection.
    #[serde(borrow, default)]
    pub node: Cow<'a, str>,
    /// From the connect reply: which connection.
    #[serde(borrow, default)]
    pub session: Cow<'a, str>,
    /// A frame of commands. In JSON it is text.
    #[serde(borrow, default)]
    pub data: Cow<'a, str>,
    /// The same in protobuf.
    #[serde(skip)]
    pub bytes: &'a [u8],
}

impl<'a> Emulation<'a> {
    /// Reads the body of a request; `None` when it is none.
    pub fn parse(format: Format, body: &'a [u8]) -> Option<Self> {
        match format {
            // An array would be read as the fields in their order.
            Format::Json if !body.trim_ascii_start().starts_with(b"{") => None,
            Format::Json => serde_json::from_slice(body).ok(),
            Format::Protobuf => protobuf::emulation(body),
        }
    }

    /// The commands.
    pub fn commands(&self) -> &[u8] {
        if self.bytes.is_empty() { self.data.as_bytes() } else { self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let json = br#"{"session":"s","node":"n","data":"{\"id\":2}\n{}"}"#;
        let read = Emulation::parse(Format::Json, json).unwrap();
        assert_eq!((&*read.session, &*read.node, read.commands()), ("s", "n", &b"{\"id\":2}\n{}"[..]));
        let protobuf = b"\x0a\x01n\x12\x01s\x1a\x03\x02\x08\x02";
        let read = Emulation::parse(Format::Protobuf, protobuf).unwrap();
        assert_eq!((&*read.session, &*read.node, read.commands()), ("s", "n", &[2, 8, 2][..]));
        for none in [&b""[..], b"[]", br#"["s","n","d"]"#, b"null", br#"{"session":5}"#, br#"{"data":{}}"#, b"{"] {
            assert_eq!(Emulation::parse(Format::Json, none), None, "{none:?}");
        }
        for none in [&b"\x0a\x05n"[..], b"\x08\x01", b"\x12\x01\xff"] {
            assert_eq!(Emulation::parse(Format::Protobuf, none), None, "{none:?}");
        }
    }
}
