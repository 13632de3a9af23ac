//! Every limit of the engine, with its unit. Sources: the design page of the protocol and the SDKs'
//! own deadlines.

use std::time::Duration;

/// What an operator may set; the rest are constants below.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open sockets on this node.
    pub connections_max: usize,
    /// Commands a second and connection, on average.
    pub commands_per_second: u32,
    /// Commands at once and connection; has to hold a connect with all its subscribes, twice.
    pub commands_burst: u32,
    /// Bytes of encoded events and broadcasts that all rings of the node may hold.
    pub ring_bytes: usize,
    /// Bytes of log pages kept for readers that lag.
    pub page_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 18_000,
            commands_per_second: 250,
            commands_burst: 1_200,
            ring_bytes: 64 << 20,
            page_bytes: 2 << 20,
        }
    }
}

/// Channels per connection.
pub const CHANNELS_MAX: usize = 512;
/// Bytes of one message from a client; above it the connection is closed with 1009.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Deliveries that wait for the connection of a stream; in bytes they may be as much as one message.
pub const DELIVERIES_MAX: usize = 64;
/// Bytes gathered for one write; also bounds what a blocked connection holds.
pub const BATCH_BYTES: usize = 32 * 1024;
/// Bytes of replies that wait for a slow reader before its next command has to wait as well.
pub const REPLY_BYTES: usize = 8 * 1024;
/// Bytes of pongs that wait for a slow reader.
pub const PONG_BYTES: usize = 4 * 1024;
/// The kernel takes no more than this ahead of the reader, or slots would be late by megabytes.
pub const NOTSENT_LOWAT: u32 = 16 * 1024;
/// Bytes read from one socket at a time, into a buffer that all connections of a thread share.
pub const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection before others get their turn.
pub const READS_PER_TURN: usize = 4;
/// Sockets written before readers get their turn.
pub const FLUSH_SLICE: usize = 256;
/// Bytes one channel's ring holds of events, and of broadcasts. Tests lag sooner.
pub const RING_BYTES_PER_CHANNEL: usize = if cfg!(test) { 8 * 1024 } else { 256 * 1024 };
/// Bytes of the last slot values that a channel holds for readers that keep up.
pub const RECENT_BYTES: usize = if cfg!(test) { 2 * 1024 } else { 16 * 1024 };
/// Bytes one channel's ring of joins and leaves holds.
pub const MOVES_BYTES_PER_CHANNEL: usize = 16 * 1024;
/// Events in one page of the log for readers that lag.
pub const PAGE_EVENTS: u64 = 32;
/// Statements that read pages at a time.
pub const PAGE_READS_MAX: usize = 2;
/// Pages in one statement.
pub const PAGES_AT_ONCE: usize = 64;
/// Slots of one channel that are held by gestures.
pub const GESTURES_MAX: usize = 1_024;
/// Slots of one channel in all.
pub const SLOTS_MAX: usize = 16_384;
/// Cleared slots that a channel remembers for readers that lag.
pub const TOMBSTONES_MAX: usize = 256;
/// Ended gestures that a channel remembers, to discard their late values.
pub const ENDED_GESTURES_MAX: usize = 512;
/// People listed in a subscribe reply; `presence` lists all of them.
pub const PEOPLE_LISTED_MAX: usize = 100;
/// How long the end of a sign-in is remembered for connections whose credential is being checked.
pub const ENDED_SESSIONS_FOR: Duration = Duration::from_secs(60);
/// Revocations a channel remembers, for subscribers whose permission was checked before them.
pub const REVOKED_MAX: usize = 128;
/// Events with an effect on other channels that the node remembers, so as to do each once.
pub const BARRING_EVENTS_MAX: usize = 1_024;
/// Events per `history` request.
pub const HISTORY_MAX: u32 = 300;

/// Between pings.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// From a ping to its pong.
pub const PONG_WITHIN: Duration = Duration::from_secs(10);
/// From the upgrade to the connect command; Swift and Java fetch their token in between.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Without a single byte taken by a socket that has something to take.
pub const PROGRESS_WITHIN: Duration = Duration::from_secs(20);
/// For a delivery to a stream whose connection is busy: as long as SDKs wait for an answer.
pub const DELIVER_WITHIN: Duration = Duration::from_secs(5);
/// For the closing handshake.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// A person whose connection was lost stays in the room for this long.
pub const LOST_HOLD: Duration = Duration::from_secs(10);
/// A person who left stays for this long, so that a page reload is not a leave and a join.
pub const LEFT_HOLD: Duration = Duration::from_millis(500);
/// A program without a connection counts as a device for this long after it last said so.
pub const PROGRAM_FOR: Duration = Duration::from_secs(60);
/// Between two times that presence is written down.
pub const STORE_EVERY: Duration = Duration::from_secs(1);
/// People whose presence waits to be written down, while the store takes nothing.
pub const STORE_MAX: usize = 100_000;
/// People, or pairs of them, in one question about who may see whom.
pub const ASKED_AT_ONCE: usize = 1_000;
/// How long a subscriber waits to know how the person stands.
pub const STANDING_WITHIN: Duration = Duration::from_secs(4);
/// Changes of who may see whom that are remembered for subscribers whose right is being asked for.
pub const RECHECKS_MAX: usize = 256;
/// A gesture holds its slot against others for this long after its last value.
pub const GESTURE_HOLD: Duration = Duration::from_secs(5);
/// A gesture whose author's connection is gone is given up after this.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(3);
/// A gesture without a new value is given up after this, though its author is there.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);
/// After a break in what other nodes say, they have this long to say again what holds.
pub const SAID_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// A channel without subscribers is forgotten after this.
pub const IDLE_CHANNEL_AFTER: Duration = Duration::from_secs(30);
/// Between two questions for an event that the log does not have.
pub const LOG_RETRY: Duration = Duration::from_millis(250);
/// Between looks at timers of channels.
pub const TICK: Duration = Duration::from_millis(250);
