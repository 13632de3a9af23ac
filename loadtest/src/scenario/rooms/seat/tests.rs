//! A checker that finds nothing proves nothing: every fault is shown to it once.

use super::*;

const ROOM: Channel = Channel::Workspace(Uuid::from_u128(1));
const ELSEWHERE: Channel = Channel::Workspace(Uuid::from_u128(2));
const WIDGET: Uuid = Uuid::from_u128(3);
const STRANGE: Uuid = Uuid::from_u128(4);

/// Shows the lines to a seat in room 0, where `WIDGET` is dragged.
fn found(lines: &[String]) -> (Rc<Found>, u64) {
    let found = Rc::new(Found::default());
    let widgets = Widgets::from([(WIDGET, (0, 0, 0)), (STRANGE, (1, 0, 1))]);
    let next = Rc::new(RefCell::new(vec![0]));
    let seat = Seat { room: 0, channel: ROOM, next: next.clone() };
    for line in lines {
        seat.line(ServerLine::parse(line).unwrap(), Instant::now(), &found, &widgets);
    }
    let next = next.borrow()[0];
    (found, next)
}

fn drag(channel: Channel, widget: Uuid, sequence: u64) -> String {
    let value = value(widget, Uuid::nil(), 0, sequence);
    json!({"push": {"channel": channel, "pub": {"data": value}}}).to_string()
}

fn here(sequence: u64) -> String {
    drag(ROOM, WIDGET, sequence)
}

fn faults(found: &Found) -> [u64; 4] {
    [&found.duplicates, &found.reordered, &found.foreign, &found.conflated].map(Cell::get)
}

#[test]
fn all_in_order_is_no_fault() {
    let (found, next) = found(&[here(0), here(1), here(2)]);
    assert_eq!((faults(&found), found.delivered.get(), next), ([0; 4], 3, 3));
}

#[test]
fn faults_are_told_apart() {
    assert_eq!(faults(&found(&[here(0), here(0)]).0), [1, 0, 0, 0]);
    assert_eq!(faults(&found(&[here(0), here(1), here(0)]).0), [0, 1, 0, 0]);
    assert_eq!(faults(&found(&[drag(ELSEWHERE, WIDGET, 0)]).0), [0, 0, 1, 0]);
    assert_eq!(faults(&found(&[drag(ROOM, STRANGE, 0)]).0), [0, 0, 1, 0]);
    assert_eq!(faults(&found(&[here(0), here(5)]).0), [0, 0, 0, 4]);
}

#[test]
fn large_sequence_numbers_survive_the_grid() {
    for sequence in [1_000_001, 99_999_999] {
        assert_eq!(found(&[here(sequence)]).1, sequence + 1);
    }
}

#[test]
fn what_did_not_come_is_missing() {
    let seen = |next: u64| Rc::new(RefCell::new(vec![next]));
    // Two rooms of one publisher each, two people: the second of room 1 lacks the last two values.
    let seats = [seen(5), seen(5), seen(7), seen(5)];
    assert_eq!(missing(seats.iter(), 2, &[5, 7], 2), 2);
}
