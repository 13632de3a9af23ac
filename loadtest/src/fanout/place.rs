//! Who sits where: the rooms of one group at one server.

use anyhow::Result;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Wishes};
use uuid::Uuid;

use super::Studyhall;
use super::bench::Bench;
use super::group::{Group, Spec};
use super::speech::{Kind, Subject, Way};
use super::world::Seat;

/// What is to be filled.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which server.
    pub target: usize,
    /// How many rooms of which size.
    pub spec: Spec,
    /// The number of the first of them, where rooms have numbers.
    pub first_room: usize,
    /// Publish by `send`.
    pub send: bool,
    /// People whose profile every connection is subscribed to besides.
    pub profiles: usize,
}

/// Makes the rooms at Studyhall and takes the seats in them.
pub async fn at_studyhall(bench: &mut Bench, place: Place, studyhall: &Studyhall) -> Result<()> {
    let Studyhall { api, accounts } = studyhall;
    let Spec { kind, rooms, people, speakers } = place.spec;
    let widgets = if kind == Kind::Drag { speakers } else { 0 };
    let made = api.rooms(accounts, rooms, people, widgets).await?;
    let account_of = |room: usize, person: usize| {
        let members = &made[room].members;
        members[person % members.len()]
    };
    let channels: Vec<Channel> = made.iter().map(|room| room.channel).collect();
    let subjects = turns(rooms, speakers).map(|(speaker, room)| {
        let key = made[room].widgets.get(speaker).copied().unwrap_or_default();
        let actor = accounts[account_of(room, speaker)].id;
        Subject { kind, channel: channels[room], actor, key, speaker }
    });
    let subjects = subjects.collect();
    let openings = (0..rooms * people).map(|receiver| {
        let (room, person) = (receiver / people, receiver % people);
        let account = account_of(room, person);
        let mut lines = client::connect(1, &accounts[account].token);
        let others = (1..=place.profiles).map(|step| Channel::Profile(accounts[(account + step) % accounts.len()].id));
        for (id, channel) in (2..).zip(std::iter::once(channels[room]).chain(others)) {
            lines.push('\n');
            lines.push_str(&client::subscribe(id, channel, Wishes::default()));
        }
        Some(lines)
    });
    let way = if place.send { Way::Send } else { Way::Publish };
    sit(bench, place, way, channels.clone(), subjects, openings, 1 + place.profiles);
    Ok(())
}

/// Takes the seats at a server whose rooms are there when somebody asks for them. The bytes are Studyhall's.
pub fn at_plain(bench: &mut Bench, place: Place) {
    let Spec { kind, rooms, people, speakers } = place.spec;
    let channels: Vec<Channel> = (0..rooms).map(|_| Channel::Workspace(Uuid::new_v4())).collect();
    let subjects = turns(rooms, speakers).map(|(speaker, room)| {
        let (actor, key) = (Uuid::new_v4(), Uuid::new_v4());
        Subject { kind, channel: channels[room], actor, key, speaker }
    });
    let subjects = subjects.collect();
    let openings = (0..rooms * people).map(|_| None);
    sit(bench, place, Way::Plain, channels.clone(), subjects, openings, 0);
}

/// All first speakers of the rooms, then all second ones.
fn turns(rooms: usize, speakers: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..speakers).flat_map(move |speaker| (0..rooms).map(move |room| (speaker, room)))
}

fn sit(
    bench: &mut Bench,
    place: Place,
    way: Way,
    channels: Vec<Channel>,
    subjects: Vec<Subject>,
    openings: impl Iterator<Item = Option<String>>,
    awaited: usize,
) {
    let Bench { engine, world, .. } = bench;
    let target = &mut world.targets[place.target];
    let (people, first) = (place.spec.people, engine.len());
    for (receiver, opening) in openings.enumerate() {
        let room = receiver / people;
        let path = match way {
            Way::Plain => format!("/rooms/{}", place.first_room + room),
            Way::Publish | Way::Send => "/connection/websocket".to_owned(),
        };
        engine.add(target.address, &target.host, &path);
        let group = target.groups.len();
        world.seats.push(Seat { target: place.target, group, room, receiver, opening, awaited });
    }
    let sockets: Vec<usize> =
        turns(place.spec.rooms, place.spec.speakers).map(|(speaker, room)| first + room * people + speaker).collect();
    target.groups.push(Group::new(place.spec, way, channels, subjects, &sockets));
}
