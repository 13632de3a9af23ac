//! Codes on the wire. Source: the Centrifuge client protocol, and our own above 1000 and 4000.

use serde::{Deserialize, Serialize};

/// An error in a reply. `message` starts with the stable word that REST calls `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// What SDKs act on; see the associated constants.
    pub code: u32,
    /// The stable word, optionally followed by `: ` and text for people.
    pub message: String,
    /// Whether trying again later can help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for WireError {}

impl WireError {
    /// A lasting error.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), temporary: false }
    }

    /// An error that goes away by itself.
    pub fn temporary(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), temporary: true }
    }

    /// 100: our fault; the cause is in the server's log.
    pub fn internal() -> Self {
        Self::temporary(100, "internal")
    }
    /// 101: no credentials, or dead ones.
    pub fn unauthorized() -> Self {
        Self::new(101, "unauthorized")
    }
    /// 102: no such channel, or none that this person may know of.
    pub fn unknown_channel() -> Self {
        Self::new(102, "unknown_channel")
    }
    /// 103: not subscribed, or not allowed.
    pub fn permission_denied() -> Self {
        Self::new(103, "permission_denied")
    }
    /// 104: no such rpc method.
    pub fn method_not_found() -> Self {
        Self::new(104, "method_not_found")
    }
    /// 105: subscribed already on this connection.
    pub fn already_subscribed() -> Self {
        Self::new(105, "already_subscribed")
    }
    /// 106: too many channels on this connection.
    pub fn limit_exceeded() -> Self {
        Self::new(106, "limit_exceeded")
    }
    /// 107: a well-formed command whose content makes no sense.
    pub fn bad_request(detail: impl std::fmt::Display) -> Self {
        Self::new(107, format!("bad_request: {detail}"))
    }
    /// 108: the protocol has it, this server does not.
    pub fn not_available() -> Self {
        Self::new(108, "not_available")
    }
    /// 109: the token was good and has expired.
    pub fn token_expired() -> Self {
        Self::new(109, "token_expired")
    }
    /// 111: too fast, or the server is too busy; back off.
    pub fn too_many_requests() -> Self {
        Self::temporary(111, "too_many_requests")
    }
    /// 112: the position is not in the log any more, or never was.
    pub fn unrecoverable_position() -> Self {
        Self::new(112, "unrecoverable_position")
    }
}

/// Why a connection is closed: the code and reason of the WebSocket close frame.
///
/// 3000–3499 and 4000–4499 make SDKs reconnect, 3500–3999 and 4500–4999 make them stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code.
    pub code: u16,
    /// Never empty, at most 123 bytes, never JSON: SDKs read all three differently.
    pub reason: &'static str,
}

macro_rules! disconnects {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl Disconnect {
            $($(#[$doc])* pub const $name: Disconnect = Disconnect { code: $code, reason: $reason };)*
            /// Every disconnect of the protocol.
            pub const ALL: &'static [Disconnect] = &[$(Self::$name),*];
        }
    };
}

disconnects! {
    /// The peer said goodbye with a clean close.
    NORMAL = 1000, "bye";
    /// A binary frame on a connection that speaks JSON, or a text frame on one that speaks protobuf.
    UNSUPPORTED_DATA = 1003, "JSON goes in text frames, protobuf in binary ones";
    /// A message above the limit.
    MESSAGE_TOO_BIG = 1009, "message too big";
    /// The server goes away; come back.
    SHUTDOWN = 3001, "shutdown";
    /// Our fault.
    INTERNAL = 3004, "internal error";
    /// The sign-in ended by time.
    EXPIRED = 3005, "connection expired";
    /// No progress at all within the deadline.
    WRITE_ERROR = 3009, "write error";
    /// A cursor that cannot be repaired.
    INSUFFICIENT_STATE = 3010, "insufficient state";
    /// The ping was not answered.
    NO_PONG = 3012, "no pong";
    /// Too many commands.
    TOO_MANY_REQUESTS = 3013, "too many requests";
    /// A frame that cannot be answered.
    BAD_REQUEST = 3501, "bad request";
    /// No connect command in time; reconnects.
    NO_CONNECT = 4000, "no connect command";
    /// Signed out elsewhere.
    SIGNED_OUT = 4501, "signed out";
    /// The password was changed.
    PASSWORD_CHANGED = 4502, "password changed";
    /// The account was disabled.
    ACCOUNT_DISABLED = 4503, "account disabled";
    /// The person is being erased.
    ACCOUNT_ERASED = 4504, "account erased";
}

/// Why a subscription ended without being asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribed {
    /// Below 2500: it stays ended until the app subscribes again.
    pub code: u32,
    /// For people.
    pub reason: &'static str,
}

impl Unsubscribed {
    /// The owner took this person out of the room, or closed the room to guests.
    pub const REMOVED: Unsubscribed = Unsubscribed { code: 2101, reason: "removed from the room" };
    /// The room is gone.
    pub const DELETED: Unsubscribed = Unsubscribed { code: 2102, reason: "room deleted" };
    /// One of the two blocked the other.
    pub const BLOCKED: Unsubscribed = Unsubscribed { code: 2103, reason: "blocked" };
    /// The person is gone.
    pub const ERASED: Unsubscribed = Unsubscribed { code: 2104, reason: "account erased" };
    /// Every reason of the protocol.
    pub const ALL: &'static [Unsubscribed] = &[Self::REMOVED, Self::DELETED, Self::BLOCKED, Self::ERASED];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_safe_for_every_sdk() {
        for disconnect in Disconnect::ALL {
            assert!(!disconnect.reason.is_empty() && disconnect.reason.len() <= 123);
            assert!(serde_json::from_str::<serde_json::Value>(disconnect.reason).is_err());
        }
    }
}
