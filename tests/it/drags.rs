//! P9: drags are latest-wins; the drop is durable, names its drag and voids its values; a drag whose
//! author vanishes is committed once, where it was last seen; afterwards all views equal PostgreSQL.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::server::Server;
use crate::cluster::until;
use crate::faults::link::Link;
use crate::harness::{self, Live, Person, TestApp};

/// One node, or two that share a Redis and know of each other.
struct Nodes {
    all: Vec<TestApp>,
    _redis: Option<Server>,
}

impl Nodes {
    async fn start(count: usize) -> Self {
        let redis = if count > 1 { Some(Server::start().await) } else { None };
        let url = redis.as_ref().map(|redis| redis.url.clone());
        let mut all = vec![harness::app_with(|config| config.redis_url = url.clone()).await];
        for _ in 1..count {
            let node = all[0].beside(|config| config.redis_url = url.clone()).await;
            all.push(node);
        }
        Self { all, _redis: redis }
    }

    fn first(&self) -> &TestApp {
        &self.all[0]
    }

    fn last(&self) -> &TestApp {
        self.all.last().unwrap()
    }

    /// A node that believes to be alone tells nobody.
    async fn know_each_other(&self, person: &Person, room: &str) {
        let mut there = person.at(&self.last().url()).live().await;
        let mut here = person.at(&self.first().url()).live().await;
        there.subscribe(room).await;
        here.subscribe(room).await;
        for (from, to) in [(0, 1), (1, 0)] {
            let mut ends = [&mut there, &mut here];
            until("the nodes know of each other", async || {
                let hello = json!({"type": "reaction", "data": "hello"});
                ends[from].publish(room, hello).await.unwrap();
                ends[to].drain().await.iter().any(|push| push["pub"]["data"]["type"] == "reaction")
            })
            .await;
        }
    }
}

/// A room with members and widgets.
struct Room {
    channel: String,
    widgets: Vec<String>,
}

async fn room(app: &TestApp, owner: &Person, members: &[&Person], widgets: usize) -> Room {
    let _ = app;
    let made = owner.post("/workspaces", json!({"name": "drags"})).await.expect(201);
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    for member in members {
        owner.put(&format!("/workspaces/{id}/members/{}", member.id)).await.expect(201);
    }
    let mut ids = Vec::new();
    for number in 0..widgets {
        let body = json!({"type": "notes", "grid_x": 0, "grid_y": number, "grid_w": 2, "grid_h": 2});
        let made = owner.post(&format!("/workspaces/{id}/widgets"), body).await.expect(201);
        ids.push(made["data"]["id"].as_str().unwrap().to_owned());
    }
    Room { channel: format!("workspace:{id}"), widgets: ids }
}

fn drag(widget: &str, drag_id: Uuid, x: f64, y: f64) -> Value {
    json!({"type": "drag", "key": widget, "data": {"drag_id": drag_id, "grid_x": x, "grid_y": y}})
}

/// The next push of this type.
async fn next(live: &mut Live, kind: &str) -> Value {
    loop {
        let push = live.push().await;
        if push["pub"]["data"]["type"] == kind {
            return push["pub"]["data"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drag_is_seen_and_its_drop_voids_it() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let room = room(&app, &ada, &[&bob], 1).await;
    let (mut one, mut two) = (ada.live().await, bob.live().await);
    one.subscribe(&room.channel).await;
    two.subscribe(&room.channel).await;
    let (widget, gesture) = (&room.widgets[0], Uuid::new_v4());
    one.publish(&room.channel, drag(widget, gesture, 3.5, 4.25)).await.unwrap();
    for live in [&mut one, &mut two] {
        let seen = next(live, "drag").await;
        assert_eq!(seen["actor"], json!(ada.id));
        assert_eq!(seen["data"], json!({"drag_id": gesture, "grid_x": 3.5, "grid_y": 4.25}));
    }
    let held = two.publish(&room.channel, drag(widget, Uuid::new_v4(), 0.0, 0.0)).await.unwrap_err();
    assert_eq!(held["code"], 1409);
    assert!(held["message"].as_str().unwrap().starts_with("widget_held"));
    let drop = json!({"id": widget, "drag_id": gesture, "grid_x": 4, "grid_y": 4});
    one.rpc("widget.move", drop).await.unwrap();
    let moved = next(&mut two, "widget.moved").await;
    assert_eq!((&moved["data"]["drag_id"], &moved["data"]["widget"]["grid_x"]), (&json!(gesture), &json!(4)));
    // A value that was on its way is void, for those who are here and for those who come.
    one.publish(&room.channel, drag(widget, gesture, 9.0, 9.0)).await.unwrap();
    let late: Vec<Value> = two.drain().await.into_iter().filter(|push| push["pub"]["data"]["type"] == "drag").collect();
    assert_eq!(late, Vec::<Value>::new());
    let mut three = bob.live().await;
    assert_eq!(three.subscribe(&room.channel).await["data"]["slots"], json!([]));
    two.publish(&room.channel, drag(widget, Uuid::new_v4(), 1.0, 1.0)).await.expect("the hold ended with the drop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_comes_after_the_drop_is_void() {
    late_value(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_comes_to_another_node_after_the_drop_is_void() {
    late_value(2).await;
}

/// The drop overtakes a value that the network holds back; on two nodes they come to different ones.
async fn late_value(nodes: usize) {
    let nodes = Nodes::start(nodes).await;
    let (ada, bob) = (nodes.first().person("ada").await, nodes.first().person("bob").await);
    let room = room(nodes.first(), &ada, &[&bob], 1).await;
    nodes.know_each_other(&ada, &room.channel).await;
    let link = Link::start(nodes.first().address);
    let mut held = ada.at(&link.url("http")).live().await;
    held.subscribe(&room.channel).await;
    let mut views = Vec::new();
    for node in &nodes.all {
        let mut live = bob.at(&node.url()).live().await;
        live.subscribe(&room.channel).await;
        views.push(live);
    }
    let (widget, gesture) = (&room.widgets[0], Uuid::new_v4());
    held.publish(&room.channel, drag(widget, gesture, 2.0, 2.0)).await.unwrap();
    for view in &mut views {
        next(view, "drag").await;
    }
    link.up(|way| way.blocked_below = u64::MAX);
    let late = drag(widget, gesture, 9.0, 9.0);
    let late = held.send(json!({"publish": {"channel": room.channel, "data": late}})).await;
    let drop = json!({"id": widget, "drag_id": gesture, "grid_x": 4, "grid_y": 4});
    ada.at(&nodes.last().url()).live().await.rpc("widget.move", drop).await.unwrap();
    for view in &mut views {
        assert_eq!(next(view, "widget.moved").await["data"]["widget"]["grid_x"], 4);
    }
    link.heal();
    held.reply(late).await.unwrap();
    for (view, node) in views.iter_mut().zip(&nodes.all) {
        let seen = view.drain().await;
        assert!(seen.iter().all(|push| push["pub"]["data"]["data"]["grid_x"] != 9.0), "{seen:?}");
        let mut newcomer = bob.at(&node.url()).live().await;
        assert_eq!(newcomer.subscribe(&room.channel).await["data"]["slots"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphaned_drag_is_committed_where_it_was_last_seen() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let room = room(&app, &ada, &[&bob], 1).await;
    let (mut one, mut two) = (ada.live().await, bob.live().await);
    one.subscribe(&room.channel).await;
    two.subscribe(&room.channel).await;
    let (widget, gesture) = (&room.widgets[0], Uuid::new_v4());
    one.publish(&room.channel, drag(widget, gesture, 6.6, 7.4)).await.unwrap();
    next(&mut two, "drag").await;
    one.vanish();
    let moved = next(&mut two, "widget.moved").await;
    assert_eq!(moved["data"]["drag_id"], json!(gesture));
    assert_eq!((&moved["data"]["widget"]["grid_x"], &moved["data"]["widget"]["grid_y"]), (&json!(7), &json!(7)));
    assert_eq!(moved["actor"], json!(ada.id));
    let place: (i32, i32) = sqlx::query_as("select grid_x, grid_y from immersive_widgets where id = $1")
        .bind(widget.parse::<Uuid>().unwrap())
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(place, (7, 7));
}

/// What a viewer shows: committed places, and drags over them.
#[derive(Default)]
struct View {
    places: BTreeMap<String, (i64, i64)>,
    dragged: BTreeMap<String, Value>,
    values: usize,
    /// How long values took.
    delays: Vec<Duration>,
}

impl View {
    fn take(&mut self, push: &Value) {
        let data = &push["pub"]["data"];
        match data["type"].as_str() {
            Some("widget.moved") => {
                let widget = &data["data"]["widget"];
                let id = widget["id"].as_str().unwrap().to_owned();
                let place = (widget["grid_x"].as_i64().unwrap(), widget["grid_y"].as_i64().unwrap());
                if self.dragged.get(&id).is_some_and(|drag| drag["drag_id"] == data["data"]["drag_id"]) {
                    self.dragged.remove(&id);
                }
                self.places.insert(id, place);
            }
            Some("drag") => {
                self.values += 1;
                let id = data["key"].as_str().unwrap().to_owned();
                match data["data"].is_null() {
                    true => self.dragged.remove(&id),
                    false => self.dragged.insert(id, data["data"].clone()),
                };
            }
            _ => {}
        }
    }
}

/// When each value was sent, by widget and tick.
type Sent = Arc<Mutex<HashMap<(String, u64), Instant>>>;

const PEOPLE: usize = 20;
const SECONDS: u64 = 10;
const HERTZ: u64 = 60;

/// Drags one widget at 60 Hz, dropping it every two seconds; the last drop is at the end, unless killed.
async fn drag_on(
    mut live: Live,
    channel: String,
    widget: String,
    killed_after: Option<u64>,
    sent: Sent,
) -> Option<Live> {
    let started = Instant::now();
    let mut gesture = Uuid::new_v4();
    for tick in 0..SECONDS * HERTZ {
        if killed_after.is_some_and(|seconds| tick == seconds * HERTZ + 30) {
            live.vanish();
            return None;
        }
        let at = tick as f64 / 10.0;
        if tick % (2 * HERTZ) == 2 * HERTZ - 1 {
            let drop = json!({"id": widget, "drag_id": gesture, "grid_x": at as i64, "grid_y": 1});
            live.rpc("widget.move", drop).await.unwrap();
            gesture = Uuid::new_v4();
        } else {
            sent.lock().unwrap().insert((widget.clone(), tick), Instant::now());
            live.publish(&channel, drag(&widget, gesture, at, 1.5)).await.unwrap();
        }
        let due = Duration::from_millis((tick + 1) * 1_000 / HERTZ);
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
    }
    Some(live)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_drag_twenty_widgets_and_all_views_equal_postgresql() {
    twenty_people_drag(1).await;
}

/// They drag on both nodes, and are looked at on the second one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_drag_on_two_nodes_and_all_views_equal_postgresql() {
    twenty_people_drag(2).await;
}

async fn twenty_people_drag(nodes: usize) {
    let nodes = Nodes::start(nodes).await;
    let app = nodes.first();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(app.person(&format!("dragger{number}")).await);
    }
    let members: Vec<&Person> = people[1..].iter().collect();
    let room = room(app, &people[0], &members, PEOPLE).await;
    nodes.know_each_other(&people[0], &room.channel).await;
    let sent = Sent::default();
    let mut draggers = Vec::new();
    let mut views = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let mut live = person.at(&nodes.all[number % nodes.all.len()].url()).live().await;
        live.subscribe(&room.channel).await;
        // Two vanish in mid-drag.
        let killed = match number {
            3 => Some(4),
            7 => Some(6),
            _ => None,
        };
        draggers.push(tokio::spawn(drag_on(
            live,
            room.channel.clone(),
            room.widgets[number].clone(),
            killed,
            sent.clone(),
        )));
    }
    for (number, person) in people.iter().enumerate().take(3) {
        let mut live = person.at(&nodes.last().url()).live().await;
        live.subscribe(&room.channel).await;
        // The last one is on a slow link: it takes a line every few milliseconds.
        let slow = number == 2;
        let orphans = [room.widgets[3].clone(), room.widgets[7].clone()];
        views.push(tokio::spawn(watch(live, slow, orphans, sent.clone())));
    }
    let mut survivors = Vec::new();
    for dragger in draggers {
        survivors.extend(dragger.await.unwrap());
    }
    assert_eq!(survivors.len(), PEOPLE - 2);
    let mut ends = Vec::new();
    for view in views {
        ends.push(view.await.unwrap());
    }
    let rows: Vec<(Uuid, i32, i32)> =
        sqlx::query_as("select id, grid_x, grid_y from immersive_widgets").fetch_all(&app.database.pool).await.unwrap();
    let truth: BTreeMap<String, (i64, i64)> =
        rows.into_iter().map(|(id, x, y)| (id.to_string(), (x.into(), y.into()))).collect();
    let values: Vec<usize> = ends.iter().map(|view| view.values).collect();
    println!("values of drags seen by each view: {values:?}");
    let mut delays = std::mem::take(&mut ends[0].delays);
    delays.sort();
    let p95 = delays[delays.len() * 95 / 100];
    println!("a value is seen after {:?} in the middle, p95 {p95:?}", delays[delays.len() / 2]);
    // Alone on the machine it is 100 ms at most; here others build and test beside it.
    assert!(p95 <= Duration::from_secs(1), "{p95:?}");
    assert!(values[2] < values[0] / 2, "the slow link should have skipped values: {values:?}");
    for view in ends {
        assert_eq!(view.dragged, BTreeMap::new());
        assert_eq!(view.places, truth);
    }
}

/// Watches until everybody has dropped for the last time and the orphans are committed.
async fn watch(mut live: Live, slow: bool, orphans: [String; 2], sent: Sent) -> View {
    let mut view = View::default();
    let last = (SECONDS * HERTZ - 1) as i64 / 10;
    let settled = |view: &View| {
        view.places.len() == PEOPLE
            && view.dragged.is_empty()
            && view.places.iter().all(|(id, (x, _))| *x == last || orphans.contains(id))
            && orphans.iter().all(|id| view.places.get(id).is_some_and(|(_, y)| *y == 2))
    };
    while !settled(&view) {
        let push = live.push().await;
        view.take(&push);
        let data = &push["pub"]["data"];
        if let (Some(widget), Some(x)) = (data["key"].as_str(), data["data"]["grid_x"].as_f64()) {
            let tick = (x * 10.0).round() as u64;
            let sent = sent.lock().unwrap().get(&(widget.to_owned(), tick)).copied();
            view.delays.extend(sent.map(|sent| sent.elapsed()));
        }
        if slow {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    view
}
