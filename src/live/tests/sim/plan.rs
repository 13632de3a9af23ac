//! What happens, step by step.

use rand::RngExt;
use rand::rngs::StdRng;

pub const NODES: usize = 3;
pub const CLIENTS: usize = 6;
pub const CHANNELS: u128 = 3;

/// One step. Numbers name nodes, clients and channels.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// So many events in one channel; who is told of them is up to chance.
    Commit {
        channel: u128,
        count: u32,
        large: bool,
    },
    /// Some hints that are on their way to a node arrive, in any order.
    Deliver {
        node: usize,
        count: u32,
    },
    /// The node looks for itself what was committed since it last did.
    Follow {
        node: usize,
    },
    /// Loads and subscribes, or comes back from the last position.
    Subscribe {
        client: usize,
        channel: u128,
    },
    Unsubscribe {
        client: usize,
        channel: u128,
    },
    /// Takes so many batches.
    Read {
        client: usize,
        batches: u32,
    },
    /// The connection is lost; the client comes back at any node.
    Vanish {
        client: usize,
    },
    /// The one behind a client is put out, or let in again.
    PutOut {
        client: usize,
        channel: u128,
    },
    LetIn {
        client: usize,
        channel: u128,
    },
    /// The node is gone with all that was in it; another takes its place.
    Crash {
        node: usize,
    },
    /// Idle channels are forgotten.
    Retire {
        node: usize,
    },
    /// The memory is needed elsewhere.
    DropRings {
        node: usize,
    },
    /// Answers about rights are held back from here on, or come.
    HoldAnswers {
        held: bool,
    },
    /// Pages of the log that were read are held back from here on, or come.
    HoldPages {
        held: bool,
    },
    /// The next reads of the log fail.
    FailReads {
        count: usize,
    },
    /// The log of a channel begins later.
    Trim {
        channel: u128,
    },
    /// The database is an older one, under a new epoch.
    Restore,
    /// Everybody who can run gets so many turns.
    Turns {
        count: u32,
    },
    /// So many milliseconds pass.
    Pass {
        millis: u64,
    },
}

/// A plan: mostly life, some trouble.
pub fn plan(random: &mut StdRng) -> Vec<Step> {
    let count = random.random_range(40..200);
    // Restores are rare in life, and would hide everything else here.
    let restores = random.random_bool(0.3);
    (0..count).map(|_| step(random, restores)).collect()
}

fn step(random: &mut StdRng, restores: bool) -> Step {
    let node = random.random_range(0..NODES);
    let client = random.random_range(0..CLIENTS);
    let channel = random.random_range(0..CHANNELS);
    match random.random_range(0..200) {
        0..40 => Step::Commit { channel, count: random.random_range(1..5), large: random.random_bool(0.3) },
        40..75 => Step::Deliver { node, count: random.random_range(1..6) },
        75..83 => Step::Follow { node },
        83..108 => Step::Subscribe { client, channel },
        108..112 => Step::Unsubscribe { client, channel },
        112..138 => Step::Read { client, batches: random.random_range(1..4) },
        138..144 => Step::Vanish { client },
        144..149 => Step::PutOut { client, channel },
        149..155 => Step::LetIn { client, channel },
        155..157 => Step::Crash { node },
        157..161 => Step::Retire { node },
        161..165 => Step::DropRings { node },
        165..170 => Step::HoldAnswers { held: random.random_bool(0.5) },
        170..175 => Step::HoldPages { held: random.random_bool(0.5) },
        175..177 => Step::FailReads { count: random.random_range(1..3) },
        177..180 => Step::Trim { channel },
        180..181 if restores => Step::Restore,
        180..193 => Step::Turns { count: random.random_range(1..6) },
        _ => Step::Pass { millis: random.random_range(1..400) },
    }
}
