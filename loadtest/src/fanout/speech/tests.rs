//! The shortcut finds what a parser finds, and refuses what is not what it has to be.

use proptest::prelude::*;
use studyhall_protocol::client::{Push, ServerLine};
use studyhall_protocol::encode;
use studyhall_protocol::live::{Json, Publication, Published};

use super::*;
use crate::frames::{Found, parse};

fn subject(kind: Kind, speaker: usize) -> Subject {
    let id = Uuid::from_u128;
    Subject { kind, channel: Channel::Workspace(id(1)), actor: id(2), key: id(3), speaker }
}

/// The text of a frame.
fn text(frame: &[u8]) -> String {
    let Found::Whole(found) = parse(frame).unwrap() else { panic!("not whole") };
    assert_eq!(found.payload.end, frame.len());
    String::from_utf8(frame[found.payload].to_vec()).unwrap()
}

/// What the server makes of a publication: its own encoder's bytes.
fn pushed(subject: Subject, publication: &str) -> Vec<u8> {
    let Publication { kind, key, data, .. } = serde_json::from_str(publication).unwrap();
    let published = Published { kind: &kind, key: key.as_deref(), actor: subject.actor, data: data.map(Json::get) };
    let mut line = Vec::new();
    encode::push_published(&mut line, subject.channel, &published);
    line.pop();
    line
}

/// The publication within a `publish` or a `send`.
fn publication(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Command<'a> {
        #[serde(borrow, alias = "send")]
        publish: Inner<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    serde_json::from_str::<Command<'_>>(text).unwrap().publish.data.get().to_owned()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Drag), Just(Kind::Nudge)]
}

proptest! {
    #[test]
    fn what_is_sent_comes_back_as_expected(
        kind in kinds(),
        way in prop_oneof![Just(Way::Publish), Just(Way::Send)],
        speaker in 0_usize..1_000_000,
        sequence: u32,
    ) {
        let subject = subject(kind, speaker);
        let mut speech = Speech::new(subject, way, Uuid::nil());
        let line = pushed(subject, &publication(&text(speech.frame(sequence))));
        prop_assert_eq!(speech.line_bytes(), line.len());
        prop_assert_eq!((speaker_of(&line), speech.read(&line)), (Some(speaker), Some(sequence)));
        // Others are sent the very bytes that Studyhall pushes.
        let mut plain = Speech::new(subject, Way::Plain, Uuid::nil());
        prop_assert_eq!(text(plain.frame(sequence)).into_bytes(), line);
    }

    #[test]
    fn the_shortcut_agrees_with_a_parser(kind in kinds(), speaker in 0_usize..1_000_000, sequence: u32) {
        let mut speech = Speech::new(subject(kind, speaker), Way::Plain, Uuid::nil());
        let line = text(speech.frame(sequence));
        let Ok(ServerLine::Push { push: Push::Pub(publication), .. }) = ServerLine::parse(&line) else {
            panic!("{line}")
        };
        let data: serde_json::Value = serde_json::from_str(publication.read().unwrap().data.unwrap().get()).unwrap();
        let number = |names: [&str; 2]| names.iter().find_map(|name| data.get(name)?.as_f64()).unwrap();
        prop_assert_eq!(sequence_of(number(["grid_x", "at"])), Some(sequence));
        prop_assert_eq!(number_of_speaker(number(["grid_y", "by"])), Some(speaker));
    }

    #[test]
    fn a_byte_that_differs_is_no_value(kind in kinds(), sequence in 0_u32..1_000, at: prop::sample::Index) {
        let mut speech = Speech::new(subject(kind, 5), Way::Plain, Uuid::nil());
        let mut line = text(speech.frame(sequence)).into_bytes();
        let at = at.index(line.len());
        line[at] ^= 1;
        // A digit of the number changed makes another number, and nothing else is ever read.
        prop_assert_ne!(speech.read(&line), Some(sequence));
        line.truncate(at);
        prop_assert_eq!(speech.read(&line), None);
    }
}

#[test]
fn commands_are_numbered_and_keep_their_length() {
    let mut speech = Speech::new(subject(Kind::Drag, 0), Way::Publish, Uuid::nil());
    let lengths = [0, 1, u32::MAX].map(|sequence| speech.frame(sequence).len());
    assert_eq!(lengths, [lengths[0]; 3]);
    assert!(text(speech.frame(7)).starts_with(r#"{"id":1000000007,"publish":"#));
}
