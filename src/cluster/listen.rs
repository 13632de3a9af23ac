//! What this node hears: subscribes to places, and reads what was said before.

use std::time::Duration;

use futures_util::future::{join, try_join_all};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, from_redis_value};
use studyhall_protocol::channel::Channel;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::hint;
use super::link::Shared;
use super::message::has_people;
use super::message::{self, Word};
use crate::live::roster::{Entry, Others};

/// Places that are subscribed to at once.
const BATCH: usize = 2_500;
/// Places per read.
const PAGE: usize = 250;
/// Without doubt there is nothing to wake up for.
const NEVER: Duration = Duration::from_secs(86_400);

/// Keeps up with which places are attended, until the connection fails. Only there: a subscription that was cut off has
/// to be made anew, and what was said meanwhile has to be read.
pub(super) async fn listen(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    shared.mirror.begin();
    if let Some(ear) = shared.ear() {
        ear.interrupted();
    }
    loop {
        let doubt = shared.doubt();
        if let Some(doubt) = doubt.filter(|doubt| *doubt <= Instant::now()) {
            // The others have had their time: who is not in Redis now is gone.
            let places: Vec<Channel> = shared.mirror.places().into_iter().filter(|place| has_people(*place)).collect();
            for places in places.chunks(BATCH) {
                read(shared, connection, places, Some(doubt)).await?;
            }
            shared.end_doubt(doubt);
        }
        let wishes = shared.mirror.next_wishes(BATCH);
        if !wishes.desert.is_empty() {
            change(connection, shared.names().unsubscribe, &keys(shared, &wishes.desert)).await?;
        }
        if !wishes.attend.is_empty() {
            // Redis subscribes before it reads, as it was asked in that order, so nothing falls in between; waiting for
            // one answer after the other would make a far Redis slow.
            let mut subscriber = connection.clone();
            let keys = keys(shared, &wishes.attend);
            let subscribed = change(&mut subscriber, shared.names().subscribe, &keys);
            let places: Vec<Channel> = wishes.attend.iter().copied().filter(|place| has_people(*place)).collect();
            let (subscribed, read) = join(subscribed, read(shared, connection, &places, None)).await;
            subscribed.and(read)?;
            ask(shared, &places);
        }
        if wishes.attend.is_empty() && wishes.desert.is_empty() {
            tokio::select! {
                () = shared.mirror.wishes.notified() => {}
                () = sleep_until(shared.doubt().unwrap_or_else(|| Instant::now() + NEVER)) => {}
            }
        }
    }
}

/// What was published on other nodes before this one listened, and still holds, is to be published again.
fn ask(shared: &Shared, places: &[Channel]) {
    let rooms = places.iter().filter(|place| matches!(place, Channel::Workspace(_)));
    rooms.for_each(|room| shared.outbox.put(*room, None, hint::asked()));
}

/// Reads places into the mirror, all pages at once.
async fn read(
    shared: &Shared,
    connection: &MultiplexedConnection,
    places: &[Channel],
    doubt: Option<Instant>,
) -> RedisResult<()> {
    let pages = places.chunks(PAGE).map(|page| read_page(shared, connection.clone(), page, doubt));
    try_join_all(pages).await?;
    shared.mirror.read.notify_waiters();
    Ok(())
}

/// A page is complete if Redis lost nothing since `doubt`, which was the last we know of.
async fn read_page(
    shared: &Shared,
    mut connection: MultiplexedConnection,
    page: &[Channel],
    doubt: Option<Instant>,
) -> RedisResult<()> {
    let number = shared.mirror.expect(page);
    let mut pipe = hashes(shared, page);
    // After the hashes: if the lease is still there then, they were whole.
    pipe.cmd("ZSCORE").arg(format!("{}nodes", shared.names().prefix)).arg(shared.incarnation());
    let mut values: Vec<Value> = pipe.query_async(&mut connection).await?;
    let held = values.pop().is_some_and(|score| score != Value::Nil);
    if !held {
        shared.begin_doubt();
    }
    let complete = held && shared.doubt() == doubt;
    for (place, value) in page.iter().zip(values) {
        shared.mirror.take(*place, words(value, shared.node)?, number, complete);
    }
    Ok(())
}

/// What is said of places that nobody here attends to.
pub(super) async fn look(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    places: &[Channel],
) -> RedisResult<Vec<Vec<Others>>> {
    let values: Vec<Value> = hashes(shared, places).query_async(connection).await?;
    let mut seen = Vec::with_capacity(places.len());
    for value in values {
        let mut people: Vec<Others> = Vec::new();
        let mut words = words(value, shared.node)?;
        words.sort_unstable_by_key(|word| word.person);
        for Word { node, person, entry, .. } in words {
            let entry = entry.map(|said| Entry { node, said });
            match people.last_mut() {
                Some((last, entries)) if *last == person => entries.extend(entry),
                _ => people.push((person, entry.into_iter().collect())),
            }
        }
        seen.push(people);
    }
    Ok(seen)
}

fn keys(shared: &Shared, places: &[Channel]) -> Vec<String> {
    let names = shared.names();
    places.iter().map(|place| names.place(*place)).collect()
}

/// Subscribes or unsubscribes: one command each, for of each the client expects one answer.
async fn change(connection: &mut MultiplexedConnection, command: &str, keys: &[String]) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.cmd(command).arg(key).ignore();
    }
    pipe.query_async(connection).await
}

fn hashes(shared: &Shared, places: &[Channel]) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for key in keys(shared, places) {
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
