//! Which commands are done together when there are many of them.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use studyhall_protocol::{Channel, Command, Event};
use uuid::Uuid;

use super::{feed, tasks, workspaces};
use crate::db::{BatchTx, Company, Db, Drain, Performed, Wanted};
use crate::error::Result;

/// Entries of one memory; it begins anew when it is full.
const REMEMBERED_MAX: usize = 100_000;

/// What belongs to what, where that never changes: a lookup for each that this node has not seen, then memory.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<Uuid, Uuid>>);

impl Remembered {
    /// What this one belongs to, if that is known.
    pub fn get(&self, id: &Uuid) -> Option<Uuid> {
        self.0.lock().get(id).copied()
    }

    /// From now on known.
    pub fn insert(&self, id: Uuid, to: Uuid) {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(id, to);
    }
}

/// Likes by author; ticks, changes and drops with any others.
#[derive(Default)]
pub struct Together {
    likes: feed::likes::drain::Likes,
    widgets: workspaces::widgets::drain::Widgets,
}

impl Drain for Together {
    fn company<'a>(&'a self, db: &'a Db, wanted: &'a Wanted) -> BoxFuture<'a, Result<Company>> {
        async move {
            match &wanted.command {
                Command::PostLike(post) | Command::PostUnlike(post) => self.likes.lane(db, post.post_id).await,
                Command::TaskUpdate(patch) => {
                    Ok(Company::Row { channel: Channel::User(wanted.by.actor), row: patch.id })
                }
                Command::WidgetMove(to) => self.widgets.company(db, to.id).await,
                Command::WidgetUpdate(patch) => self.widgets.company(db, patch.id).await,
                _ => Ok(Company::Nobody),
            }
        }
        .boxed()
    }

    fn perform<'t>(
        &'t self,
        tx: &'t mut BatchTx,
        lane: Uuid,
        batch: &'t [&'t Wanted],
    ) -> BoxFuture<'t, Result<Vec<Result<Performed>>>> {
        feed::likes::drain::perform(tx, lane, batch).boxed()
    }

    fn rows<'t>(&'t self, tx: &'t mut BatchTx, batch: &'t [&'t Wanted]) -> BoxFuture<'t, Result<Vec<Option<Event>>>> {
        async move {
            let mut events = tasks::update_tasks(tx, batch).await?;
            events.extend(workspaces::widgets::drain::update_widgets(tx, batch).await?);
            events.extend(workspaces::widgets::drain::move_widgets(tx, batch).await?);
            Ok(batch.iter().map(|wanted| events.remove(&wanted.by)).collect())
        }
        .boxed()
    }
}
