//! A checker that finds nothing proves nothing: every fault is shown to it once.

use std::time::Duration;

use studyhall_protocol::client::{Push, ServerLine};

use super::*;

const ROOM: Channel = Channel::Workspace(Uuid::from_u128(1));
const ELSEWHERE: Channel = Channel::Workspace(Uuid::from_u128(2));
const WIDGETS: [Uuid; 2] = [Uuid::from_u128(3), Uuid::from_u128(4)];

/// One room with two people who both speak, one schedule of so many turns begun.
fn group(kind: Kind, turns: u32, way: Way) -> (Group, Instant) {
    let spec = Spec { kind, rooms: 1, people: 2, speakers: 2 };
    let subject = |speaker| Subject { kind, channel: ROOM, actor: Uuid::nil(), key: WIDGETS[speaker], speaker };
    let mut group = Group::new(spec, way, vec![ROOM], vec![subject(0), subject(1)], &[10, 11]);
    let start = Instant::now();
    // One message every 10 ms.
    group.begin_open(start, 100.0, f64::from(turns) * 0.02);
    (group, start)
}

/// Says everything that is due by then; returns what a plain server repeats.
fn said(group: &mut Group, by: Instant) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    while let Some((socket, frame)) = group.say(by) {
        let crate::frames::Found::Whole(found) = crate::frames::parse(frame).unwrap() else { panic!("not whole") };
        all.push((socket, String::from_utf8(frame[found.payload].to_vec()).unwrap()));
    }
    all
}

/// Shows a line to a receiver as the world does.
fn show(group: &mut Group, receiver: usize, line: &str, at: Instant) {
    if group.value(0, receiver, line.as_bytes(), at) {
        return;
    }
    let Ok(ServerLine::Push { channel, push: Push::Pub(publication) }) = ServerLine::parse(line) else {
        panic!("{line}")
    };
    group.publication(0, receiver, channel, &publication, at);
}

/// Five turns of both speakers; the first receiver is shown these of the first speaker's.
fn shown(order: &[usize]) -> Counts {
    let (mut group, start) = group(Kind::Drag, 5, Way::Plain);
    let end = start + Duration::from_secs(1);
    let lines = said(&mut group, end);
    let first: Vec<&String> = lines.iter().filter(|(socket, _)| *socket == 10).map(|(_, line)| line).collect();
    assert_eq!((lines.len(), first.len()), (10, 5));
    order.iter().for_each(|place| show(&mut group, 0, first[*place], end));
    group.counts
}

fn faults(counts: &Counts) -> [u64; 5] {
    [counts.duplicates, counts.reordered, counts.foreign, counts.gaps, counts.overdue]
}

#[test]
fn all_in_order_is_no_fault() {
    let (mut group, start) = group(Kind::Drag, 5, Way::Plain);
    let end = start + Duration::from_secs(1);
    for (_, line) in said(&mut group, end) {
        show(&mut group, 0, &line, end);
        show(&mut group, 1, &line, end);
    }
    assert_eq!((group.owed, group.counts.delivered, group.counts.sent), (0, 20, 10));
    group.end();
    assert_eq!((faults(&group.counts), group.counts.lost, group.counts.parsed), ([0; 5], 0, 0));
}

#[test]
fn faults_are_told_apart() {
    assert_eq!(faults(&shown(&[0, 0])), [1, 0, 0, 0, 0]);
    assert_eq!(faults(&shown(&[0, 1, 0])), [0, 1, 0, 0, 0]);
    assert_eq!(faults(&shown(&[0, 4])), [0, 0, 0, 3, 0]);
}

#[test]
fn what_is_not_of_the_room_is_foreign() {
    for (from, to) in [(ROOM.to_string(), ELSEWHERE.to_string()), (WIDGETS[0].to_string(), WIDGETS[1].to_string())] {
        let (mut group, start) = group(Kind::Drag, 1, Way::Plain);
        let (_, line) = said(&mut group, start).remove(0);
        assert!(line.contains(&from));
        show(&mut group, 0, &line.replace(&from, &to), start);
        assert_eq!((faults(&group.counts), group.counts.delivered), ([0, 0, 1, 0, 0], 0));
    }
}

#[test]
fn another_spelling_is_parsed_and_counts_as_well() {
    for kind in [Kind::Drag, Kind::Nudge] {
        let (mut group, start) = group(kind, 2, Way::Plain);
        for (_, line) in said(&mut group, start + Duration::from_secs(1)) {
            let spaced = line.replace(r#""actor":"#, r#" "actor": "#);
            show(&mut group, 0, &spaced, start);
            show(&mut group, 1, &line, start);
        }
        assert_eq!((group.counts.parsed, group.counts.delivered, group.owed), (4, 8, 0));
        assert_eq!(faults(&group.counts), [0; 5]);
    }
}

#[test]
fn what_did_not_come_is_lost_once_and_what_comes_after_all_is_overdue() {
    let (mut group, start) = group(Kind::Drag, 3, Way::Plain);
    let lines = said(&mut group, start + Duration::from_secs(1));
    let (last, others) = lines.split_last().unwrap();
    for (_, line) in others {
        show(&mut group, 0, line, start);
        show(&mut group, 1, line, start);
    }
    show(&mut group, 0, &last.1, start);
    assert_eq!(group.owed, 1);
    group.end();
    assert_eq!((group.counts.lost, group.owed), (1, 0));
    group.begin_open(start, 100.0, 0.02);
    show(&mut group, 1, &last.1.clone(), start);
    // Its gesture is over, so it is read in full.
    assert_eq!((group.counts.lost, group.counts.overdue, group.counts.duplicates), (0, 1, 0));
    show(&mut group, 1, &last.1.clone(), start);
    assert_eq!(group.counts.duplicates, 1);
}

#[test]
fn latency_counts_from_the_scheduled_time() {
    let (mut group, start) = group(Kind::Nudge, 1, Way::Plain);
    // Sent late, all at once: the second value was due 10 ms after the first.
    let sent_at = start + Duration::from_millis(50);
    let lines = said(&mut group, sent_at);
    show(&mut group, 0, &lines[1].1, sent_at);
    let latency = group.take_recent().quantile(1.0).unwrap();
    assert!((39.9..40.1).contains(&latency), "{latency}");
    assert!(group.take_recent().quantile(1.0).is_none());
}

#[test]
fn replies_are_owed_only_for_what_is_answered() {
    for (way, unanswered) in [(Way::Publish, 4), (Way::Send, 0), (Way::Plain, 0)] {
        let (mut group, start) = group(Kind::Drag, 2, way);
        said(&mut group, start + Duration::from_secs(1));
        assert_eq!(group.unanswered, unanswered);
    }
}

#[test]
fn letting_go_is_awaited() {
    let (mut group, start) = group(Kind::Drag, 1, Way::Publish);
    let clear = group.let_go();
    assert_eq!((clear.len(), group.owed, group.unanswered), (2, 4, 2));
    let cleared = format!(
        r#"{{"push":{{"channel":"{ROOM}","pub":{{"data":{{"type":"drag","key":"{}","data":null}}}}}}}}"#,
        WIDGETS[0]
    );
    show(&mut group, 0, &cleared, start);
    assert_eq!((group.owed, group.counts.delivered), (3, 0));
    let (mut plain, _) = self::group(Kind::Drag, 1, Way::Plain);
    assert!(plain.let_go().is_empty());
}
