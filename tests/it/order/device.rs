//! A device of somebody: it keeps what its front end would show, over connections that come and go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use studyhall_protocol::EventRecord;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::state::{UserState, WorkspaceState};
use studyhall_protocol::workspaces::Room;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::harness::Person;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a channel adds up to, and where that is.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<S> {
    pub state: S,
    pub offset: u64,
    epoch: String,
}

/// A front end.
pub struct Device {
    pub person: Person,
    socket: Option<Socket>,
    lines: VecDeque<Value>,
    next_id: u64,
    pub room: Uuid,
    pub mine: Option<Held<UserState>>,
    pub hall: Option<Held<WorkspaceState>>,
    /// Whether the room is open on this device.
    pub inside: bool,
    pub people: BTreeSet<String>,
    /// By widget: the drag.
    pub drags: BTreeMap<String, Value>,
    /// Events that came over connections.
    pub events: usize,
    pub resumed: usize,
}

/// The connection is gone.
#[derive(Debug)]
pub struct Lost;

impl Device {
    pub fn new(person: Person, room: Uuid) -> Self {
        let (people, drags) = (BTreeSet::new(), BTreeMap::new());
        Self {
            person,
            socket: None,
            lines: VecDeque::new(),
            next_id: 1,
            room,
            mine: None,
            hall: None,
            inside: false,
            people,
            drags,
            events: 0,
            resumed: 0,
        }
    }

    fn hall_channel(&self) -> String {
        format!("workspace:{}", self.room)
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Without a word.
    pub fn vanish(&mut self) {
        if let Some(MaybeTlsStream::Plain(stream)) = self.socket.take().map(WebSocketStream::into_inner) {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        self.lines.clear();
        self.people.clear();
        self.drags.clear();
    }

    /// Connects to a node and goes on where it was; `Err` when the node is not there.
    pub async fn connect(&mut self, url: &str) -> Result<(), Lost> {
        self.vanish();
        let socket = url.replace("http://", "ws://") + "/connection/websocket";
        let opening = tokio::time::timeout(Duration::from_secs(5), tokio_tungstenite::connect_async(socket)).await;
        let Ok(Ok((socket, _))) = opening else { return Err(Lost) };
        self.socket = Some(socket);
        self.ask(json!({"connect": {"token": self.person.token}})).await?.expect("connected");
        self.open_mine(url).await?;
        if self.inside { self.enter(url).await } else { Ok(()) }
    }

    async fn open_mine(&mut self, url: &str) -> Result<(), Lost> {
        let channel = self.person.channel();
        loop {
            if self.mine.is_none() {
                let page = get(&self.person, url, "/dashboard").await?.expect("a dashboard");
                let at =
                    page["positions"].as_array().unwrap().iter().find(|at| at["channel"] == channel.as_str()).unwrap();
                let (offset, epoch) = (at["offset"].as_u64().unwrap(), at["epoch"].as_str().unwrap().to_owned());
                let page: Dashboard = serde_json::from_value(page).unwrap();
                self.mine = Some(Held { state: page.into(), offset, epoch });
            }
            let held = self.mine.as_ref().unwrap();
            let request = subscribe(&channel, held.offset, &held.epoch);
            match self.ask(request).await? {
                Ok(_) => return Ok(()),
                Err(error) => assert_eq!(error["code"], 112, "{error}"),
            }
            self.mine = None;
        }
    }

    /// Opens the room; one that is not to be had any more is closed on the device.
    pub async fn enter(&mut self, url: &str) -> Result<(), Lost> {
        let channel = self.hall_channel();
        loop {
            if self.hall.is_none() {
                let Some(page) = get(&self.person, url, &format!("/workspaces/{}", self.room)).await? else {
                    self.inside = false;
                    return Ok(());
                };
                let at = &page["positions"][0];
                let (offset, epoch) = (at["offset"].as_u64().unwrap(), at["epoch"].as_str().unwrap().to_owned());
                let room: Room = serde_json::from_value(page).unwrap();
                self.hall = Some(Held { state: room.into(), offset, epoch });
            } else {
                self.resumed += 1;
            }
            let held = self.hall.as_ref().unwrap();
            let request = subscribe(&channel, held.offset, &held.epoch);
            self.inside = true;
            match self.ask(request).await? {
                Ok(reply) => {
                    self.show(&reply["subscribe"]["data"]);
                    return Ok(());
                }
                Err(error) if error["code"] == 112 => self.hall = None,
                Err(error) => {
                    assert_eq!(error["code"], 102, "{error}");
                    (self.inside, self.hall) = (false, None);
                    return Ok(());
                }
            }
        }
    }

    pub async fn leave(&mut self) -> Result<(), Lost> {
        let channel = self.hall_channel();
        self.ask(json!({"unsubscribe": {"channel": channel}})).await?.unwrap();
        (self.inside, self.hall) = (false, None);
        self.people.clear();
        self.drags.clear();
        Ok(())
    }

    /// A command or another request and its reply; what is pushed meanwhile is taken.
    pub async fn ask(&mut self, mut request: Value) -> Result<Result<Value, Value>, Lost> {
        let id = self.next_id;
        self.next_id += 1;
        request["id"] = id.into();
        self.send(request.to_string()).await?;
        loop {
            let line = self.line(Duration::from_secs(20)).await?.ok_or(Lost)?;
            if line["id"] == id {
                return Ok(match line.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(line),
                });
            }
            self.take(&line);
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Lost> {
        let sent = self.socket.as_mut().ok_or(Lost)?.send(Message::text(text)).await;
        sent.map_err(|_| self.lost())
    }

    fn lost(&mut self) -> Lost {
        self.vanish();
        Lost
    }

    /// The next line; `None` when none comes in time.
    async fn line(&mut self, within: Duration) -> Result<Option<Value>, Lost> {
        let until = tokio::time::Instant::now() + within;
        loop {
            while let Some(line) = self.lines.pop_front() {
                if line != json!({}) {
                    return Ok(Some(line));
                }
                self.send("{}".into()).await?;
            }
            let next = self.socket.as_mut().ok_or(Lost)?.next();
            let message =
                if within.is_zero() { next.now_or_never() } else { tokio::time::timeout_at(until, next).await.ok() };
            match message {
                None => return Ok(None),
                Some(Some(Ok(Message::Text(text)))) => {
                    self.lines.extend(text.split('\n').map(|line| serde_json::from_str::<Value>(line).expect(line)));
                }
                Some(Some(Ok(Message::Close(_))) | Some(Err(_)) | None) => return Err(self.lost()),
                Some(Some(Ok(_))) => {}
            }
        }
    }

    /// Whether a widget that it shows is being dragged.
    pub fn shows_drags(&self) -> bool {
        let widgets = self.hall.as_ref().map(|held| &held.state.widgets);
        widgets.is_some_and(|widgets| widgets.keys().any(|id| self.drags.contains_key(&id.to_string())))
    }

    /// Takes what has come; with time to wait, all that comes in it.
    pub async fn pump(&mut self, within: Duration) {
        while let Ok(Some(line)) = self.line(within).await {
            self.take(&line);
        }
    }

    fn take(&mut self, line: &Value) {
        let push = &line["push"];
        let hall = push["channel"] == self.hall_channel().as_str();
        if push["unsubscribe"].is_object() {
            assert!(hall, "{line}");
            (self.inside, self.hall) = (false, None);
            self.people.clear();
            self.drags.clear();
        } else if let Some(offset) = push["pub"]["offset"].as_u64() {
            self.event(hall, offset, &push["pub"]["data"]);
        } else if let Some(user) = push["join"]["info"]["user"].as_str() {
            self.people.insert(user.to_owned());
        } else if let Some(user) = push["leave"]["info"]["user"].as_str() {
            self.people.remove(user);
        } else if push["pub"]["data"]["type"] == "slots" {
            self.show(&push["pub"]["data"]["data"]);
        } else if push["pub"].is_object() {
            self.slot(&push["pub"]["data"]);
        }
    }

    fn event(&mut self, hall: bool, offset: u64, event: &Value) {
        self.events += 1;
        let record: EventRecord = serde_json::from_value(event.clone()).unwrap();
        if hall {
            // Of a room that was left a moment ago.
            let Some(held) = &mut self.hall else { return };
            assert_eq!(offset, held.offset + 1, "a gap or a duplicate in the room");
            held.offset = offset;
            held.state.apply(&record.event).unwrap();
            let widget = event["data"]["widget"]["id"].as_str().unwrap_or_default();
            if event["type"] == "widget.moved"
                && self.drags.get(widget).is_some_and(|drag| drag["drag_id"] == event["data"]["drag_id"])
            {
                self.drags.remove(widget);
            }
        } else {
            let held = self.mine.as_mut().unwrap();
            assert_eq!(offset, held.offset + 1, "a gap or a duplicate of one's own");
            held.offset = offset;
            held.state.apply(&record.event).unwrap();
        }
    }

    fn slot(&mut self, published: &Value) {
        if published["type"] == "drag" && self.inside {
            let key = published["key"].as_str().unwrap().to_owned();
            match published["data"].is_null() {
                true => self.drags.remove(&key),
                false => self.drags.insert(key, published["data"].clone()),
            };
        }
    }

    /// All people and slots of the room at once.
    fn show(&mut self, all: &Value) {
        let people = all["people"].as_array().into_iter().flatten();
        self.people = people.map(|person| person["user"].as_str().unwrap().to_owned()).collect();
        self.drags.clear();
        all["slots"].as_array().into_iter().flatten().for_each(|slot| self.slot(slot));
    }
}

fn subscribe(channel: &str, offset: u64, epoch: &str) -> Value {
    json!({"subscribe": {"channel": channel, "flag": 3, "join_leave": true, "recover": true, "offset": offset,
        "epoch": epoch}})
}

/// A page of REST; `None` for what is not to be had.
pub async fn get(person: &Person, url: &str, path: &str) -> Result<Option<Value>, Lost> {
    let asked = reqwest::Client::new().get(format!("{url}/api/v1{path}")).bearer_auth(&person.token).send().await;
    let answer = asked.map_err(|_| Lost)?;
    match answer.status().as_u16() {
        200 => Ok(Some(serde_json::from_str(&answer.text().await.map_err(|_| Lost)?).unwrap())),
        404 => Ok(None),
        503 => Err(Lost),
        other => panic!("{path}: {other}"),
    }
}
