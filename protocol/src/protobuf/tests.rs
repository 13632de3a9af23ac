use super::command;
use crate::format::Format;
use crate::frame::{Commands, Unreadable};

/// Written by the protobuf library of another language from the published `client.proto`.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digits).collect()
}

/// One command of a frame, handed to `test`.
fn read(hex: &str, test: impl FnOnce(crate::frame::ClientCommand<'_>)) {
    let frame = bytes(hex);
    let mut commands = Commands::new(Format::Protobuf, &frame);
    test(commands.next().unwrap().unwrap());
    assert!(commands.next().is_none());
}

#[test]
fn every_request() {
    read("130801220f0a057368735f782206707974686f6e", |command| {
        assert_eq!((command.id, &*command.connect.unwrap().token), (1, "shs_x"))
    });
    read("2108052a1d0a07757365723a3766180132046b337639382842027b7d480158017003", |command| {
        let subscribe = command.subscribe.unwrap();
        assert_eq!((&*subscribe.channel, subscribe.offset, &*subscribe.epoch), ("user:7f", 40, "k3v9"));
        assert!(subscribe.recover && subscribe.join_leave && subscribe.reject_unrecovered());
        assert!(subscribe.kind == 0 && subscribe.tf.is_none());
    });
    read("1908052a150a07757365723a37666a0a1201611a026571220162", |command| {
        assert!(command.subscribe.unwrap().tf.is_some())
    });
    read("07080632030a0161", |command| assert_eq!(command.unsubscribe.unwrap().channel, "a"));
    let publish = concat!(
        "4608073a420a2e776f726b73706163653a30303030303030302d303030302d303030302d30303030",
        "2d30303030303030303030303712107b2274797065223a226e75646765227d"
    );
    read(publish, |command| {
        let publish = command.publish.unwrap();
        assert_eq!(publish.channel, "workspace:00000000-0000-0000-0000-000000000007");
        assert_eq!(publish.data.unwrap().get(), r#"{"type":"nudge"}"#);
    });
    read("07080842030a0161", |command| assert_eq!(command.presence.unwrap().channel, "a"));
    read("0708094a030a0161", |command| assert_eq!(command.presence_stats.unwrap().channel, "a"));
    read("2308ac02521e0a016138ffffffffffffffffff01420c0880808080808080101201654801", |command| {
        let history = command.history.unwrap();
        assert_eq!((command.id, history.limit, history.reverse), (300, -1, true));
        let since = history.since.unwrap();
        assert_eq!((since.offset, &*since.epoch), (1 << 53, "e"));
    });
    read("1a080b6a160a077b2261223a317d120b7461736b2e637265617465", |command| {
        let rpc = command.rpc.unwrap();
        assert_eq!((&*rpc.method, rpc.data.unwrap().get()), ("task.create", r#"{"a":1}"#));
    });
    read("0762050a035b315d", |command| assert_eq!((command.id, command.send.unwrap().data.unwrap().get()), (0, "[1]")));
    read("07080c72030a0174", |command| assert_eq!(command.refresh.unwrap().token, "t"));
    read("0a080d7a060a0161120174", |command| assert!(command.sub_refresh.is_some()));
    read("04080e5a00", |command| assert!(command.ping.is_some()));
    read("00", |command| assert!(command.is_pong()));
}

/// As in JSON: what has an id and a sound frame gets an answer, everything else cannot.
#[test]
fn tells_malformed_from_bad() {
    let table: &[(&[u8], Unreadable)] = &[
        (b"\x08\x07\x2a\x02\x08\x05", Unreadable::Bad(7)), // the channel is a number
        (b"\x08\x07\x2a\x03\x0a\x01\xff", Unreadable::Bad(7)), // not UTF-8
        (b"\x2a\x02\x0a\x09\x08\x07", Unreadable::Bad(7)), // the id comes last, the inner length is too long
        (b"\x08\x07\x3a\x04\x12\x02{]", Unreadable::Bad(7)), // data is not JSON
        (b"\x08\x07\x3a\x05\x12\x031 2", Unreadable::Bad(7)), // data is more than JSON
        (b"\x08\x07\x28\x01", Unreadable::Bad(7)),         // a request is a number
        (b"\x2a\x02\x08\x05", Unreadable::Malformed),      // no id to answer to
        (b"\x08", Unreadable::Malformed),                  // cut
        (b"\x08\x80\x80\x80\x80\x10", Unreadable::Malformed), // an id of 33 bits
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Unreadable::Malformed), // an endless number
        (b"\x0a\x01\x07", Unreadable::Malformed),          // the id is bytes
        (b"\x00\x07", Unreadable::Malformed),              // field 0
        (b"\x08\x07\x0b", Unreadable::Malformed),          // a group
        (b"\x08\x07\x2a\x05\x0a", Unreadable::Malformed),  // longer than the message
    ];
    for (message, expected) in table {
        assert_eq!(command(message).unwrap_err(), *expected, "{message:x?}");
    }
}

#[test]
fn unknown_fields_are_stepped_over() {
    let message =
        b"\x08\x07\x82\x06\x01x\x5a\x0b\x0d\x01\x02\x03\x04\x10\x05\x1a\x02hi\xc9\x06\x01\x02\x03\x04\x05\x06\x07\x08";
    let read = command(message).unwrap();
    assert!(read.id == 7 && read.ping.is_some());
    // No data, in both ways that a client can say so.
    let empty = command(b"\x08\x07\x6a\x02\x0a\x00").unwrap();
    assert!(empty.rpc.unwrap().data.is_none());
    let null = command(b"\x08\x07\x6a\x06\x0a\x04null").unwrap();
    assert!(null.rpc.unwrap().data.is_none());
}

#[test]
fn a_frame_is_cut_at_its_lengths() {
    let pongs = [0, 0, 4, 8, 14, 90, 0];
    let mut commands = Commands::new(Format::Protobuf, &pongs);
    assert!(commands.next().unwrap().unwrap().is_pong());
    assert_eq!(commands.rest(), [0, 4, 8, 14, 90, 0]);
    assert!(commands.next().unwrap().unwrap().is_pong());
    assert_eq!(commands.next().unwrap().unwrap().id, 14);
    assert!(commands.next().is_none() && commands.rest().is_empty());
    for broken in [&b""[..], b"\x05", b"\x80", b"\x02\x08", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        let mut commands = Commands::new(Format::Protobuf, broken);
        assert_eq!(commands.next().unwrap().unwrap_err(), Unreadable::Malformed, "{broken:x?}");
        assert!(commands.next().is_none());
    }
}

/// Every cut and every flipped bit of a frame is read to an end.
#[test]
fn damage_is_survived() {
    let frame = bytes("2308ac02521e0a016138ffffffffffffffffff01420c0880808080808080101201654801");
    for end in 0..frame.len() {
        assert!(Commands::new(Format::Protobuf, &frame[..end]).count() <= 2);
    }
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Commands::new(Format::Protobuf, &damaged).count() <= damaged.len());
    }
}
