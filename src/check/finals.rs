//! Reading everything once more, from every address, after all has settled.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::Value;
use studyhall_protocol::Channel;
use studyhall_protocol::rest::Page;

use super::client::load;
use super::history::{FinalLog, Finals, Logged, digest};
use super::shared::Shared;
use super::state::{Snapshot, State};

/// Channels, and who may read each.
pub fn channels(shared: &Shared) -> Vec<(Channel, usize)> {
    let people = shared.people.iter().enumerate();
    let own =
        people.flat_map(|(number, person)| [(Channel::User(person.id), number), (Channel::Profile(person.id), number)]);
    let mut all: Vec<(Channel, usize)> = own.collect();
    all.extend(shared.world.lock().rooms.iter().map(|room| (Channel::Workspace(room.id), room.owner)));
    all
}

/// Where the log of each channel ends now.
pub async fn heads(shared: &Shared) -> Result<HashMap<Channel, u64>> {
    let mut heads = HashMap::new();
    for (channel, reader) in channels(shared) {
        let shown = state(shared, 0, channel, reader).await?;
        let position = shown.iter().map(|snapshot| &snapshot.position).find(|position| position.channel == channel);
        heads.extend(position.map(|position| (channel, position.offset)));
    }
    Ok(heads)
}

/// All logs and all state, from every address. `bases`: what was there before the logs began.
pub async fn read(shared: &Shared, bases: &HashMap<Channel, (u64, State)>) -> Result<Finals> {
    let mut finals = Finals::default();
    for (channel, reader) in channels(shared) {
        let mut first = log(shared, 0, channel, reader).await?;
        first.base = bases.get(&channel).cloned();
        for url in 1..shared.api.count() {
            let copy = log(shared, url, channel, reader).await?;
            let events = copy.events.iter().map(|event| (event.offset, event.content)).collect();
            finals.copies.push((url, channel, events));
        }
        finals.logs.insert(channel, first);
        for url in 0..shared.api.count() {
            let shown = state(shared, url, channel, reader).await?;
            finals.states.extend(shown.into_iter().map(|snapshot| (url, snapshot)));
        }
    }
    Ok(finals)
}

async fn log(shared: &Shared, url: usize, channel: Channel, reader: usize) -> Result<FinalLog> {
    let (mut log, token) = (FinalLog::default(), shared.people[reader].token.as_str());
    loop {
        let since = log.events.last().map_or(0, |event: &Logged| event.offset);
        let path = format!("/channels/{channel}/events?since={since}&limit=500");
        let page: Page<Value> = shared.api.insist(url, token, &path).await?;
        if let Some(position) = page.positions.into_iter().next() {
            log.epoch = position.epoch;
        }
        for mut item in page.items {
            let offset = item.get("offset").and_then(Value::as_u64).context("an event of the log has no offset")?;
            item.as_object_mut().and_then(|fields| fields.remove("offset"));
            let content = digest(&item);
            let record = serde_json::from_value(item).with_context(|| format!("event {offset} of {channel}"))?;
            log.events.push(Logged { offset, record, content });
        }
        if page.next_cursor.is_none() {
            return Ok(log);
        }
    }
}

async fn state(shared: &Shared, url: usize, channel: Channel, reader: usize) -> Result<Vec<Snapshot>> {
    let (api, person) = (&shared.api, &shared.people[reader]);
    let mut tries = 0;
    loop {
        let shown = match channel {
            Channel::User(_) => load::home(api, url, &person.token).await,
            Channel::Profile(id) => load::posts(api, url, &person.token, id, person.id).await,
            Channel::Workspace(id) => load::room(api, url, &person.token, id).await,
        };
        match shown {
            Ok(shown) => return Ok(shown),
            Err(failed) if failed.is_temporary() && tries < 20 => {
                tries += 1;
                tokio::time::sleep(failed.wait()).await;
            }
            Err(failed) => return Err(failed).with_context(|| format!("the state of {channel} from {}", api.url(url))),
        }
    }
}
