//! Everybody comes back at once: few statements, and everybody gets exactly what they missed.

use super::*;

const ROOMS: u128 = 40;
const EVENTS: u64 = 5;

/// Rooms whose events no ring holds: they were committed before anybody was here.
fn write_logs(engine: &Engine) {
    for n in 1..=ROOMS {
        (0..EVENTS).for_each(|_| drop(engine.toy.commit(room(n), Vec::new())));
    }
}

/// Two people in each room, all of whom have seen the first event.
async fn come_back(engine: &Engine) -> Vec<(Channel, Client)> {
    let mut clients = Vec::new();
    for n in 1..=ROOMS {
        for person in [n, 1_000 + n] {
            let mut client = engine.connected(person).await;
            client.recover(room(n), 1, "e1", 2).await;
            clients.push((room(n), client));
        }
    }
    clients
}

async fn all_is_there(clients: &mut [(Channel, Client)]) {
    for (room, client) in clients {
        assert_eq!(client.offsets_until(*room, EVENTS).await, (2..=EVENTS).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_are_read_by_a_few_statements() {
    let engine = Engine::start().await;
    write_logs(&engine);
    engine.toy.reading.shut();
    let mut clients = come_back(&engine).await;
    // Two statements hang in the gate, with whatever was wanted when they began; the rest is wanted by then.
    eventually("all pages are wanted", || engine.hub.pages.awaited() == ROOMS as usize).await;
    let begun = engine.toy.state.lock().statements;
    assert!((1..=2).contains(&begun), "{begun} statements at a time");
    engine.toy.reading.open();
    all_is_there(&mut clients).await;
    let state = engine.toy.state.lock();
    assert_eq!(state.reads, ROOMS as usize, "each page is read once");
    assert!(state.statements <= begun + 2, "{} statements", state.statements);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_room_in_a_statement_is_read_by_the_next_one() {
    let engine = Engine::start_with(Limits { page_bytes: 40_000, ..Limits::default() }).await;
    engine.toy.state.lock().padding = 1_000;
    write_logs(&engine);
    engine.toy.reading.shut();
    let mut clients = come_back(&engine).await;
    eventually("all pages are wanted", || engine.hub.pages.awaited() == ROOMS as usize).await;
    engine.toy.reading.open();
    all_is_there(&mut clients).await;
    assert!(engine.toy.state.lock().statements > 10, "pages of 5 kB, of which 10 kB go into a statement");
}
