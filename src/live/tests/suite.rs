//! The tests, in the format of the module that holds them.

pub(in crate::live::tests) mod backend;
mod client;
mod nodes;

mod bars;
mod deadlines;
mod drain;
mod formats;
mod hints;
mod lag;
mod memory;
mod order;
mod people;
mod presence;
mod presence_nodes;
mod presence_rights;
mod recent;
mod recovery;
mod removal;
mod resumes;
mod sessions;
mod slots;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::format::Format;
use studyhall_protocol::settings::PresenceVisibility;
use tokio::net::{TcpListener, TcpSocket};
use uuid::Uuid;

use self::backend::Toy;
use self::client::Client;
use super::FORMAT;
use crate::live::backend::{Admission, Grant, Identity, LogEvent, Standing, Visitor};
use crate::live::conn::Conn;
use crate::live::newcomer::Asked;
use crate::live::roster::{Alone, Roster};
use crate::live::session::Session;
use crate::live::socket;
use crate::live::standing::Known;
use crate::live::topic::Topic;
use crate::live::{Hub, HubLink, Limits};

/// The format that these tests are not in.
const OTHER: Format = match FORMAT {
    Format::Json => Format::Protobuf,
    Format::Protobuf => Format::Json,
};

/// No step of a test takes longer unless something is broken.
const DEADLINE: Duration = Duration::from_secs(10);

pub(in crate::live::tests) fn user(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(in crate::live::tests) fn room(n: u128) -> Channel {
    Channel::Workspace(Uuid::from_u128(0xA000 + n))
}

fn profile(n: u128) -> Channel {
    Channel::Profile(Uuid::from_u128(0xB000 + n))
}

/// An engine that listens, and its surroundings.
pub(in crate::live::tests) struct Engine {
    pub hub: Arc<Hub>,
    pub toy: Arc<Toy>,
    /// For clients that speak the format of these tests.
    address: std::net::SocketAddr,
    /// For clients that speak the other one.
    other: std::net::SocketAddr,
}

impl Engine {
    pub async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    async fn start_with(limits: Limits) -> Self {
        Self::start_among(limits, Arc::default(), Arc::new(Alone)).await
    }

    /// One of several nodes.
    async fn start_among(limits: Limits, toy: Arc<Toy>, roster: Arc<dyn Roster>) -> Self {
        let hub = Hub::start(limits, toy.clone(), roster, 2);
        let link = HubLink::default();
        link.set(&hub);
        toy.hubs.lock().push(link);
        let (address, other) = (accept(&hub, FORMAT), accept(&hub, OTHER));
        Self { hub, toy, address, other }
    }

    /// A client that has sent nothing yet.
    async fn client(&self) -> Client {
        Client::open(self.address, None).await
    }

    /// A client that is connected as this person.
    async fn connected(&self, n: u128) -> Client {
        let mut client = self.client().await;
        client.connect(&format!("u{n}")).await;
        client
    }

    /// A client that is connected as this person and speaks the other format.
    async fn foreigner(&self, n: u128) -> Client {
        let mut client = Client::open_in(self.other, OTHER).await;
        client.connect(&format!("u{n}")).await;
        client
    }

    /// A connected client whose kernel takes little, so that it can be made to lag.
    async fn small_reader(&self, n: u128) -> Client {
        let mut client = Client::open(self.address, Some(4 * 1024)).await;
        client.connect(&format!("u{n}")).await;
        client
    }

    /// A connected client with one subscription.
    pub async fn subscribed(&self, n: u128, channel: Channel) -> Client {
        let mut client = self.connected(n).await;
        client.subscribe(channel).await;
        client
    }

    /// Commits events and applies them.
    pub fn publish(&self, channel: Channel, count: usize) {
        let events: Vec<LogEvent> = (0..count).map(|_| self.toy.commit(channel, Vec::new())).collect();
        self.hub.apply(events);
    }

    fn topic(&self, channel: Channel) -> Arc<Topic> {
        self.hub.topics.get(&channel).unwrap().clone()
    }

    /// The connection of this person; there has to be one only.
    pub fn conn(&self, n: u128) -> Arc<Conn> {
        let mut found = self.hub.conns.iter().filter(|conn| conn.user_id.get() == Some(&user(n)));
        let conn = found.next().unwrap().clone();
        assert!(found.next().is_none());
        conn
    }
}

/// What was asked about somebody who takes a seat without a question.
struct Answers {
    standing: Arc<Known>,
    admission: Admission,
}

impl Answers {
    fn new(head: u64, place: bool) -> Self {
        let (user_id, audience) = (user(0), PresenceVisibility::Everyone);
        let standing = Standing { user_id, audience, invisible: false, hidden: Vec::new() };
        let (grant, epoch) = (Grant::Member, "e1".into());
        let admission = Admission { grant, head, floor: 1, epoch, place, sees: true, last_seen_at: None };
        Self { standing: Arc::new(Known { version: 0, standing }), admission }
    }

    fn of<'a>(&'a self, identity: &'a Identity) -> Asked<'a> {
        Asked { identity, standing: &self.standing, admission: &self.admission, at: std::time::Instant::now() }
    }
}

/// Serves whoever comes, in this format.
fn accept(hub: &Arc<Hub>, format: Format) -> std::net::SocketAddr {
    let listener = listen();
    let address = listener.local_addr().unwrap();
    let accepting = hub.clone();
    hub.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if accepting.admit_connection().is_err() {
                continue;
            }
            socket::prepare(&stream).unwrap();
            let conn = accepting.register(stream, format);
            let session = Session::new(accepting.clone(), conn.clone(), Visitor::default());
            accepting.tasks.spawn(socket::serve(accepting.clone(), conn, session, Vec::new()));
        }
    });
    address
}

/// A listener on the loopback with a queue that holds every test.
pub(in crate::live::tests) fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1_024).unwrap()
}

/// Waits until something that another task does is true.
pub(in crate::live::tests) async fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + DEADLINE;
    while !test() {
        assert!(std::time::Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
