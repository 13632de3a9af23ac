//! The clients of the server in memory: they connect, get events, come back, are let in and put out.

use rand::RngExt;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::super::history::{Ending, Subscribed, What};
use super::generate::{Device, EPOCH, Maker, OWNERS};

impl Maker {
    fn channels_of(&self, device: usize) -> Vec<Channel> {
        let person = OWNERS[device];
        let mut channels = vec![Channel::User(self.people[person]), Channel::Workspace(self.rooms[0])];
        channels.extend(self.people.iter().map(|person| Channel::Profile(*person)));
        if person != 2 || self.inside {
            channels.push(Channel::Workspace(self.rooms[1]));
        }
        channels
    }

    /// Who is in a room, by the connections that are open.
    fn there(&self, room: Channel) -> Vec<Uuid> {
        let devices = self.devices.iter().enumerate().filter(|(_, device)| device.at.contains_key(&room));
        let mut people: Vec<Uuid> = devices.map(|(number, _)| self.people[OWNERS[number]]).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    pub(super) fn connect(&mut self, device: usize) {
        let (conn, person) = (self.number(), self.people[OWNERS[device]]);
        self.devices[device].conn = conn;
        let client = device as u32;
        self.say(What::Connected { conn, client, person, url: device % 2 });
        for channel in self.channels_of(device) {
            self.say(What::Subscribing { conn, channel });
            let since = self.devices[device].known.get(&channel).copied();
            let head = self.logs[&channel].events.len() as u64;
            let offset = since.unwrap_or(head);
            self.devices[device].at.insert(channel, offset);
            let people = matches!(channel, Channel::Workspace(_)).then(|| self.there(channel));
            let position = Position { channel, offset, epoch: EPOCH.into() };
            let granted = Subscribed { conn, position, since, recovered: since.is_some(), people };
            self.say(What::Subscribed(Box::new(granted)));
            self.tell(channel, device, true);
        }
    }

    /// The others hear that somebody came or went, if that was their only device.
    fn tell(&mut self, channel: Channel, device: usize, came: bool) {
        let who = self.people[OWNERS[device]];
        let twin = |(number, other): (usize, &Device)| {
            number != device && OWNERS[number] == OWNERS[device] && other.at.contains_key(&channel)
        };
        if !matches!(channel, Channel::Workspace(_)) || self.devices.iter().enumerate().any(twin) {
            return;
        }
        let others = self
            .devices
            .iter()
            .enumerate()
            .filter(|(number, other)| *number != device && other.at.contains_key(&channel));
        for conn in others.map(|(_, other)| other.conn).collect::<Vec<_>>() {
            let person = who;
            self.say(if came { What::Joined { conn, channel, person } } else { What::Left { conn, channel, person } });
        }
    }

    pub(super) fn reconnect(&mut self) {
        let device = self.random.random_range(0..OWNERS.len());
        let conn = self.devices[device].conn;
        let at = std::mem::take(&mut self.devices[device].at);
        self.devices[device].known.extend(at.clone());
        self.say(What::Closed { conn, how: Ending::Clean });
        at.keys().for_each(|channel| self.tell(*channel, device, false));
        self.connect(device);
    }

    pub(super) fn let_in_or_put_out(&mut self) {
        self.inside = !self.inside;
        self.deliver_all(2);
        self.member(self.rooms[1], 2, self.inside);
        if !self.inside {
            self.put_out();
        }
    }

    /// The third person is put out of the second room; the event itself was the last for them.
    fn put_out(&mut self) {
        let room = Channel::Workspace(self.rooms[1]);
        self.deliver_all(2);
        for device in (0..OWNERS.len()).filter(|device| OWNERS[*device] == 2) {
            let conn = self.devices[device].conn;
            if self.devices[device].at.remove(&room).is_some() {
                self.say(What::Unsubscribed { conn, channel: room, code: 2101 });
                self.tell(room, device, false);
            }
            self.devices[device].known.remove(&room);
        }
    }

    /// Everything that a person's devices have not got.
    pub(super) fn deliver_all(&mut self, person: usize) {
        for device in (0..OWNERS.len()).filter(|device| OWNERS[*device] == person) {
            for channel in self.devices[device].at.keys().copied().collect::<Vec<_>>() {
                while self.deliver_one(device, channel) {}
            }
        }
    }

    /// Some events to some devices.
    pub(super) fn deliver(&mut self) {
        for device in 0..OWNERS.len() {
            for channel in self.devices[device].at.keys().copied().collect::<Vec<_>>() {
                let count = self.random.random_range(0..4);
                (0..count).take_while(|_| self.deliver_one(device, channel)).count();
            }
        }
    }

    fn deliver_one(&mut self, device: usize, channel: Channel) -> bool {
        let Some(last) = self.devices[device].at.get(&channel).copied() else { return false };
        let Some((offset, content)) =
            self.logs[&channel].events.get(last as usize).map(|event| (event.offset, event.content))
        else {
            return false;
        };
        self.devices[device].at.insert(channel, offset);
        let conn = self.devices[device].conn;
        self.say(What::Event { conn, channel, offset, content });
        true
    }
}
