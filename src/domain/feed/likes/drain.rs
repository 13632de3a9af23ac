//! Many likes of one author's posts in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::value::to_raw_value;
use studyhall_protocol::posts::{LikeCount, LikesChanged, PostLikes};
use studyhall_protocol::{Channel, Command, Event, Position};
use uuid::Uuid;

use super::sql::{self, Wish};
use super::{news, own_event};
use crate::db::{BatchTx, Company, Db, Performed, Wanted};
use crate::domain::notifications::{self, Kind};
use crate::domain::together::Remembered;
use crate::error::{Error, Result};

/// Drains likes by author, who never changes.
#[derive(Default)]
pub struct Likes {
    authors: Remembered,
}

impl Likes {
    /// The lane of a like: the author of the post, if there is one.
    pub async fn lane(&self, db: &Db, post_id: Uuid) -> Result<Company> {
        if let Some(author) = self.authors.get(&post_id) {
            return Ok(Company::Lane(author));
        }
        let author = sql::author(db.pool(), post_id).await?;
        if let Some(author) = author {
            self.authors.insert(post_id, author);
        }
        Ok(author.map_or(Company::Nobody, Company::Lane))
    }
}

/// Does commands in their order: each liker is told of each like of theirs, everybody of what came out in the end.
pub async fn perform(tx: &mut BatchTx, author: Uuid, batch: &[&Wanted]) -> Result<Vec<Result<Performed>>> {
    let profile = Channel::Profile(author);
    let wishes = batch.iter().map(|wanted| wish(wanted)).collect::<Result<Vec<Wish>>>()?;
    // All that is read or changed here hangs on this lock; the likers' own channels only need numbers.
    tx.lock(&[profile]).await?;
    // Of several wishes of one person about one post only the last is left in the end.
    let last: HashMap<(Uuid, Uuid), Wish> = wishes.iter().map(|wish| (wish.key(), *wish)).collect();
    let standings = sql::fulfil(tx.conn(), author, &last.values().copied().collect::<Vec<Wish>>()).await?;
    // What the author is told, under this lock as well; their own channel too only needs numbers.
    let fulfilled = standings.iter().filter_map(|standing| Some((*last.get(&standing.key())?, standing)));
    let told = notifications::about_posts(tx.conn(), author, Kind::Like, &news(author, fulfilled)).await?;
    let mut liked: HashMap<(Uuid, Uuid), bool> =
        standings.iter().map(|standing| ((standing.person, standing.post_id), standing.was_liked)).collect();
    let counts: HashMap<Uuid, i32> = standings.iter().map(|standing| (standing.post_id, standing.like_count)).collect();
    let mut touched = BTreeSet::new();
    // Whether each command may be, and if so whether it changes anything.
    let mut changes = Vec::with_capacity(batch.len());
    let mut events: BTreeMap<Channel, u64> = BTreeMap::new();
    for wish in &wishes {
        let change = liked.get_mut(&wish.key()).map(|liked| std::mem::replace(liked, wish.liked) != wish.liked);
        if let Some(change) = change {
            *events.entry(Channel::User(wish.person)).or_default() += u64::from(change);
        }
        if change == Some(true) {
            touched.insert(wish.post_id);
        }
        changes.push(change);
    }
    let theirs = Channel::User(author);
    if !told.is_empty() {
        *events.entry(theirs).or_default() += told.len() as u64;
    }
    tx.raise(&events).await?;
    // Where each liker's own channel stands behind their command; nothing for whoever may not.
    let mut own: Vec<Option<Position>> = Vec::with_capacity(batch.len());
    for ((wanted, wish), change) in batch.iter().zip(&wishes).zip(changes) {
        let mine = Channel::User(wish.person);
        if change == Some(true) {
            tx.emit_by(wanted.by, mine, own_event(wish.liked, wish.post_id, author));
        }
        own.push(change.map(|_| tx.position(mine)).transpose()?);
    }
    told.into_iter().for_each(|event| tx.emit_sum(theirs, event));
    let count = |post_id| counts.get(&post_id).map(|like_count| LikeCount { post_id, like_count: *like_count });
    let posts: Vec<LikeCount> = touched.into_iter().filter_map(count).collect();
    if !posts.is_empty() {
        tx.emit_sum(profile, Event::PostLikesChanged(LikesChanged { posts }));
    }
    let public = tx.position(profile)?;
    let answer = |(wish, own): (&Wish, Option<Position>)| {
        let (own, count) = own.zip(count(wish.post_id)).ok_or_else(Error::not_found)?;
        let likes = PostLikes { post_id: wish.post_id, like_count: count.like_count, liked_by_me: wish.liked };
        let data = to_raw_value(&likes).map_err(Error::internal)?;
        Ok(Performed { positions: vec![own, public.clone()], data })
    };
    Ok(wishes.iter().zip(own).map(answer).collect())
}

fn wish(wanted: &Wanted) -> Result<Wish> {
    let (post, liked) = match &wanted.command {
        Command::PostLike(post) => (post, true),
        Command::PostUnlike(post) => (post, false),
        other => return Err(Error::internal(anyhow::anyhow!("{} is no like", other.name()))),
    };
    Ok(Wish { person: wanted.by.actor, post_id: post.post_id, liked })
}
