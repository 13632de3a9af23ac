//! The files of the demo world. What a file says beyond the named fields is the payload of the command that makes it.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use studyhall_protocol::presence::PresenceSet;

/// The payload of a command.
pub type Fields = Map<String, Value>;

/// What the demo world is made of.
#[derive(Debug)]
pub struct World {
    /// `people.json`
    pub people: People,
    /// `lists.json`
    pub lists: Vec<List>,
    /// `rooms.json`
    pub rooms: Vec<Room>,
    /// `feed.json`
    pub feed: Feed,
}

/// `people.json`
#[derive(Debug, Deserialize)]
pub struct People {
    /// Everybody's.
    pub password: String,
    /// The first one is who visitors are told to sign in as.
    pub people: Vec<Person>,
}

/// Somebody, and what their profile says.
#[derive(Debug, Deserialize)]
pub struct Person {
    /// As they sign in.
    pub username: String,
    /// What they are at while the demo runs.
    #[serde(default)]
    pub presence: Option<PresenceSet>,
    /// For `profile.update`.
    #[serde(flatten)]
    pub profile: Fields,
}

/// A task list.
#[derive(Debug, Deserialize)]
pub struct List {
    /// A username.
    pub owner: String,
    /// In their order.
    pub tasks: Vec<Task>,
    /// For `task_list.create`.
    #[serde(flatten)]
    pub list: Fields,
}

/// A task.
#[derive(Debug, Deserialize)]
pub struct Task {
    /// Counted from the day on which the owner's account was made.
    pub due_in_days: Option<u16>,
    /// Ticked already.
    #[serde(default)]
    pub is_completed: bool,
    /// For `task.create`.
    #[serde(flatten)]
    pub task: Fields,
}

/// A room.
#[derive(Debug, Deserialize)]
pub struct Room {
    /// A username.
    pub owner: String,
    /// Usernames.
    #[serde(default)]
    pub members: Vec<String>,
    /// Each for `widget.create`.
    #[serde(default)]
    pub widgets: Vec<Fields>,
    /// For `workspace.create`.
    #[serde(flatten)]
    pub room: Fields,
}

/// `feed.json`
#[derive(Debug, Default, Deserialize)]
pub struct Feed {
    /// Who follows whom.
    #[serde(default)]
    pub follows: Vec<Follows>,
    /// Oldest first.
    #[serde(default)]
    pub posts: Vec<Post>,
}

/// Whom somebody follows.
#[derive(Debug, Deserialize)]
pub struct Follows {
    /// A username.
    pub follower: String,
    /// Usernames.
    pub followees: Vec<String>,
}

/// A post.
#[derive(Debug, Deserialize)]
pub struct Post {
    /// A username.
    pub author: String,
    /// Usernames.
    #[serde(default)]
    pub likes: Vec<String>,
    /// Oldest first.
    #[serde(default)]
    pub comments: Vec<Comment>,
    /// For `post.create`.
    #[serde(flatten)]
    pub post: Fields,
}

/// A comment.
#[derive(Debug, Deserialize)]
pub struct Comment {
    /// A username.
    pub author: String,
    /// What is said.
    pub body: String,
}

#[derive(Deserialize)]
struct Lists {
    lists: Vec<List>,
}

#[derive(Deserialize)]
struct Rooms {
    rooms: Vec<Room>,
}

impl World {
    /// The world in the binary, or the one that lies in a directory, in files of the same names.
    pub fn read(from: Option<&Path>) -> anyhow::Result<Self> {
        let lists: Lists = file(from, "lists.json", include_str!("../../../demo/lists.json"))?;
        let rooms: Rooms = file(from, "rooms.json", include_str!("../../../demo/rooms.json"))?;
        let people = file(from, "people.json", include_str!("../../../demo/people.json"))?;
        let feed = feed(from)?;
        Ok(Self { people, lists: lists.lists, rooms: rooms.rooms, feed })
    }
}

/// A world of before there was a feed has no such file.
fn feed(from: Option<&Path>) -> anyhow::Result<Feed> {
    if from.is_some_and(|directory| !directory.join("feed.json").exists()) {
        return Ok(Feed::default());
    }
    file(from, "feed.json", include_str!("../../../demo/feed.json"))
}

fn file<T: DeserializeOwned>(from: Option<&Path>, name: &str, embedded: &str) -> anyhow::Result<T> {
    let Some(directory) = from else {
        return serde_json::from_str(embedded).with_context(|| format!("the embedded {name}"));
    };
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not look like demo/{name}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_world_holds_together() {
        let world = World::read(None).unwrap();
        let known = |name: &str| world.people.people.iter().any(|person| person.username == name);
        assert!(world.people.people.len() >= 8 && world.people.password.len() >= 8);
        for list in &world.lists {
            assert!(known(&list.owner), "{}", list.owner);
            assert!(!list.tasks.is_empty());
        }
        for room in &world.rooms {
            assert!(known(&room.owner), "{}", room.owner);
            assert!(room.members.iter().all(|name| known(name) && *name != room.owner), "{:?}", room.members);
        }
        for follows in &world.feed.follows {
            assert!(known(&follows.follower), "{}", follows.follower);
            let others = |name: &String| known(name) && *name != follows.follower;
            assert!(follows.followees.iter().all(others), "{:?}", follows.followees);
        }
        assert!(world.feed.posts.len() >= 8);
        for post in &world.feed.posts {
            assert!(known(&post.author) && post.likes.iter().all(|name| known(name)), "{post:?}");
            assert!(post.comments.iter().all(|comment| known(&comment.author)), "{post:?}");
        }
    }
}
