//! The engine against the floor: real sockets, one thread.

use std::net::SocketAddr;

use super::*;
use crate::floor::Floor;

/// Keeps what came.
#[derive(Default)]
struct Heard {
    opened: usize,
    texts: Vec<Vec<Vec<u8>>>,
    closed: Vec<String>,
}

impl Handler for Heard {
    fn opened(&mut self, _: usize) -> Option<String> {
        self.opened += 1;
        None
    }

    fn text(&mut self, socket: usize, text: &[u8], _: Instant) -> bool {
        self.texts[socket].push(text.to_vec());
        false
    }

    fn closed(&mut self, _: usize, why: anyhow::Error) {
        self.closed.push(why.to_string());
    }
}

/// Turns both until it is done.
fn until(floor: &mut Floor, engine: &mut Engine, heard: &mut Heard, done: impl Fn(&Heard) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done(heard) {
        assert!(Instant::now() < end, "it does not come to that");
        floor.round(Some(Duration::ZERO)).unwrap();
        engine.turn(heard, Instant::now() + Duration::from_millis(1)).unwrap();
    }
}

fn connected(merged: bool, paths: &[&str], sleep: bool) -> (Floor, Engine, Heard) {
    let mut floor = Floor::bind(SocketAddr::from(([127, 0, 0, 1], 0)), merged).unwrap();
    let address = floor.address().unwrap();
    let mut engine = Engine::new(sleep).unwrap();
    let mut heard = Heard { texts: vec![Vec::new(); paths.len()], ..Heard::default() };
    for path in paths {
        let socket = engine.add(address, "floor", path);
        engine.open(socket).unwrap();
    }
    until(&mut floor, &mut engine, &mut heard, |heard| heard.opened == paths.len());
    (floor, engine, heard)
}

#[test]
fn everybody_in_the_room_gets_everything_in_order() {
    for (merged, sleep) in [(false, false), (true, false), (true, true)] {
        let (mut floor, mut engine, mut heard) = connected(merged, &["/rooms/1", "/rooms/1", "/rooms/2"], sleep);
        // The second is larger than what a read takes, and than what the kernel holds.
        let texts = [b"small".to_vec(), vec![b'x'; 3 * READ_BYTES], vec![b'y'; 200], Vec::new()];
        for text in &texts {
            engine.send(1, text).unwrap();
        }
        until(&mut floor, &mut engine, &mut heard, |heard| heard.texts[0].len() + heard.texts[1].len() == 8);
        assert!(heard.texts[0] == texts && heard.texts[1] == texts, "merged: {merged}");
        assert_eq!((heard.texts[2].len(), heard.closed.len()), (0, 0));
    }
}

#[test]
fn who_is_closed_is_said_once() {
    let (floor, mut engine, mut heard) = connected(false, &["/rooms/1", "/rooms/1"], false);
    drop(floor);
    while heard.closed.len() < 2 {
        engine.turn(&mut heard, Instant::now()).unwrap();
    }
    assert!(!engine.turn(&mut heard, Instant::now()).unwrap());
    assert!(engine.send(0, b"anybody?").is_err());
    assert_eq!(heard.closed, ["closed with 1006 \"connection lost\"", "closed with 1006 \"connection lost\""]);
}

#[test]
fn spinning_is_no_work() {
    let (_floor, mut engine, mut heard) = connected(false, &["/rooms/1"], false);
    let (started, idle) = (Instant::now(), engine.idle());
    while started.elapsed() < Duration::from_millis(50) {
        engine.turn(&mut heard, Instant::now()).unwrap();
    }
    let (idle, all) = (engine.idle() - idle, started.elapsed());
    assert!(idle <= all && idle * 2 > all, "{idle:?} of {all:?}");
}
