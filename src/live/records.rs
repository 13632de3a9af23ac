//! Presence, written down: whoever changed, once a second, in one statement, the last state always.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::hub::Hub;
use super::limits::{STORE_EVERY, STORE_MAX};
use super::shown::Sighting;

/// What was last said of a person here, and when they were seen last if that is nothing any more.
type Record = (Option<Sighting>, Option<DateTime<Utc>>);

/// What has not been written down yet. The newest of each person counts.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<HashMap<Uuid, Record>>);

impl Records {
    pub(super) fn note(&self, user_id: Uuid, sighting: Option<Sighting>, seen_at: Option<DateTime<Utc>>) {
        let mut changed = self.0.lock();
        if changed.len() < STORE_MAX || changed.contains_key(&user_id) {
            changed.insert(user_id, (sighting, seen_at));
        } else {
            tracing::error!(%user_id, "too much presence waits to be written down");
        }
    }

    /// What could not be written waits on, unless there is something newer.
    fn put_back(&self, records: HashMap<Uuid, Record>) {
        let mut changed = self.0.lock();
        for (user_id, record) in records {
            changed.entry(user_id).or_insert(record);
        }
    }
}

impl Hub {
    /// Runs until the engine stops, and then once more.
    pub(super) async fn keep_records(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(STORE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.cancelled() => break,
            }
            if let Err(error) = self.write_records().await {
                tracing::warn!(%error, "presence is not written down; trying again");
            }
        }
        if let Err(error) = self.write_records().await {
            tracing::warn!(%error, "the last changes of presence are not written down");
        }
    }

    /// Writes down what has changed.
    pub(super) async fn write_records(&self) -> Result<(), WireError> {
        let records = std::mem::take(&mut *self.records.0.lock());
        if records.is_empty() {
            return Ok(());
        }
        let people: Vec<(Uuid, Record)> = records.iter().map(|(user_id, record)| (*user_id, record.clone())).collect();
        let places = people.iter().map(|(user_id, _)| Channel::Profile(*user_id)).collect();
        let others = self.roster.look(places).await;
        let mut rows = Vec::with_capacity(people.len());
        for ((user_id, (here, seen_at)), others) in people.into_iter().zip(others) {
            let elsewhere: Vec<_> = others.into_iter().flat_map(|(_, entries)| entries).collect();
            let elsewhere = Sighting::read(&elsewhere);
            // Who has gone from here and is elsewhere is written down there.
            if here.is_some() || elsewhere.is_none() {
                let together = Sighting::together(here.into_iter().chain(elsewhere));
                rows.push(Sighting::public(together.as_ref(), user_id, seen_at));
            }
        }
        let written = if rows.is_empty() { Ok(()) } else { self.backend.store_presence(rows).await };
        if written.is_err() {
            self.records.put_back(records);
        }
        written
    }
}
