//! The two spellings of the wire. They say the same; a client chooses one when it connects.

/// How a connection's messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object a line, in text frames.
    #[default]
    Json,
    /// Messages of `client.proto`, each behind its length, in binary frames.
    Protobuf,
}

impl Format {
    /// The WebSocket subprotocol that asks for protobuf. JSON needs none.
    pub const PROTOBUF_SUBPROTOCOL: &str = "centrifuge-protobuf";
    /// The subprotocol that asks for JSON by name.
    pub const JSON_SUBPROTOCOL: &str = "centrifuge-json";

    /// The format that goes with the subprotocol of an upgrade.
    pub fn of_subprotocol(name: Option<&str>) -> Self {
        if name == Some(Self::PROTOBUF_SUBPROTOCOL) { Self::Protobuf } else { Self::Json }
    }
}
