//! What comes over a connection.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use studyhall_protocol::client::{self, Info, PONG, Pub, Push, Reply, ServerLine, Subscribed};
use studyhall_protocol::error::WireError;
use studyhall_protocol::{Channel, Position};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::api::Sent;
use super::super::history::{self, What};
use super::super::shared::Shared;
use super::{Asked, Client};

impl Client {
    /// One frame: lines.
    pub(super) async fn frame(&mut self, frame: &str) {
        let mut answers = Vec::new();
        for line in client::lines(frame) {
            let Some(session) = &mut self.session else { return };
            session.heard = Instant::now();
            match ServerLine::parse(line) {
                Ok(ServerLine::Ping) => answers.push(PONG.to_owned()),
                Ok(ServerLine::Push { channel, push }) => self.push(channel, push),
                Ok(ServerLine::Reply { id, result }) => {
                    let Some((asked, _)) = session.asked.remove(&id) else { continue };
                    match result {
                        Ok(reply) => self.reply(asked, reply),
                        Err(error) => answers.extend(self.refused(asked, error).await),
                    }
                }
                // What a client cannot read it cannot live with.
                Err(_) => return self.vanish(),
            }
        }
        self.send(answers).await;
    }

    fn reply(&mut self, asked: Asked, reply: Reply<'_>) {
        let Some(session) = &mut self.session else { return };
        let (conn, url) = (session.conn, session.url);
        match (asked, reply) {
            (Asked::Connect, Reply::Connect(_)) => {
                session.connected = true;
                self.failures = 0;
            }
            (Asked::Command(errand, attempt), Reply::Rpc(answer)) => {
                let sent = match serde_json::from_str(answer.get()) {
                    Ok(answer) => Sent::Done(answer),
                    Err(_) => Sent::Unknown("an answer that cannot be read".into()),
                };
                self.shared.answered(errand, sent, (url, Some(conn)), attempt);
            }
            (Asked::Subscribe(channel, since), Reply::Subscribe(granted)) => {
                self.subscribed((channel, since), &granted)
            }
            (Asked::Unsubscribe(channel), _) => {
                session.open.remove(&channel);
                session.rooms.remove(&channel);
                self.shared.recorder.record(What::Unsubscribed { conn, channel, code: 0 });
            }
            _ => {}
        }
    }

    /// An error; what comes back is to be sent.
    async fn refused(&mut self, asked: Asked, error: WireError) -> Option<String> {
        let Some(session) = &mut self.session else { return None };
        let (conn, url) = (session.conn, session.url);
        match asked {
            Asked::Command(errand, attempt) => {
                self.shared.answered(errand, error.into(), (url, Some(conn)), attempt);
            }
            Asked::Connect => self.vanish(),
            Asked::Unsubscribe(_) => {}
            Asked::Subscribe(channel, since) => {
                let code = error.code;
                if code == WireError::unrecoverable_position().code {
                    if let (Some(offset), Some(position)) = (since, self.positions.remove(&channel)) {
                        let epoch = position.epoch.into();
                        self.shared.recorder.record(What::Resync { conn, channel, offset, epoch });
                    }
                    self.shared.recorder.record(What::Declined { conn, channel, code });
                    self.load(channel).await;
                    return self.subscribe(channel);
                }
                self.shared.recorder.record(What::Declined { conn, channel, code });
                if error.temporary {
                    // As the SDKs: a subscription that cannot be had now is tried again with the next connection.
                    self.vanish();
                } else {
                    self.wanted.remove(&channel);
                }
            }
        }
        None
    }

    fn subscribed(&mut self, (channel, since): (Channel, Option<u64>), granted: &Subscribed<'_>) {
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            people: Vec<Shown>,
        }
        let Some(session) = &mut self.session else { return };
        let position = Position { channel, offset: granted.offset, epoch: granted.epoch.clone() };
        let people = granted.data.filter(|_| matches!(channel, Channel::Workspace(_)));
        let people = people.and_then(|data| serde_json::from_str::<Data>(data.get()).ok());
        let people: Option<Vec<Uuid>> = people.map(|data| data.people.iter().map(|shown| shown.user).collect());
        session.open.insert(channel);
        session.rooms.extend(people.as_ref().map(|people| (channel, people.iter().copied().collect::<BTreeSet<_>>())));
        let (conn, recovered) = (session.conn, granted.recovered);
        self.positions.insert(channel, position.clone());
        let granted_now = history::Subscribed { conn, position, since, recovered, people };
        self.shared.recorder.record(What::Subscribed(Box::new(granted_now)));
        granted.publications.iter().for_each(|publication| self.publication(channel, publication));
    }

    fn push(&mut self, channel: Channel, push: Push<'_>) {
        match push {
            Push::Pub(publication) => self.publication(channel, &publication),
            Push::Join(info) => self.came(channel, &info, true),
            Push::Leave(info) => self.came(channel, &info, false),
            Push::Unsubscribe(ended) => {
                let Some(session) = &mut self.session else { return };
                session.open.remove(&channel);
                session.rooms.remove(&channel);
                // Events of the time without us are not for us; let in again, we load.
                self.positions.remove(&channel);
                self.wanted.remove(&channel);
                let (conn, code) = (session.conn, ended.code);
                self.shared.recorder.record(What::Unsubscribed { conn, channel, code });
            }
            Push::Unknown => {}
        }
    }

    fn publication(&mut self, channel: Channel, publication: &Pub<'_>) {
        let Some(session) = &mut self.session else { return };
        let conn = session.conn;
        let Some(offset) = publication.offset else {
            if let Some(people) = publication.data.and_then(people_anew) {
                session.rooms.insert(channel, people.iter().copied().collect());
                self.shared.recorder.record(What::Shown { conn, channel, people });
            }
            return;
        };
        let content = publication.data.map_or(0, Shared::content);
        self.shared.recorder.record(What::Event { conn, channel, offset, content });
        if let Some(position) = self.positions.get_mut(&channel) {
            // What was under way when a page was loaded anew may be older than the page.
            position.offset = offset.max(position.offset);
        }
    }

    fn came(&mut self, channel: Channel, info: &Info<'_>, came: bool) {
        let Some(session) = &mut self.session else { return };
        let (conn, person) = (session.conn, info.user);
        let shown = session.rooms.entry(channel).or_default();
        if came {
            shown.insert(person);
            self.shared.recorder.record(What::Joined { conn, channel, person });
        } else {
            shown.remove(&person);
            self.shared.recorder.record(What::Left { conn, channel, person });
        }
    }
}

#[derive(Deserialize)]
struct Shown {
    user: Uuid,
}

/// Who is in the room, when a publication says that anew.
fn people_anew(data: &RawValue) -> Option<Vec<Uuid>> {
    #[derive(Deserialize)]
    struct Anew<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
        #[serde(default)]
        data: Option<People>,
    }
    #[derive(Deserialize)]
    struct People {
        people: Vec<Shown>,
    }
    // Slot values of other kinds have other fields, so this must not fail loudly.
    let anew: Anew<'_> = serde_json::from_str(data.get()).ok().filter(|anew: &Anew<'_>| anew.kind == "slots")?;
    Some(anew.data?.people.into_iter().map(|shown| shown.user).collect())
}
