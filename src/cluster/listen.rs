//! What this node hears: subscribes to places, and reads what was said before.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, from_redis_value};
use studyhall_protocol::channel::Channel;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::link::Shared;
use super::message::{self, Word};
use crate::live::roster::Others;

/// Places per `SUBSCRIBE`.
const SUBSCRIBE_BATCH: usize = 500;
/// Places per read.
const PAGE: usize = 200;
/// Without doubt there is nothing to wake up for.
const NEVER: Duration = Duration::from_secs(86_400);

/// Keeps up with which places are attended, until the connection fails. Only there: a subscription that was cut off has
/// to be made anew, and what was said meanwhile has to be read.
pub(super) async fn listen(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    shared.mirror.begin();
    loop {
        let doubt = shared.doubt();
        if let Some(doubt) = doubt.filter(|doubt| *doubt <= Instant::now()) {
            // The others have had their time: who is not in Redis now is gone.
            read(shared, connection, &shared.mirror.places(), Some(doubt)).await?;
            shared.end_doubt(doubt);
        }
        let wishes = shared.mirror.next_wishes(SUBSCRIBE_BATCH);
        if !wishes.desert.is_empty() {
            connection.unsubscribe(keys(&wishes.desert)).await?;
        }
        if !wishes.attend.is_empty() {
            // Subscribed before read, so that nothing falls in between.
            connection.subscribe(keys(&wishes.attend)).await?;
            read(shared, connection, &wishes.attend, None).await?;
        }
        if wishes.attend.is_empty() && wishes.desert.is_empty() {
            tokio::select! {
                () = shared.mirror.wishes.notified() => {}
                () = sleep_until(shared.doubt().unwrap_or_else(|| Instant::now() + NEVER)) => {}
            }
        }
    }
}

/// Reads places into the mirror. They are complete if Redis lost nothing since `doubt`, which was the last we know of.
async fn read(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    places: &[Channel],
    doubt: Option<Instant>,
) -> RedisResult<()> {
    for page in places.chunks(PAGE) {
        let number = shared.mirror.expect(page);
        let mut pipe = hashes(page);
        // After the hashes: if the lease is still there then, they were whole.
        pipe.cmd("ZSCORE").arg("studyhall:nodes").arg(shared.incarnation());
        let mut values: Vec<Value> = pipe.query_async(connection).await?;
        let held = values.pop().is_some_and(|score| score != Value::Nil);
        if !held {
            shared.begin_doubt();
        }
        let complete = held && shared.doubt() == doubt;
        for (place, value) in page.iter().zip(values) {
            shared.mirror.take(*place, words(value, shared.node)?, number, complete);
        }
        shared.mirror.read.notify_waiters();
    }
    Ok(())
}

/// What is said of places that nobody here attends to.
pub(super) async fn look(
    connection: &mut MultiplexedConnection,
    places: &[Channel],
    node: Uuid,
) -> RedisResult<Vec<Vec<Others>>> {
    let values: Vec<Value> = hashes(places).query_async(connection).await?;
    let mut seen = Vec::with_capacity(places.len());
    for value in values {
        let mut people: Vec<Others> = Vec::new();
        let mut words = words(value, node)?;
        words.sort_unstable_by_key(|word| word.person);
        for Word { person, entry, .. } in words {
            match people.last_mut() {
                Some((last, entries)) if *last == person => entries.extend(entry),
                _ => people.push((person, entry.into_iter().collect())),
            }
        }
        seen.push(people);
    }
    Ok(seen)
}

fn keys(places: &[Channel]) -> Vec<String> {
    places.iter().map(|place| message::place_key(*place)).collect()
}

fn hashes(places: &[Channel]) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for key in keys(places) {
        pipe.cmd("HGETALL").arg(key);
    }
    pipe
}

/// What the other nodes say in a place's hash.
fn words(value: Value, node: Uuid) -> RedisResult<Vec<Word>> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(value)?;
    let words = fields.iter().filter_map(|(field, value)| message::stored(field, value));
    Ok(words.filter(|word| word.node != node).collect())
}
