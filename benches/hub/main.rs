//! What a publish costs the server, counted in instructions.
//!
//! The server as it is (router, upgrade, frames, session, rules of publishing, topics, flush), only without a store, and
//! its clients in one thread: the clients write, the server has its turn, the clients read. Everything is in the same
//! order in every run, so `valgrind --tool=callgrind --toggle-collect=…::turn` counts the same instructions. The kernel's
//! work is not counted. `scripts/bench-hub.sh` does that and prints a table.
//!
//! One workload a run: `hub rooms` prints how often something was done and how many deliveries came of it, which the
//! counts have to be divided by.

mod client;
mod store;

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use serde_json::json;
use studyhall::app::server;
use studyhall::live::backend::LogEvent;
use studyhall::live::backend::Visitor;
use studyhall::live::roster::Alone;
use studyhall::live::{Hub, Limits, upgrade};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::client as lines;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::client::Client;
use self::store::{EPOCH, Store};

/// A name, the people of each room, how many rooms, and what is done there how often.
type Workload = (&'static str, u32, u32, usize, Work);

type Work = fn(&mut World, usize) -> anyhow::Result<()>;

/// Small enough to be over before the first pings, which come after some seven seconds and would be counted.
const WORKLOADS: &[Workload] = &[
    ("rooms", 4, 5, 2_000, |world, step| world.drag(step, true)),
    ("rooms-send", 4, 5, 2_000, |world, step| world.drag(step, false)),
    ("events", 4, 5, 2_000, World::event),
    ("lecture", 400, 1, 40, World::broadcast),
    ("lecture-events", 400, 1, 40, World::event),
    ("flood", 400, 1, 32 * 40, World::flood),
    ("subscribe", 1, 5, 1_000, World::subscribe),
];

/// Publishes under way at once in a flood.
const WINDOW: usize = 32;

fn main() -> anyhow::Result<()> {
    // `cargo bench` adds a flag.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, people, rooms, times, work) in WORKLOADS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        let mut world = World::open(*rooms, *people)?;
        // What is made once, on first use, is not what is measured.
        let warm_up = *times / 4;
        for step in 0..warm_up + times {
            if step == warm_up {
                world.done = 0;
                world.delivered = 0;
                world.measuring = true;
            }
            work(&mut world, step)?;
        }
        println!("{name} {} {}", world.done, world.delivered);
    }
    Ok(())
}

/// A server and its clients.
struct World {
    runtime: Runtime,
    hub: Arc<Hub>,
    people: usize,
    rooms: Vec<Channel>,
    /// Room by room.
    clients: Vec<Client>,
    measuring: bool,
    done: usize,
    delivered: usize,
}

fn id(kind: u128, number: usize) -> Uuid {
    Uuid::from_u128((kind << 96) | number as u128)
}

impl World {
    fn open(rooms: u32, people: u32) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let limits = Limits { commands_per_second: 1_000_000, commands_burst: 1_000_000, ..Limits::default() };
        let (hub, address) = runtime.block_on(async {
            let hub = Hub::start(limits, Arc::new(Store), Arc::new(Alone), 1);
            let upgrading = hub.clone();
            let connect = move |request: Request| {
                let hub = upgrading.clone();
                async move { upgrade::connect(hub, request, Visitor::default()) }
            };
            let listener = server::listen(([127, 0, 0, 1], 0).into())?;
            let address = listener.local_addr()?;
            let router = Router::new().route("/connection/websocket", get(connect));
            tokio::spawn(server::serve(listener, router, 4_096, CancellationToken::new()));
            anyhow::Ok((hub, address))
        })?;
        let rooms: Vec<Channel> = (0..rooms as usize).map(|room| Channel::Workspace(id(1, room))).collect();
        let mut world = Self {
            runtime,
            hub,
            people: people as usize,
            clients: Vec::new(),
            rooms,
            measuring: false,
            done: 0,
            delivered: 0,
        };
        for seat in 0..world.rooms.len() * world.people {
            let mut client = Client::open(address)?;
            let (token, room) = (id(2, seat).to_string(), world.rooms[seat / world.people]);
            let subscribe = lines::subscribe(2, room, lines::Wishes::default());
            client.send(&format!("{}\n{subscribe}", lines::connect(1, &token)))?;
            world.clients.push(client);
            world.read(seat..seat + 1, 0, 2).with_context(|| format!("connection {seat} was not let in"))?;
        }
        // Joins, and slots of profiles.
        for _ in 0..20 {
            world.idle();
        }
        world.clients.iter_mut().try_for_each(|client| client.read().map(drop))?;
        Ok(world)
    }

    /// The server does what there is to do, uncounted.
    fn idle(&self) {
        self.runtime.block_on(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
    }

    /// Lets the server work and reads until these connections have got so many publications each, and the first of
    /// them so many replies.
    fn read(&mut self, seats: std::ops::Range<usize>, publications: usize, replies: usize) -> anyhow::Result<()> {
        let first = seats.start;
        let mut missing = 0;
        for _ in 0..200 {
            if self.measuring {
                turn(&self.runtime)
            } else {
                self.idle()
            }
            missing = 0;
            for seat in seats.clone() {
                let client = &mut self.clients[seat];
                client.read()?;
                let replies = if seat == first { replies } else { 0 };
                missing += publications.saturating_sub(client.publications) + replies.saturating_sub(client.replies);
            }
            if missing == 0 {
                break;
            }
        }
        if missing > 0 {
            bail!("{missing} messages did not come");
        }
        for seat in seats {
            let client = &mut self.clients[seat];
            if client.publications > publications {
                bail!("{} publications instead of {publications}", client.publications);
            }
            self.delivered += client.publications;
            (client.publications, client.replies) = (0, 0);
        }
        Ok(())
    }

    fn seats(&self, room: usize) -> std::ops::Range<usize> {
        room * self.people..(room + 1) * self.people
    }

    /// Everybody drags their own widget, one room after the other.
    fn drag(&mut self, step: usize, by_publish: bool) -> anyhow::Result<()> {
        let room = step % self.rooms.len();
        let author = step / self.rooms.len() % self.people;
        let seats = self.seats(room);
        let widget = id(3, seats.start + author);
        let (x, y) = (step as f64 * 0.25 % 100.0, 7.5);
        let data = json!({"drag_id": id(4, seats.start + author), "grid_x": x, "grid_y": y, "grid_w": 4, "grid_h": 3});
        let channel = self.rooms[room];
        let line = match by_publish {
            true => lines::publish(3, channel, &json!({"type": "drag", "key": widget, "data": data})),
            false => lines::send(&json!({"channel": channel, "type": "drag", "key": widget, "data": data})),
        };
        // The replies are counted at the first seat: turn the room so that it is the author's.
        self.clients.swap(seats.start, seats.start + author);
        self.clients[seats.start].send(&line)?;
        let read = self.read(seats.clone(), 1, usize::from(by_publish));
        self.clients.swap(seats.start, seats.start + author);
        self.done += 1;
        read
    }

    fn broadcast(&mut self, step: usize) -> anyhow::Result<()> {
        self.say(step)?;
        self.read(0..self.people, 1, 1)?;
        self.done += 1;
        Ok(())
    }

    fn say(&mut self, step: usize) -> anyhow::Result<()> {
        let text = "x".repeat(100);
        let line = lines::publish(3, self.rooms[0], &json!({"type": "custom", "data": {"n": step, "text": text}}));
        self.clients[0].send(&line)
    }

    /// As many at once as the window holds, from one connection.
    fn flood(&mut self, step: usize) -> anyhow::Result<()> {
        self.say(step)?;
        self.done += 1;
        if (step + 1).is_multiple_of(WINDOW) { self.read(0..self.people, WINDOW, WINDOW) } else { Ok(()) }
    }

    /// A durable event, as the write path hands it over once it is committed.
    fn event(&mut self, step: usize) -> anyhow::Result<()> {
        let room = step % self.rooms.len();
        let channel = self.rooms[room];
        let offset = (step / self.rooms.len()) as u64 + 1;
        let payload = json!({
            "type": "widget.moved", "actor": id(2, 0), "op": id(5, step), "at": "2026-11-23T08:00:00Z",
            "data": {"id": id(3, step), "grid_x": 1, "grid_y": 2, "grid_w": 4, "grid_h": 3, "drag_id": id(4, step)}
        });
        let event = LogEvent { channel, offset, name: "widget.moved".into(), payload: payload.to_string().into() };
        if self.measuring {
            apply_event(&self.hub, event)
        } else {
            self.hub.apply(vec![event])
        }
        self.read(self.seats(room), 1, 0)?;
        self.done += 1;
        Ok(())
    }

    /// Comes to a profile and leaves it again.
    fn subscribe(&mut self, step: usize) -> anyhow::Result<()> {
        let seat = step % self.clients.len();
        let channel = Channel::Profile(id(6, step));
        self.clients[seat].send(&lines::subscribe(3, channel, lines::Wishes::default()))?;
        self.read(seat..seat + 1, 0, 1)?;
        self.clients[seat].send(&lines::unsubscribe(4, channel))?;
        self.read(seat..seat + 1, 0, 1)?;
        self.done += 1;
        Ok(())
    }
}

/// The server does what there is to do: as far as it gets until it has asked the kernel twice for more. This is what is
/// counted, and [`apply_event`].
#[inline(never)]
fn turn(runtime: &Runtime) {
    runtime.block_on(async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    });
    black_box(());
}

#[inline(never)]
fn apply_event(hub: &Arc<Hub>, event: LogEvent) {
    hub.apply(vec![event]);
    black_box(EPOCH);
}
