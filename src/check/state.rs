//! State of channels: as the log adds up to it, and as it was shown.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Serialize, Serializer};
use serde_json::Value;
use studyhall_protocol::accounts::User;
use studyhall_protocol::posts::{Comment, Post};
use studyhall_protocol::state::{ProfileState, UserState, WorkspaceState};
use studyhall_protocol::{Channel, Event, Position};
use uuid::Uuid;

use super::history::digest;

/// The state of a channel, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Of `user:`.
    User(Box<UserState>),
    /// Of `profile:`.
    Profile(Box<ProfileState>),
    /// Of `workspace:`.
    Workspace(Box<WorkspaceState>),
}

impl State {
    /// Before anything happened.
    pub fn empty(channel: Channel) -> Self {
        match channel {
            Channel::User(_) => State::User(Box::default()),
            Channel::Profile(_) => State::Profile(Box::default()),
            Channel::Workspace(_) => State::Workspace(Box::default()),
        }
    }

    /// Moves it one event on; whether the event belongs here.
    pub fn apply(&mut self, event: &Event) -> bool {
        let applied = match self {
            State::User(state) => state.apply(event),
            State::Profile(state) => state.apply(event),
            State::Workspace(state) => state.apply(event),
        };
        applied.is_ok()
    }
}

/// What an answer shows of a channel's state.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// `GET /dashboard`: all of `user:` but the likes.
    Home(Box<UserState>),
    /// `GET /users/{id}/posts`: whether I like those that are shown.
    Likes(BTreeMap<Uuid, bool>),
    /// `GET /users/{id}`: the person.
    Author(Box<User>),
    /// `GET /users/{id}/posts`, if one page holds them all.
    Posts(BTreeMap<Uuid, Post>),
    /// `GET /posts/{id}/comments`, if one page holds them all.
    Comments(Uuid, BTreeMap<Uuid, Comment>),
    /// `GET /workspaces/{id}`: everything.
    Room(Box<WorkspaceState>),
}

/// What an answer shows, and the position that it gave for that.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// The position.
    pub position: Position,
    /// What was shown.
    pub state: View,
}

impl View {
    /// What is different in `state`, which is what the log adds up to.
    pub fn differs(&self, state: &State) -> Option<String> {
        match (self, state) {
            (View::Home(shown), State::User(folded)) => {
                let account = shown.me != folded.me || shown.settings != folded.settings;
                let account = account.then(|| "the account or its settings differ".to_owned());
                let people = shown.following != folded.following || shown.blocked != folded.blocked;
                let people = people.then(|| "whom they follow or blocked differs".to_owned());
                let lists = || maps("list", &shown.task_lists, &folded.task_lists);
                let tasks = || maps("task", &shown.tasks, &folded.tasks);
                let rooms = || maps("membership", &shown.memberships, &folded.memberships);
                account.or(people).or_else(lists).or_else(tasks).or_else(rooms)
            }
            (View::Likes(shown), State::User(folded)) => {
                let wrong = shown.iter().find(|(post, liked)| folded.liked.contains(post) != **liked);
                wrong.map(|(post, liked)| format!("post {post} is shown as liked: {liked}; the log says otherwise"))
            }
            (View::Author(shown), State::Profile(folded)) => (folded.user.as_ref() != Some(&**shown))
                .then(|| format!("the person is shown as {shown:?}; the log says {:?}", folded.user)),
            (View::Posts(shown), State::Profile(folded)) => maps("post", shown, &folded.posts),
            (View::Comments(post, shown), State::Profile(folded)) => {
                let of_post = folded.comments.iter().filter(|(_, comment)| comment.post_id == *post);
                maps("comment", shown, &of_post.map(|(id, comment)| (*id, comment.clone())).collect())
            }
            (View::Room(shown), State::Workspace(folded)) => {
                let room = (shown.workspace != folded.workspace).then(|| "the room itself differs".to_owned());
                let members = || maps("member", &shown.members, &folded.members);
                room.or_else(members).or_else(|| maps("widget", &shown.widgets, &folded.widgets))
            }
            _ => Some("it belongs to another kind of channel".into()),
        }
    }
}

/// The first entry that is not the same in both.
fn maps<T: PartialEq + Debug>(what: &str, shown: &BTreeMap<Uuid, T>, folded: &BTreeMap<Uuid, T>) -> Option<String> {
    if shown == folded {
        return None;
    }
    let extra = shown.keys().find(|id| !folded.contains_key(*id));
    let extra = extra.map(|id| format!("{what} {id} is shown, and by the log there is none"));
    let missing = || {
        let id = folded.keys().find(|id| !shown.contains_key(*id))?;
        Some(format!("{what} {id} is not shown, and by the log there is one"))
    };
    let changed = || {
        let (id, value) = shown.iter().find(|(id, value)| folded.get(*id) != Some(*value))?;
        Some(format!("{what} {id} is shown as {value:?}; by the log it is {:?}", folded.get(id)?))
    };
    extra.or_else(missing).or_else(changed)
}

impl Serialize for View {
    /// A digest for each thing that is shown, by its name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = BTreeMap::new();
        match self {
            View::Home(state) => {
                add(&mut shown, "me", &state.me);
                add(&mut shown, "settings", &state.settings);
                add(&mut shown, "following", &state.following);
                state.task_lists.iter().for_each(|(id, list)| add(&mut shown, &format!("list {id}"), list));
                state.tasks.iter().for_each(|(id, task)| add(&mut shown, &format!("task {id}"), task));
                state.memberships.iter().for_each(|(id, member)| add(&mut shown, &format!("room {id}"), member));
            }
            View::Likes(likes) => likes.iter().for_each(|(id, like)| add(&mut shown, &format!("like {id}"), like)),
            View::Author(user) => add(&mut shown, "user", user),
            View::Posts(posts) => posts.iter().for_each(|(id, post)| add(&mut shown, &format!("post {id}"), post)),
            View::Comments(_, comments) => {
                comments.iter().for_each(|(id, comment)| add(&mut shown, &format!("comment {id}"), comment));
            }
            View::Room(state) => {
                add(&mut shown, "room", &state.workspace);
                state.members.iter().for_each(|(id, member)| add(&mut shown, &format!("member {id}"), member));
                state.widgets.iter().for_each(|(id, widget)| add(&mut shown, &format!("widget {id}"), widget));
            }
        }
        shown.serialize(serializer)
    }
}

fn add(shown: &mut BTreeMap<String, u64>, name: &str, value: &impl Serialize) {
    shown.insert(name.into(), digest(&serde_json::to_value(value).unwrap_or(Value::Null)));
}
