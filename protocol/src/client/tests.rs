use serde_json::json;

use super::*;
use crate::encode::{self, ClientInfo, Kind, Move};
use crate::error::Unsubscribed;
use crate::format::Format;
use crate::frame::ClientCommand;
use crate::rest::Position;

const ROOM: Channel = Channel::Workspace(Uuid::from_u128(7));

#[test]
fn the_server_reads_what_is_built() {
    let line = connect(1, "shs_x");
    assert_eq!(ClientCommand::parse(&line).unwrap().connect.unwrap().token, "shs_x");

    let since = Position { channel: ROOM, offset: 40, epoch: "k3v9".into() };
    let wishes = Wishes { since: Some(&since), join_leave: true, reject_unrecovered: true };
    let line = subscribe(2, ROOM, wishes);
    let read = ClientCommand::parse(&line).unwrap().subscribe.unwrap();
    assert_eq!((read.channel.parse(), read.offset, &*read.epoch), (Ok(ROOM), 40, "k3v9"));
    assert!(read.recover && read.join_leave && read.reject_unrecovered());

    let line = subscribe(3, ROOM, Wishes::default());
    let read = ClientCommand::parse(&line).unwrap().subscribe.unwrap();
    assert!(!read.recover && !read.join_leave && !read.reject_unrecovered());

    let line = rpc(4, "task.create", &json!({"a": 1}));
    let read = ClientCommand::parse(&line).unwrap().rpc.unwrap();
    assert_eq!((&*read.method, read.data.unwrap().get()), ("task.create", r#"{"a":1}"#));

    let line = publish(5, ROOM, &json!({"type": "nudge"}));
    assert_eq!(ClientCommand::parse(&line).unwrap().publish.unwrap().data.unwrap().get(), r#"{"type":"nudge"}"#);

    for line in [unsubscribe(6, ROOM), presence(6, ROOM), history(6, ROOM, Some(&since), 10), history(6, ROOM, None, 0)]
    {
        assert_eq!(ClientCommand::parse(&line).unwrap().id, 6, "{line}");
    }
    assert!(ClientCommand::parse(PONG).unwrap().is_pong());
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut buffer = Vec::new();
    write(&mut buffer);
    String::from_utf8(buffer).unwrap()
}

#[test]
fn what_the_server_writes_is_read() {
    let text = encoded(|buffer| {
        encode::push_event(buffer, Format::Json, ROOM, 9, br#"{"type":"widget.moved","actor":null,"data":{}}"#)
    });
    let Ok(ServerLine::Push { channel: ROOM, push: Push::Pub(publication) }) = ServerLine::parse(&text) else {
        panic!("{text}");
    };
    assert_eq!(publication.offset, Some(9));
    let said = publication.read().unwrap();
    assert_eq!((&*said.kind, said.actor, said.data.unwrap().get()), ("widget.moved", None, "{}"));

    let text = encoded(|buffer| {
        encode::push_unnumbered(buffer, Format::Json, ROOM, br#"{"type":"drag","key":"k","data":null}"#)
    });
    let Ok(ServerLine::Push { push: Push::Pub(publication), .. }) = ServerLine::parse(&text) else { panic!("{text}") };
    assert_eq!(publication.offset, None);
    assert_eq!(publication.read().unwrap().key.as_deref(), Some("k"));

    let text = encoded(|buffer| encode::push_unsubscribe(buffer, Format::Json, ROOM, Unsubscribed::REMOVED));
    let Ok(ServerLine::Push { push: Push::Unsubscribe(ended), .. }) = ServerLine::parse(&text) else {
        panic!("{text}")
    };
    assert_eq!(ended.code, 2101);

    let who = ClientInfo { user: Uuid::nil(), client: Uuid::nil(), conn_info: None, chan_info: None };
    let text = encoded(|buffer| encode::push_info(buffer, Format::Json, ROOM, Move::Leave, &who));
    assert!(matches!(ServerLine::parse(&text), Ok(ServerLine::Push { push: Push::Leave(_), .. })));
}

#[test]
fn replies_are_told_apart() {
    let text = encoded(|buffer| encode::reply_error(buffer, Format::Json, 3, &WireError::too_many_requests()));
    let Ok(ServerLine::Reply { id: 3, result: Err(error) }) = ServerLine::parse(&text) else { panic!("{text}") };
    assert!(error.temporary && error.code == 111);

    let text = encoded(|buffer| encode::reply_empty(buffer, Format::Json, 4, Kind::Publish));
    assert!(matches!(ServerLine::parse(&text), Ok(ServerLine::Reply { id: 4, result: Ok(Reply::Done) })));

    let text = r#"{"id":5,"rpc":{"data":{"positions":[]}}}"#;
    let Ok(ServerLine::Reply { result: Ok(Reply::Rpc(data)), .. }) = ServerLine::parse(text) else { panic!() };
    assert_eq!(data.get(), r#"{"positions":[]}"#);

    let text = r#"{"id":6,"subscribe":{"recoverable":true,"positioned":true,"epoch":"e","data":{"people":[]}}}"#;
    let Ok(ServerLine::Reply { result: Ok(Reply::Subscribe(seat)), .. }) = ServerLine::parse(text) else { panic!() };
    assert_eq!((seat.offset, seat.recovered, seat.data.is_some()), (0, false, true));

    assert!(matches!(ServerLine::parse("{}"), Ok(ServerLine::Ping)));
    assert!(ServerLine::parse("nope").is_err());
    assert_eq!(lines("{}\n{\"id\":1}\n").count(), 2);
}
