//! Loading state, as a page does before it subscribes.

use rand::RngExt;
use rand::seq::IndexedRandom;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::posts::{CommentPerson, FeedPost};
use studyhall_protocol::rest::{Answer, Page};
use studyhall_protocol::social::UserView;
use studyhall_protocol::workspaces::Room;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::super::api::{Api, Failed};
use super::super::history::What;
use super::super::state::{Snapshot, View};
use super::Client;

impl Client {
    /// Loads the state of a channel and goes on from there.
    pub(super) async fn load(&mut self, channel: Channel) {
        let (load, person) = (self.shared.number(), &self.shared.people[self.me]);
        let url = if self.random.random_bool(0.5) { self.url } else { self.random.random_range(0..100) };
        self.shared.recorder.record(What::Load { load });
        let (api, token) = (&self.shared.api, person.token.as_str());
        let post = { self.shared.world.lock().posts.choose(&mut self.random).copied() };
        let snapshots = match (channel, self.random.random_range(0..4)) {
            (Channel::User(_), _) => home(api, url, token).await,
            (Channel::Profile(id), 0..2) => posts(api, url, token, id, person.id).await,
            (Channel::Profile(id), 2) => match post {
                Some((author, post)) => comments(api, url, token, (self.shared.people[author].id, post)).await,
                None => author(api, url, token, id).await,
            },
            (Channel::Profile(id), _) => author(api, url, token, id).await,
            (Channel::Workspace(id), _) => room(api, url, token, id).await,
        };
        let Ok(snapshots) = snapshots else { return };
        let (client, person) = (self.number, person.id);
        let position = snapshots.iter().map(|shown| &shown.position).find(|position| position.channel == channel);
        let position = position.cloned();
        self.shared.recorder.record(What::Loaded { load, client, person, snapshots });
        // Not under an open subscription: that has its own position.
        if let Some(position) = position
            && !self.session.as_ref().is_some_and(|session| session.open.contains(&channel))
        {
            self.positions.insert(channel, position);
        }
    }
}

/// What is shown of those channels that the answer has a position of.
fn shown(positions: &[Position], views: Vec<(Channel, View)>) -> Vec<Snapshot> {
    let of = |channel: Channel| positions.iter().find(|position| position.channel == channel).cloned();
    views.into_iter().filter_map(|(channel, state)| Some(Snapshot { position: of(channel)?, state })).collect()
}

/// `user:`, and the person of `profile:`.
pub async fn home(api: &Api, url: usize, token: &str) -> Result<Vec<Snapshot>, Failed> {
    let page: Dashboard = api.get(url, token, "/dashboard").await?;
    let (id, positions, user) = (page.me.user.id, page.positions.clone(), page.me.user.clone());
    let views = vec![
        (Channel::User(id), View::Home(Box::new(page.into()))),
        (Channel::Profile(id), View::Author(Box::new(user))),
    ];
    Ok(shown(&positions, views))
}

/// Everything of a room.
pub async fn room(api: &Api, url: usize, token: &str, id: Uuid) -> Result<Vec<Snapshot>, Failed> {
    let room: Room = api.get(url, token, &format!("/workspaces/{id}")).await?;
    let positions = room.positions.clone();
    Ok(shown(&positions, vec![(Channel::Workspace(id), View::Room(Box::new(room.into())))]))
}

/// A person.
pub async fn author(api: &Api, url: usize, token: &str, id: Uuid) -> Result<Vec<Snapshot>, Failed> {
    let answer: Answer<UserView> = api.get(url, token, &format!("/users/{id}")).await?;
    Ok(shown(&answer.positions, vec![(Channel::Profile(id), View::Author(Box::new(answer.data.user)))]))
}

/// Somebody's posts, and which of them I like.
pub async fn posts(api: &Api, url: usize, token: &str, id: Uuid, me: Uuid) -> Result<Vec<Snapshot>, Failed> {
    let page: Page<FeedPost> = api.get(url, token, &format!("/users/{id}/posts?limit=100")).await?;
    let likes = page.items.iter().map(|item| (item.post.id, item.liked_by_me)).collect();
    let mut views = vec![(Channel::User(me), View::Likes(likes))];
    if page.next_cursor.is_none() {
        let posts = page.items.into_iter().map(|item| (item.post.id, item.post)).collect();
        views.push((Channel::Profile(id), View::Posts(posts)));
    }
    Ok(shown(&page.positions, views))
}

/// What was said about a post of this author.
async fn comments(api: &Api, url: usize, token: &str, of: (Uuid, Uuid)) -> Result<Vec<Snapshot>, Failed> {
    let (author, post) = of;
    let page: Page<CommentPerson> = api.get(url, token, &format!("/posts/{post}/comments?limit=100")).await?;
    let comments = page.items.into_iter().map(|item| (item.comment.id, item.comment)).collect();
    let whole = page.next_cursor.is_none().then_some((Channel::Profile(author), View::Comments(post, comments)));
    Ok(shown(&page.positions, whole.into_iter().collect()))
}
