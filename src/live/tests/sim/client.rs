//! A client of the simulation: it remembers what it was told, and knows what it may be told next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::Seen;
use super::world::Truth;
use crate::live::Hub;
use crate::live::backend::Visitor;
use crate::live::conn::Conn;
use crate::live::stream::{self, Opening, Road};
use crate::live::tests::json::suite::room;
use crate::live::transport::Transport;

/// A position in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub offset: u64,
    pub epoch: String,
}

/// A subscription, from its request on.
#[derive(Debug)]
struct Subscription {
    /// Of the last event that came, or where it began.
    at: Position,
    /// The head when it was asked for, and when the answer was read.
    asked_at: u64,
    answered_at: u64,
    /// Restores before it.
    restores: usize,
}

/// What was asked and is not answered yet.
#[derive(Debug)]
struct Asked {
    channel: Channel,
    from: Option<Position>,
    asked_at: u64,
    /// Restores before it.
    restores: usize,
}

/// The side of a client that a connection has.
pub struct Link {
    pub node: usize,
    hub: Arc<Hub>,
    conn: Arc<Conn>,
    /// As long as it is here, so is the client.
    _body: Body,
    session: Option<String>,
    input: Vec<u8>,
    asked: HashMap<u64, Asked>,
    /// Commands that cannot be sent before there is a session.
    waiting: VecDeque<String>,
    subscriptions: HashMap<Channel, Subscription>,
}

pub struct Client {
    pub user_id: Uuid,
    token: String,
    pub link: Option<Link>,
    /// Where it was, in every channel that it ever read.
    positions: HashMap<Channel, Position>,
    next_id: u64,
}

impl Client {
    pub fn new(number: usize) -> Self {
        let user_id = Uuid::from_u128(number as u128 + 1);
        let token = format!("u{}", number + 1);
        Self { user_id, token, link: None, positions: HashMap::new(), next_id: 2 }
    }

    /// Opens a connection to a node.
    pub fn connect(&mut self, node: usize, hub: &Arc<Hub>) {
        let commands = Bytes::from(json!({"id": 1, "connect": {"token": self.token}}).to_string());
        let opening = Opening { road: Road::new(None), format: Format::Json, visitor: Visitor::default(), commands };
        let body = stream::open(hub, opening).unwrap();
        let conn = hub.conns.iter().max_by_key(|conn| conn.id.0).unwrap().clone();
        self.link = Some(Link {
            node,
            hub: hub.clone(),
            conn,
            _body: body,
            session: None,
            input: Vec::new(),
            asked: HashMap::new(),
            waiting: VecDeque::new(),
            subscriptions: HashMap::new(),
        });
    }

    /// The connection is lost; where it was is kept.
    pub fn vanish(&mut self) {
        self.link = None;
    }

    pub fn is_subscribed(&self, channel: Channel) -> bool {
        self.link.as_ref().is_some_and(|link| link.subscriptions.contains_key(&channel))
    }

    /// Whether something was asked and not answered.
    pub fn is_waiting(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.asked.is_empty())
    }

    /// From the last position, if there is one; otherwise from that of a load.
    pub fn subscribe(&mut self, channel: Channel, truth: &Truth) {
        let known = self.positions.get(&channel).cloned();
        let Some(link) = &mut self.link else { return };
        if link.subscriptions.contains_key(&channel) || link.asked.values().any(|asked| asked.channel == channel) {
            return;
        }
        let from = known.or_else(|| truth.load(self.user_id, channel));
        let Some(from) = from else { return };
        let id = self.next_id;
        self.next_id += 1;
        let request =
            json!({"channel": channel, "recover": true, "offset": from.offset, "epoch": from.epoch, "flag": 3});
        link.asked
            .insert(id, Asked { channel, from: Some(from), asked_at: truth.head(channel), restores: truth.restores() });
        link.say(json!({"id": id, "subscribe": request}).to_string());
    }

    pub fn unsubscribe(&mut self, channel: Channel) {
        let Some(link) = &mut self.link else { return };
        if link.subscriptions.remove(&channel).is_some() {
            self.next_id += 1;
            link.say(json!({"id": self.next_id, "unsubscribe": {"channel": channel}}).to_string());
            // What was on its way comes after this and is of no interest: come back from where it was read to.
            self.vanish();
        }
    }

    /// Takes one batch; whether there was one.
    pub fn read(&mut self, truth: &Truth, seen: &mut Seen) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Transport::Stream(stream) = &link.conn.transport else { return false };
        let Some(bytes) = stream.take() else {
            // Whoever did not take the end in time finds the connection gone.
            if !link.hub.conns.contains_key(&link.conn.id.0) {
                self.link = None;
            }
            return false;
        };
        link.input.extend_from_slice(&bytes);
        assert!(link.conn.held_bytes() <= 64 * 1024, "{} bytes wait for one reader", link.conn.held_bytes());
        while let Some(end) = self.link.as_ref().and_then(|link| link.input.iter().position(|byte| *byte == b'\n')) {
            let line: Vec<u8> = self.link.as_mut().unwrap().input.drain(..=end).collect();
            self.line(&serde_json::from_slice(&line).unwrap(), truth, seen);
        }
        true
    }

    fn line(&mut self, line: &Value, truth: &Truth, seen: &mut Seen) {
        if line["id"] == 1 {
            let link = self.link.as_mut().unwrap();
            link.session = Some(line["connect"]["session"].as_str().unwrap().to_owned());
            for command in std::mem::take(&mut link.waiting) {
                link.say(command);
            }
        } else if let Some(id) = line["id"].as_u64() {
            let link = self.link.as_mut().unwrap();
            if let Some(asked) = link.asked.remove(&id) {
                self.answered(asked, line, truth, seen);
            }
        } else if let Some(code) = line["push"]["disconnect"]["code"].as_u64() {
            self.closed(code, truth, seen);
        } else if let Some(channel) = line["push"]["channel"].as_str() {
            let channel: Channel = channel.parse().unwrap();
            if line["push"]["unsubscribe"].is_object() {
                seen.put_out += 1;
                let link = self.link.as_mut().unwrap();
                let ended = link.subscriptions.remove(&channel).expect("the end of no subscription");
                let put_out = truth.was_put_out(self.user_id, channel, ended.asked_at);
                assert!(put_out || truth.restores() > ended.restores, "ended for no reason");
            } else if line["push"]["pub"]["offset"].is_u64() {
                seen.events += 1;
                self.event(channel, &line["push"]["pub"], truth);
            }
        }
    }

    fn answered(&mut self, asked: Asked, line: &Value, truth: &Truth, seen: &mut Seen) {
        let channel = asked.channel;
        match line["error"]["code"].as_u64() {
            None => {
                let result = &line["subscribe"];
                let at = Position {
                    offset: result["offset"].as_u64().unwrap_or(0),
                    epoch: result["epoch"].as_str().unwrap().into(),
                };
                assert_eq!(Some(&at), asked.from.as_ref(), "it goes on from somewhere else");
                assert_eq!(result["recovered"], true);
                seen.subscribed += 1;
                seen.resumed += u64::from(at.offset < truth.head(channel));
                self.positions.insert(channel, at.clone());
                let (asked_at, answered_at) = (asked.asked_at, truth.head(channel));
                let subscription = Subscription { at, asked_at, answered_at, restores: asked.restores };
                self.link.as_mut().unwrap().subscriptions.insert(channel, subscription);
            }
            Some(112) => {
                let from = asked.from.unwrap();
                assert!(truth.is_unrecoverable(channel, &from), "{from:?} could have been recovered from");
                seen.unrecoverable += 1;
                self.positions.remove(&channel);
            }
            Some(103) => {
                let out = truth.was_out(self.user_id, channel, asked.asked_at);
                assert!(out || truth.restores() > asked.restores, "refused for no reason");
            }
            // Its right was taken again and again while it was asked for, or the log was replaced meanwhile.
            Some(100) => {
                let troubled = truth.restores() > asked.restores || truth.was_put_out(self.user_id, channel, 0);
                assert!(troubled, "an error of the server's own: {line}");
            }
            Some(code) => panic!("error {code}: {line}"),
        }
    }

    fn event(&mut self, channel: Channel, publication: &Value, truth: &Truth) {
        let link = self.link.as_mut().unwrap();
        let subscription = link.subscriptions.get_mut(&channel).expect("an event of no subscription");
        let offset = publication["offset"].as_u64().unwrap();
        assert_eq!(offset, subscription.at.offset + 1, "a gap or a duplicate in {channel}");
        subscription.at.offset = offset;
        let told = publication["data"]["data"]["id"].as_u64();
        assert_eq!(
            told,
            truth.content(&subscription.at.epoch, channel, offset),
            "another event at {offset} of {channel}"
        );
        let (asked_at, answered_at) = (subscription.asked_at, subscription.answered_at);
        // What was on its way before a restore is of the old log: its numbers say nothing about the removals of the new one.
        let of_now = truth.position(channel).epoch == subscription.at.epoch;
        assert!(
            !of_now || !truth.is_beyond_a_removal(self.user_id, channel, asked_at, answered_at, offset),
            "event {offset} of {channel} came to somebody who was put out before it"
        );
        self.positions.insert(channel, subscription.at.clone());
    }

    fn closed(&mut self, code: u64, truth: &Truth, seen: &mut Seen) {
        assert_eq!(code, 3010, "closed");
        let link = self.link.take().unwrap();
        // An answer of before a restore ends the channel as well, though it is of the new log already: epochs have no order.
        let void = truth.restores() > 0
            || link.subscriptions.iter().any(|(channel, held)| truth.is_unrecoverable(*channel, &held.at));
        assert!(void, "told to load anew for no reason: {:?}", link.subscriptions);
        seen.closed += 1;
        // Whoever is told so loads everything anew.
        for channel in link.subscriptions.keys() {
            self.positions.remove(channel);
        }
    }

    /// When all is well and everything was read: it has come to the head wherever it may be.
    pub fn assert_complete(&self, truth: &Truth) {
        let link = self.link.as_ref().expect("not connected");
        for channel in (0..super::plan::CHANNELS).map(room) {
            let held = link.subscriptions.get(&channel);
            assert_eq!(held.is_some(), !truth.is_out(self.user_id, channel), "{channel} of {}", self.user_id);
            if let Some(held) = held {
                assert_eq!(held.at, truth.position(channel), "not at the head of {channel}");
            }
        }
    }
}

impl Link {
    fn say(&mut self, command: String) {
        let Some(session) = &self.session else {
            self.waiting.push_back(command);
            return;
        };
        // A connection that was closed meanwhile says so when it is read.
        let _ = self.hub.deliver_now(session, Bytes::from(command));
    }
}
