//! What is watched and from where, and the REST calls that say so.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::de::DeserializeOwned;
use studyhall_protocol::Channel;
use studyhall_protocol::accounts::{Credentials, SignedIn, User};
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::posts::FeedPost;
use studyhall_protocol::rest::{Answer, Page, Position, Problem};
use studyhall_protocol::social::FollowPerson;
use studyhall_protocol::workspaces::Room;
use uuid::Uuid;

/// Of those whom I follow, as many are watched; a connection has 512 channels.
const FOLLOWED_MAX: usize = 200;

/// One channel: the last event that was printed, and how far it has to go after a reconnect.
pub struct Seat {
    /// Up to here everything was printed.
    pub position: Position,
    /// Where the log ended at the reconnect.
    pub head: Option<u64>,
    /// Events since the reconnect.
    pub missed: u64,
    /// The server ended it.
    over: bool,
}

/// All that is watched, and the names of what appears in it.
pub struct Watched {
    /// One per channel; they keep their places while a connection lasts.
    pub seats: Vec<Seat>,
    people: HashMap<Uuid, String>,
    rooms: HashMap<Uuid, String>,
    widgets: HashMap<Uuid, String>,
    me: Uuid,
    begun: bool,
    /// Whether it was said that this connection caught up; the first one has nothing to catch up with.
    told: bool,
}

impl Watched {
    /// A new connection begins.
    pub fn begin(&mut self) {
        self.seats.retain(|seat| !seat.over);
        for seat in &mut self.seats {
            (seat.head, seat.missed) = (None, 0);
        }
        self.told = !self.begun;
        self.begun = true;
    }

    /// How many events came, once every channel is where it was at the reconnect; says so only once.
    pub fn caught_up(&mut self) -> Option<u64> {
        let there = |seat: &Seat| seat.over || seat.head.is_some_and(|head| seat.position.offset >= head);
        if self.told || !self.seats.iter().all(there) {
            return None;
        }
        self.told = true;
        Some(self.seats.iter().map(|seat| seat.missed).sum())
    }

    /// The seat of a channel.
    pub fn seat(&mut self, channel: Channel) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.position.channel == channel)
    }

    /// A channel is over; whether any is left.
    pub fn leave(&mut self, channel: Channel) -> bool {
        if let Some(seat) = self.seat(channel) {
            seat.over = true;
        }
        self.seats.iter().any(|seat| !seat.over)
    }

    /// A channel's name for people.
    pub fn name(&self, channel: Channel) -> String {
        match channel {
            Channel::User(_) => "me".into(),
            Channel::Profile(id) => format!("profile {}", self.person(id)),
            Channel::Workspace(id) => self.rooms.get(&id).cloned().unwrap_or_else(|| short(id)),
        }
    }

    /// A person's name.
    pub fn person(&self, id: Uuid) -> String {
        self.people.get(&id).cloned().unwrap_or_else(|| short(id))
    }

    /// The name of a widget or a person, whichever a slot is of.
    pub fn thing(&self, id: Uuid) -> String {
        self.widgets.get(&id).cloned().unwrap_or_else(|| self.person(id))
    }

    /// Whether that is the one who watches.
    pub fn is_me(&self, id: Uuid) -> bool {
        self.me == id
    }

    fn add(&mut self, position: Position) {
        self.seats.push(Seat { position, head: None, missed: 0, over: false });
    }
}

/// The end of a UUID; the beginning of a v7 is the time and the same for many.
fn short(id: Uuid) -> String {
    let text = id.simple().to_string();
    format!("…{}", &text[26..])
}

/// The REST side.
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(url: &str) -> Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            bail!("{base}: the address must begin with http://; TLS is the proxy's");
        }
        Ok(Self { http: reqwest::Client::new(), base, token: String::new() })
    }

    /// Where the server is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token of the sign-in.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where the WebSocket is.
    pub fn socket_url(&self) -> String {
        format!("{}/connection/websocket", self.base.replacen("http", "ws", 1))
    }

    /// Signs in.
    pub async fn sign_in(&mut self, username: &str, password: &str) -> Result<()> {
        let credentials = Credentials { username: username.into(), password: password.into() };
        let request = self.http.post(format!("{}/api/v1/sessions", self.base)).json(&credentials);
        let signed_in: SignedIn = answer(request).await.with_context(|| format!("signing in as {username}"))?;
        self.token = signed_in.token;
        Ok(())
    }

    /// Signs out; when that fails, the sign-in ends by itself some day.
    pub async fn sign_out(&self) {
        let request = self.request(Method::DELETE, "/sessions/current");
        let _ = request.timeout(std::time::Duration::from_secs(2)).send().await;
    }

    /// Everything to watch, each with the position of the state that was read.
    pub async fn load(&self, workspaces: &[Uuid]) -> Result<Watched> {
        let home: Dashboard = self.get("/dashboard").await?;
        let me = home.me.user.id;
        let mut watched = Watched {
            seats: Vec::new(),
            people: HashMap::from([(me, home.me.user.username)]),
            rooms: HashMap::new(),
            widgets: HashMap::new(),
            me,
            begun: false,
            told: true,
        };
        let own = [Channel::User(me), Channel::Profile(me)];
        home.positions.into_iter().filter(|position| own.contains(&position.channel)).for_each(|p| watched.add(p));
        let mine = home.workspaces.iter().map(|workspace| workspace.id);
        let wanted = if workspaces.is_empty() { mine.collect() } else { workspaces.to_vec() };
        for id in wanted {
            let room: Room = self.get(&format!("/workspaces/{id}")).await.with_context(|| format!("room {id}"))?;
            watched.rooms.insert(id, room.workspace.name);
            watched.people.extend(room.people.into_iter().map(|person| (person.id, person.username)));
            let widgets = room.widgets.into_iter().map(|widget| (widget.id, widget.title.unwrap_or(widget.r#type)));
            watched.widgets.extend(widgets);
            room.positions.into_iter().for_each(|position| watched.add(position));
        }
        // The feed: the channels of those whom I follow, and their pills with them.
        let feed: Page<FeedPost> = self.get("/feed?limit=1").await?;
        let followed = |position: &Position| matches!(position.channel, Channel::Profile(id) if id != me);
        feed.positions.into_iter().filter(followed).take(FOLLOWED_MAX).for_each(|position| watched.add(position));
        let people: Page<FollowPerson> = self.get(&format!("/users/{me}/following?limit=100")).await?;
        watched.people.extend(people.items.into_iter().map(|person| (person.user.id, person.user.username)));
        Ok(watched)
    }

    /// Where a channel's state is now, for one that was left too long.
    pub async fn position(&self, channel: Channel) -> Result<Position> {
        let positions = match channel {
            Channel::Workspace(id) => self.get::<Room>(&format!("/workspaces/{id}")).await?.positions,
            Channel::User(_) => self.get::<Dashboard>("/dashboard").await?.positions,
            Channel::Profile(id) => self.get::<Answer<User>>(&format!("/users/{id}")).await?.positions,
        };
        positions.into_iter().find(|position| position.channel == channel).context("the answer has no position")
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        answer(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }
}

/// The answer, or what the problem says.
async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        let problem = serde_json::from_str::<Problem>(&body).ok();
        bail!(
            "{}",
            problem.map_or_else(|| status.to_string(), |problem| format!("{} ({})", problem.title, problem.code))
        );
    }
    serde_json::from_str(&body).context("the answer cannot be read")
}
