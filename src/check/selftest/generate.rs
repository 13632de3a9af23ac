//! A server in memory, and clients that write down what it does: histories without a fault in them.
//!
//! Two rooms, the channels of three people. One command at a time takes its number; acknowledgements, events and loads come
//! later, in any order that a right server could show.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use studyhall_protocol::event::EventRecord;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::super::history::{Ack, Ending, FinalLog, Finals, History, Invoke, Logged, Record, What, digest};
use super::super::state::{Snapshot, State, View};

/// The epoch of all logs.
pub const EPOCH: &str = "e1";
/// Devices: two of each of the first two people, one of the third.
pub(super) const OWNERS: [usize; 5] = [0, 0, 1, 1, 2];

/// A log as the server has it.
pub(super) struct Log {
    pub(super) events: Vec<Logged>,
    pub(super) state: State,
}

/// A device.
pub(super) struct Device {
    pub(super) conn: u32,
    /// Subscriptions: the last number that came.
    pub(super) at: BTreeMap<Channel, u64>,
    /// What it knows from before this connection.
    pub(super) known: BTreeMap<Channel, u64>,
}

/// The server and everything around it.
pub struct Maker {
    pub(super) random: StdRng,
    pub(super) now: u64,
    pub(super) records: Vec<Record>,
    pub(super) logs: BTreeMap<Channel, Log>,
    pub(super) people: Vec<Uuid>,
    pub(super) rooms: Vec<Uuid>,
    /// In the second room: whether the third person is in it.
    pub(super) inside: bool,
    pub(super) lists: HashMap<usize, Uuid>,
    pub(super) tasks: Vec<(usize, Uuid)>,
    pub(super) widgets: Vec<(usize, Uuid)>,
    pub(super) devices: Vec<Device>,
    /// Records that come later.
    pub(super) later: Vec<(u64, What)>,
    pub(super) numbers: u32,
}

fn id(random: &mut StdRng) -> Uuid {
    Uuid::from_u128(random.random())
}

fn moment(now: u64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_790_000_000_000_000 + i64::try_from(now).unwrap_or_default()).unwrap_or_default()
}

/// A clean history with about as many commands.
pub fn history(seed: u64, commands: usize) -> History {
    let mut maker = Maker::new(seed);
    for number in 0..commands {
        maker.step(number);
    }
    maker.finish()
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let people: Vec<Uuid> = (0..3).map(|_| id(&mut random)).collect();
        let rooms: Vec<Uuid> = (0..2).map(|_| id(&mut random)).collect();
        let own = people.iter().flat_map(|person| [Channel::User(*person), Channel::Profile(*person)]);
        let channels = own.chain(rooms.iter().map(|room| Channel::Workspace(*room)));
        let logs =
            channels.map(|channel| (channel, Log { events: Vec::new(), state: State::empty(channel) })).collect();
        let mut maker = Self {
            random,
            now: 1_000,
            records: Vec::new(),
            logs,
            people,
            rooms,
            inside: true,
            lists: HashMap::new(),
            tasks: Vec::new(),
            widgets: Vec::new(),
            devices: Vec::new(),
            later: Vec::new(),
            numbers: 1,
        };
        maker.furnish();
        maker
    }

    /// Rooms, lists and connections to begin with.
    fn furnish(&mut self) {
        for room in self.rooms.clone() {
            let workspace = json!({"id": room, "user_id": self.people[0], "name": "Room", "background_type": "color",
                "background_value": null, "background_color": null, "settings": {},
                "created_at": moment(self.now), "updated_at": moment(self.now)});
            self.command(0, "workspace.create", &[(Channel::Workspace(room), "workspace.created", workspace)]);
            for person in 0..3 {
                self.member(room, person, true);
            }
        }
        for person in 0..3 {
            let list = id(&mut self.random);
            self.lists.insert(person, list);
            let data = json!({"id": list, "user_id": self.people[person], "name": "List", "description": null,
                "created_at": moment(self.now), "updated_at": moment(self.now)});
            let mine = Channel::User(self.people[person]);
            self.command(person, "task_list.create", &[(mine, "task_list.created", data)]);
        }
        self.flush(u64::MAX);
        for device in 0..OWNERS.len() {
            self.devices.push(Device { conn: 0, at: BTreeMap::new(), known: BTreeMap::new() });
            self.connect(device);
        }
    }

    pub(super) fn say(&mut self, what: What) {
        self.now += self.random.random_range(1..2_000);
        self.flush(self.now);
        self.records.push(Record { at: self.now, what });
    }

    /// What was to come until then.
    fn flush(&mut self, until: u64) {
        self.later.sort_by_key(|(at, _)| *at);
        let due = self.later.partition_point(|(at, _)| *at <= until);
        for (at, what) in self.later.drain(..due).collect::<Vec<_>>() {
            let at = self.records.last().map_or(at, |last| at.max(last.at));
            self.now = self.now.max(at);
            self.records.push(Record { at, what });
        }
    }

    pub(super) fn member(&mut self, room: Uuid, person: usize, inside: bool) {
        let who = self.people[person];
        let (name, on_room, on_user, data) = if inside {
            let role = if person == 0 { "owner" } else { "member" };
            let member = json!({"workspace_id": room, "user_id": who, "role": role, "created_at": moment(self.now)});
            ("member.add", "member.added", "membership.created", member)
        } else {
            let member = json!({"workspace_id": room, "user_id": who});
            ("member.remove", "member.removed", "membership.deleted", member)
        };
        let events = [(Channel::Workspace(room), on_room, data.clone()), (Channel::User(who), on_user, data)];
        self.command(0, name, &events);
    }

    /// A command that is done: sent, committed, and answered some time later, now and then after somebody had given it up.
    fn command(&mut self, person: usize, name: &'static str, events: &[(Channel, &str, Value)]) {
        let (op, who) = (id(&mut self.random), self.people[person]);
        let conn = self.devices.get(person * 2).map(|device| device.conn).filter(|_| self.random.random_bool(0.5));
        self.say(What::Invoke(Invoke { op, person: who, command: name, conn }));
        let mut positions = Vec::new();
        for (channel, event, data) in events {
            let offset = self.append(*channel, event, data, Some((who, op)));
            positions.push(Position { channel: *channel, offset, epoch: EPOCH.into() });
        }
        let content = events.first().map_or(0, |(.., data)| digest(data));
        let mut at = self.now + self.random.random_range(1..30_000);
        let mut by = conn;
        if self.random.random_bool(0.05) {
            self.later.push((at, What::Unknown { op, why: "no answer in time".into() }));
            (at, by) = (at + 50_000, None);
        }
        let ack = Ack { op, url: person % 2, conn: by, positions, content, data: None };
        if self.random.random_bool(0.05) {
            self.later.push((at + 70_000, What::Ok(Box::new(ack.clone()))));
        }
        self.later.push((at, What::Ok(Box::new(ack))));
    }

    fn append(&mut self, channel: Channel, event: &str, data: &Value, by: Option<(Uuid, Uuid)>) -> u64 {
        let value = json!({"type": event, "data": data, "at": moment(self.now),
            "actor": by.map(|(actor, _)| actor), "op": by.map(|(_, op)| op)});
        let content = digest(&value);
        let Ok(record) = serde_json::from_value::<EventRecord>(value) else { return 0 };
        let Some(log) = self.logs.get_mut(&channel) else { return 0 };
        log.state.apply(&record.event);
        let offset = log.events.len() as u64 + 1;
        log.events.push(Logged { offset, record, content });
        offset
    }

    /// One command, and some of what clients do meanwhile.
    fn step(&mut self, number: usize) {
        let person = self.random.random_range(0..3);
        match (number % 20, self.random.random_range(0..10)) {
            (3, _) => self.load(),
            (8, _) => self.reconnect(),
            (13, _) => self.fault(number),
            (18, _) => self.let_in_or_put_out(),
            (_, 0..4) => self.task(person),
            (_, 4..7) => self.widget(person),
            (_, 7 | 8) => self.post(person),
            _ => self.refusal(person),
        }
        self.deliver();
    }

    fn task(&mut self, person: usize) {
        let (mine, list) = (Channel::User(self.people[person]), self.lists[&person]);
        let task = |id: Uuid, text: u64, now: u64, user: Uuid| {
            json!({"id": id, "list_id": list, "user_id": user, "description": format!("task {text}"),
                "is_completed": false, "completed_at": null, "due_at": null, "order_index": 1,
                "created_at": moment(now), "updated_at": moment(now)})
        };
        let own = self.tasks.iter().position(|(owner, _)| *owner == person);
        match (self.random.random_range(0..4), own) {
            (0, Some(at)) => {
                let (_, id) = self.tasks.swap_remove(at);
                self.command(person, "task.delete", &[(mine, "task.deleted", json!({"id": id}))]);
            }
            (1 | 2, Some(at)) => {
                let data = task(self.tasks[at].1, self.now, self.now, self.people[person]);
                self.command(person, "task.update", &[(mine, "task.updated", data)]);
            }
            _ => {
                let id = id(&mut self.random);
                self.tasks.push((person, id));
                let data = task(id, self.now, self.now, self.people[person]);
                self.command(person, "task.create", &[(mine, "task.created", data)]);
            }
        }
    }

    fn widget(&mut self, person: usize) {
        let room = self.random.random_range(0..2);
        if person == 2 && room == 1 && !self.inside {
            return self.refusal(person);
        }
        let (channel, now) = (Channel::Workspace(self.rooms[room]), self.now);
        let widget = |id: Uuid, x: i64, workspace: Uuid| {
            json!({"id": id, "workspace_id": workspace, "type": "note", "title_key": null, "title": format!("at {now}"),
                "grid_x": x, "grid_y": 0, "grid_w": 1, "grid_h": 1, "settings": {},
                "created_at": moment(now), "updated_at": moment(now)})
        };
        let known = self.widgets.iter().position(|(at, _)| *at == room);
        let x = self.random.random_range(0..1_000_000);
        match (self.random.random_range(0..5), known) {
            (0, Some(at)) => {
                let (_, id) = self.widgets.swap_remove(at);
                self.command(person, "widget.delete", &[(channel, "widget.deleted", json!({"id": id}))]);
            }
            (1..4, Some(at)) => {
                let data = json!({"widget": widget(self.widgets[at].1, x, self.rooms[room]), "drag_id": null});
                self.command(person, "widget.move", &[(channel, "widget.moved", data)]);
            }
            _ => {
                let id = id(&mut self.random);
                self.widgets.push((room, id));
                let data = widget(id, x, self.rooms[room]);
                self.command(person, "widget.create", &[(channel, "widget.created", data)]);
            }
        }
    }

    /// A post, and a sum of likes of it, which has no author.
    fn post(&mut self, person: usize) {
        let (profile, id) = (Channel::Profile(self.people[person]), id(&mut self.random));
        let data = json!({"id": id, "user_id": self.people[person], "content": format!("post at {}", self.now),
            "book_title": null, "study_duration": null, "subject": null, "image_url": null, "like_count": 0,
            "comment_count": 0, "created_at": moment(self.now), "updated_at": moment(self.now), "tags": [], "media": []});
        self.command(person, "post.create", &[(profile, "post.created", data)]);
        let likes = json!({"posts": [{"post_id": id, "like_count": 3}]});
        self.append(profile, "post.likes_changed", &likes, None);
    }

    fn refusal(&mut self, person: usize) {
        let (op, who) = (id(&mut self.random), self.people[person]);
        self.say(What::Invoke(Invoke { op, person: who, command: "widget.delete", conn: None }));
        self.later.push((self.now + 9_000, What::Refused { op, code: "not_found".into() }));
    }

    fn load(&mut self) {
        let device = self.random.random_range(0..OWNERS.len());
        let person = self.people[OWNERS[device]];
        let load = self.number();
        self.say(What::Load { load });
        let channel =
            if self.random.random_bool(0.5) { Channel::Workspace(self.rooms[0]) } else { Channel::User(person) };
        let snapshots = vec![self.snapshot(channel)];
        let client = device as u32;
        self.say(What::Loaded { load, client, person, snapshots });
    }

    fn snapshot(&self, channel: Channel) -> Snapshot {
        let log = &self.logs[&channel];
        let state = view(&log.state);
        Snapshot { position: Position { channel, offset: log.events.len() as u64, epoch: EPOCH.into() }, state }
    }

    pub(super) fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn fault(&mut self, number: usize) {
        let name = if number.is_multiple_of(2) { "kill node 1" } else { "flush redis" };
        self.say(What::Fault { name: name.into(), on: true, url: Some(0) });
        self.say(What::Fault { name: name.into(), on: false, url: Some(0) });
    }

    fn finish(mut self) -> History {
        self.flush(u64::MAX);
        self.say(What::Healed);
        (0..3).for_each(|person| self.deliver_all(person));
        self.say(What::Settled);
        // Long enough that whoever is wrongly shown, or wrongly not, is so for longer than any bound.
        self.now += 60_000_000;
        (0..OWNERS.len()).for_each(|device| {
            let conn = self.devices[device].conn;
            self.say(What::Closed { conn, how: Ending::Clean });
        });
        let mut finals = Finals::default();
        for channel in self.logs.keys() {
            finals.states.extend([(0, self.snapshot(*channel)), (1, self.snapshot(*channel))]);
        }
        for (channel, log) in self.logs {
            finals.copies.push((1, channel, log.events.iter().map(|event| (event.offset, event.content)).collect()));
            finals.logs.insert(channel, FinalLog { epoch: EPOCH.into(), events: log.events, base: None });
        }
        History { records: self.records, finals }
    }
}

/// What an answer would show of a state.
pub fn view(state: &State) -> View {
    match state {
        State::User(state) => View::Home(state.clone()),
        State::Profile(state) => View::Posts(state.posts.clone()),
        State::Workspace(state) => View::Room(state.clone()),
    }
}

/// The state of a channel after its first events.
pub fn fold(history: &History, channel: Channel, offset: u64) -> State {
    let mut state = State::empty(channel);
    let events = history.finals.logs.get(&channel).map_or(&[][..], |log| log.events.as_slice());
    events.iter().take_while(|event| event.offset <= offset).for_each(|event| _ = state.apply(&event.record.event));
    state
}
