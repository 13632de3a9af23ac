//! Changes in rooms by way of all nodes but the last, and witnesses of them on every node. A node that commits in a room
//! itself finds by the next number what it missed there; the last one has only hints, and its looks into the log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Room, Stage};
use crate::harness::{Live, Person};

/// A committed event is everywhere within this.
pub const EVERYWHERE_WITHIN: Duration = Duration::from_secs(2);
/// Of writes, at least.
const SUCCESS: f64 = 0.999;
/// Between two writes of one writer; there are two for each node that writes.
const WRITE_EVERY: Duration = Duration::from_millis(60);

/// One command, as who sent it knows it.
struct Write {
    op: Uuid,
    began: Instant,
    took: Duration,
    status: u16,
}

/// What a witness saw of each channel, in order: number, operation, when.
type Seen = BTreeMap<String, Vec<(u64, Uuid, Instant)>>;

pub struct Load {
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<Vec<Write>>>,
    witnesses: Vec<JoinHandle<Seen>>,
    /// The last command of each room, after which witnesses go home.
    last: Vec<(Room, Uuid)>,
    owner: Person,
}

/// What a load came to.
pub struct Figures {
    pub writes: usize,
    pub refused: usize,
    /// From the moment a command was sent until it was seen by the last witness.
    pub slowest: Duration,
    pub median: Duration,
    /// Of the answers.
    pub answered_p99: Duration,
}

impl Load {
    pub async fn begin(stage: &Stage) -> Self {
        let last: Vec<(Room, Uuid)> = stage.rooms.iter().map(|room| (room.clone(), Uuid::new_v4())).collect();
        let ends: HashSet<Uuid> = last.iter().map(|(_, op)| *op).collect();
        let (stop, stopped) = watch::channel(false);
        let (mut writers, mut witnesses) = (Vec::new(), Vec::new());
        for node in &stage.nodes {
            let mut live = stage.owner.at(&node.url()).live().await;
            let mut seen = Seen::new();
            for room in &stage.rooms {
                let offset = live.subscribe(&room.channel).await["offset"].as_u64().unwrap_or(0);
                // Its head at the beginning; the operation is nobody's.
                seen.insert(room.channel.clone(), vec![(offset, Uuid::nil(), Instant::now())]);
            }
            witnesses.push(tokio::spawn(witness(live, seen, ends.clone())));
        }
        let writing = &stage.nodes[..stage.nodes.len() - 1];
        for (number, node) in writing.iter().chain(writing).enumerate() {
            let (person, rooms) = (stage.owner.at(&node.url()), stage.rooms.clone());
            writers.push(tokio::spawn(write(person, rooms, number, stopped.clone())));
        }
        Self { stop, writers, witnesses, last, owner: stage.owner.at(&stage.nodes[0].url()) }
    }

    /// Compares what was acknowledged with what all have seen.
    pub async fn end(self, what: &str) -> Figures {
        self.stop.send_replace(true);
        let mut writes = Vec::new();
        for writer in self.writers {
            writes.extend(writer.await.unwrap());
        }
        for (room, op) in &self.last {
            let path = format!("/widgets/{}", room.widget);
            self.owner.call("PATCH", &path, Some(json!({"title": "last"})), Some(*op)).await.expect(200);
        }
        let mut all = Vec::new();
        for witness in self.witnesses {
            all.push(witness.await.unwrap());
        }
        for seen in &all[1..] {
            for (channel, events) in seen {
                let order = |events: &[(u64, Uuid, Instant)]| -> Vec<(u64, Uuid)> {
                    events[1..].iter().map(|(offset, op, _)| (*offset, *op)).collect()
                };
                assert!(order(events) == order(&all[0][channel]), "not the same order in {channel}");
            }
        }
        let figures = Figures::of(&writes, &all);
        println!(
            "{what}: {} writes, {} failed, answered p99 {:?}; everywhere: median {:?}, slowest {:?}",
            figures.writes, figures.refused, figures.answered_p99, figures.median, figures.slowest
        );
        assert!(figures.writes >= 50, "too few to prove anything");
        let success = 1.0 - figures.refused as f64 / figures.writes as f64;
        assert!(success >= SUCCESS, "{} of {} failed", figures.refused, figures.writes);
        assert!(figures.slowest <= EVERYWHERE_WITHIN, "{:?}", figures.slowest);
        figures
    }
}

impl Figures {
    fn of(writes: &[Write], all: &[Seen]) -> Self {
        let mut seen_last: HashMap<Uuid, (Instant, usize)> = HashMap::new();
        for (_, op, at) in all.iter().flat_map(|seen| seen.values()).flat_map(|events| &events[1..]) {
            let entry = seen_last.entry(*op).or_insert((*at, 0));
            *entry = (entry.0.max(*at), entry.1 + 1);
        }
        let (mut everywhere, mut answered, mut refused) = (Vec::new(), Vec::new(), 0);
        for write in writes {
            if write.status != 200 {
                refused += 1;
                continue;
            }
            let (at, times) = seen_last[&write.op];
            assert_eq!(times, all.len(), "seen once by each");
            everywhere.push(at - write.began);
            answered.push(write.took);
        }
        everywhere.sort();
        answered.sort();
        Self {
            writes: writes.len(),
            refused,
            slowest: *everywhere.last().unwrap(),
            median: everywhere[everywhere.len() / 2],
            answered_p99: answered[answered.len() * 99 / 100],
        }
    }
}

async fn write(person: Person, rooms: Vec<Room>, number: usize, mut stop: watch::Receiver<bool>) -> Vec<Write> {
    let mut writes = Vec::new();
    while !*stop.borrow_and_update() {
        let (op, began) = (Uuid::new_v4(), Instant::now());
        let room = &rooms[(number + writes.len()) % rooms.len()];
        let body = json!({"title": format!("{number}/{}", writes.len())});
        let answer = person.call("PATCH", &format!("/widgets/{}", room.widget), Some(body), Some(op)).await;
        if answer.status != 200 {
            println!("refused: {answer:?}");
        }
        writes.push(Write { op, began, took: began.elapsed(), status: answer.status });
        let _ = tokio::time::timeout(WRITE_EVERY.saturating_sub(began.elapsed()), stop.changed()).await;
    }
    writes
}

/// Takes what comes until the last of every room has come. Nothing is missing, and nobody tells it to begin anew.
async fn witness(mut live: Live, mut seen: Seen, ends: HashSet<Uuid>) -> Seen {
    let mut missing = ends;
    while !missing.is_empty() {
        let push = live.push().await;
        for word in ["unsubscribe", "disconnect"] {
            assert!(push.get(word).is_none(), "{push}");
        }
        let Some(offset) = push["pub"]["offset"].as_u64() else { continue };
        let op: Uuid = op_of(&push["pub"]["data"]);
        let events = seen.get_mut(push["channel"].as_str().unwrap()).unwrap();
        assert_eq!(offset, events.last().unwrap().0 + 1, "a gap or a repetition: {push}");
        events.push((offset, op, Instant::now()));
        missing.remove(&op);
    }
    seen
}

fn op_of(event: &Value) -> Uuid {
    event["op"].as_str().unwrap().parse().unwrap()
}
