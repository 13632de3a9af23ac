//! Whose turn it is when many have news.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use studyhall_protocol::format::Format;
use tokio::io::AsyncWriteExt;

use crate::live::conn::{Conn, ConnId};
use crate::live::flush::Flusher;
use crate::live::limits::FLUSH_SLICE;
use crate::live::pages::LogPages;
use crate::live::stream::{Road, Stream};

fn people(count: usize) -> Vec<Arc<Conn>> {
    let person = |n| Arc::new(Conn::new(ConnId(n as u64), Stream::new(Road::new(None)), Format::Json));
    (0..count).map(person).collect()
}

fn waiting(conns: &[Arc<Conn>]) -> usize {
    conns.iter().filter(|conn| conn.is_enlisted()).count()
}

fn mark(flusher: &Flusher, conns: &[Arc<Conn>]) {
    flusher.mark_all(conns.len(), conns.iter().map(|conn| (conn, 0)));
}

/// Runs the flush task by hand: every call is one turn.
macro_rules! turns {
    ($flusher:ident, $turn:ident) => {
        let pages = LogPages::new(1 << 20);
        let mut running = pin!($flusher.run(0, &pages));
        let mut $turn = || assert_eq!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        $turn();
    };
}

#[test]
fn a_room_does_not_wait_for_a_lecture() {
    let (flusher, lecture, room) = (Flusher::new(1), people(10 * FLUSH_SLICE), people(4));
    turns!(flusher, turn);
    mark(&flusher, &lecture);
    // The first turn is that of the readers.
    turn();
    assert_eq!(waiting(&lecture), lecture.len());
    turn();
    assert_eq!(waiting(&lecture), lecture.len() - FLUSH_SLICE);
    for _ in 0..3 {
        mark(&flusher, &room);
        turn();
        assert_eq!(waiting(&room), 0);
    }
    // And the lecture loses no more than the room took.
    assert_eq!(waiting(&lecture), lecture.len() - 4 * FLUSH_SLICE + 3 * room.len());
}

#[test]
fn a_lecture_does_not_wait_for_rooms() {
    let (flusher, lecture, rooms) = (Flusher::new(1), people(2 * FLUSH_SLICE), people(2 * FLUSH_SLICE));
    turns!(flusher, turn);
    mark(&flusher, &lecture);
    turn();
    for _ in 0..4 {
        rooms.chunks(4).for_each(|room| mark(&flusher, room));
        turn();
    }
    assert_eq!((waiting(&lecture), waiting(&rooms)), (0, 2 * FLUSH_SLICE - FLUSH_SLICE / 2));
}

/// While one is written to after the other, somebody else says something: that is heard before the last one is written to.
#[tokio::test]
async fn readers_are_heard_during_a_lecture() {
    let (flusher, lecture) = (Arc::new(Flusher::new(1)), people(20 * FLUSH_SLICE));
    let writer = flusher.clone();
    let writing = tokio::spawn(async move { writer.run(0, &LogPages::new(1 << 20)).await });
    let (mut speaker, listener) = tokio::net::UnixStream::pair().unwrap();
    let listening = tokio::spawn(async move { listener.readable().await });
    tokio::task::yield_now().await;
    mark(&flusher, &lecture);
    speaker.write_all(b"!").await.unwrap();
    listening.await.unwrap().unwrap();
    assert!(waiting(&lecture) > 0, "everybody was written to first");
    flusher.stop();
    writing.await.unwrap();
}
