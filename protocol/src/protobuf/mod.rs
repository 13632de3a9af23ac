//! The protobuf spelling of the wire, as far as we speak it: `client.proto` of the Centrifuge protocol.
//!
//! Written out by hand: what is read borrows from the frame like the JSON does, and a push is put together around
//! bytes that exist already. Every message stands behind its length. A `bytes` field holds JSON text.

mod read;
mod write;

pub(crate) use read::{command, emulation, split};
pub(crate) use write::{bytes, delimited, flag, message, number, text};

/// How a field is written; the lower three bits of its tag.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// The numbers of the requests in a command. Those of the results in a reply are others: [`crate::encode::Kind`].
pub(crate) mod request {
    pub const CONNECT: u32 = 4;
    pub const SUBSCRIBE: u32 = 5;
    pub const UNSUBSCRIBE: u32 = 6;
    pub const PUBLISH: u32 = 7;
    pub const PRESENCE: u32 = 8;
    pub const PRESENCE_STATS: u32 = 9;
    pub const HISTORY: u32 = 10;
    pub const PING: u32 = 11;
    pub const SEND: u32 = 12;
    pub const RPC: u32 = 13;
    pub const REFRESH: u32 = 14;
    pub const SUB_REFRESH: u32 = 15;
}

#[cfg(test)]
mod tests;
