//! Both formats, byte for byte. The protobuf was written by the protobuf library of another language, from the published
//! `client.proto`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::*;

const ROOM: Channel = Channel::Workspace(Uuid::from_u128(7));

fn both(write: impl Fn(&mut Vec<u8>, Format)) -> (String, String) {
    let (mut json, mut protobuf) = (Vec::new(), Vec::new());
    write(&mut json, Format::Json);
    write(&mut protobuf, Format::Protobuf);
    let hex = protobuf.iter().map(|byte| format!("{byte:02x}")).collect();
    (String::from_utf8(json).unwrap(), hex)
}

fn check(write: impl Fn(&mut Vec<u8>, Format), json: &str, protobuf: &str) {
    assert_eq!(both(write), (format!("{json}\n"), protobuf.to_owned()));
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn somebody() -> ClientInfo {
    let info = Some(raw(r#"{"n":1}"#));
    ClientInfo { user: Uuid::nil(), client: Uuid::nil(), conn_info: info, chan_info: Some(DeviceInfo { devices: 2 }) }
}

#[test]
fn results() {
    let data = ConnectData { user_id: Uuid::nil(), server_time: 5 };
    let connected = ConnectResult { client: "c".into(), ping: 15, pong: true, session: None, node: None, data };
    check(
        |buffer, format| reply(buffer, format, 1, &connected),
        r#"{"id":1,"connect":{"client":"c","ping":15,"pong":true,"data":{"user_id":"00000000-0000-0000-0000-000000000000","server_time":5}}}"#,
        concat!(
            "4f08012a4b0a01632a427b22757365725f6964223a2230303030303030302d303030302d303030302d303030302d3030",
            "30303030303030303030222c227365727665725f74696d65223a357d380f4001",
        ),
    );
    let data = raw("{}");
    let mut seat = SubscribeResult {
        recoverable: true,
        positioned: true,
        epoch: "e",
        offset: 300,
        was_recovering: true,
        recovered: true,
        data: &data,
    };
    check(
        |buffer, format| reply(buffer, format, 2, &seat),
        r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"e","offset":300,"was_recovering":true,"recovered":true,"data":{}}}"#,
        "16080232121801320165400148ac0250015a027b7d6001",
    );
    (seat.offset, seat.was_recovering, seat.recovered) = (0, false, false);
    check(
        |buffer, format| reply(buffer, format, 2, &seat),
        r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"e","data":{}}}"#,
        "0f0802320b180132016550015a027b7d",
    );
    check(|buffer, format| reply_empty(buffer, format, 3, Kind::Publish), r#"{"id":3,"publish":{}}"#, "0408034200");
    check(
        |buffer, format| reply_error(buffer, format, 4, &WireError::too_many_requests()),
        r#"{"id":4,"error":{"code":111,"message":"too_many_requests","temporary":true}}"#,
        "1b08041217086f1211746f6f5f6d616e795f72657175657374731801",
    );
    let stats = PresenceStatsResult { num_clients: 3, num_users: 0 };
    check(
        |buffer, format| reply(buffer, format, 6, &stats),
        r#"{"id":6,"presence_stats":{"num_clients":3,"num_users":0}}"#,
        "06080652020803",
    );
    check(
        |buffer, format| reply(buffer, format, 8, &RpcResult { data: RawValue::NULL }),
        r#"{"id":8,"rpc":{"data":null}}"#,
        "0a08086a060a046e756c6c",
    );
    check(
        |buffer, format| reply(buffer, format, 9, &RefreshResult { client: "c".into() }),
        r#"{"id":9,"refresh":{"client":"c"}}"#,
        "07080972030a0163",
    );
}

#[test]
fn lists_and_maps() {
    let presence = PresenceResult { presence: BTreeMap::from([(Uuid::nil(), somebody())]) };
    check(
        |buffer, format| reply(buffer, format, 5, &presence),
        r#"{"id":5,"presence":{"presence":{"00000000-0000-0000-0000-000000000000":{"user":"00000000-0000-0000-0000-000000000000","client":"00000000-0000-0000-0000-000000000000","conn_info":{"n":1},"chan_info":{"devices":2}}}}}"#,
        concat!(
            "940108054a8f010a8c010a2430303030303030302d303030302d303030302d303030302d303030303030303030303030",
            "12640a2430303030303030302d303030302d303030302d303030302d3030303030303030303030301224303030303030",
            "30302d303030302d303030302d303030302d3030303030303030303030301a077b226e223a317d220d7b226465766963",
            "6573223a327d",
        ),
    );
    let publications = [1, 2].map(|offset| HistoryEvent { offset, data: raw(&offset.to_string()) }).into();
    let history = HistoryResult { epoch: "e".into(), offset: 2, publications };
    check(
        |buffer, format| reply(buffer, format, 7, &history),
        r#"{"id":7,"history":{"epoch":"e","offset":2,"publications":[{"offset":1,"data":1},{"offset":2,"data":2}]}}"#,
        "1708075a130a0522013130010a0522013230021201651802",
    );
}

#[test]
fn pushes() {
    check(ping, "{}", "00");
    let data = br#"{"type":"widget.moved"}"#;
    check(
        |buffer, format| push_event(buffer, format, ROOM, 9, data),
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","pub":{"offset":9,"data":{"type":"widget.moved"}}}}"#,
        concat!(
            "4f224d122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d303030303030303030",
            "303037221b22177b2274797065223a227769646765742e6d6f766564227d3009",
        ),
    );
    check(
        |buffer, format| push_unnumbered(buffer, format, ROOM, b"{}"),
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","pub":{"data":{}}}}"#,
        concat!(
            "382236122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d303030303030303030",
            "303037220422027b7d",
        ),
    );
    check(
        |buffer, format| push_info(buffer, format, ROOM, Move::Join, &somebody()),
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","join":{"info":{"user":"00000000-0000-0000-0000-000000000000","client":"00000000-0000-0000-0000-000000000000","conn_info":{"n":1},"chan_info":{"devices":2}}}}}"#,
        concat!(
            "9b01229801122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d30303030303030",
            "30303030372a660a640a2430303030303030302d303030302d303030302d303030302d30303030303030303030303012",
            "2430303030303030302d303030302d303030302d303030302d3030303030303030303030301a077b226e223a317d220d",
            "7b2264657669636573223a327d",
        ),
    );
    let nobody = ClientInfo { conn_info: None, chan_info: None, ..somebody() };
    check(
        |buffer, format| push_info(buffer, format, ROOM, Move::Leave, &nobody),
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","leave":{"info":{"user":"00000000-0000-0000-0000-000000000000","client":"00000000-0000-0000-0000-000000000000"}}}}"#,
        concat!(
            "8301228001122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d30303030303030",
            "3030303037324e0a4c0a2430303030303030302d303030302d303030302d303030302d30303030303030303030303012",
            "2430303030303030302d303030302d303030302d303030302d303030303030303030303030",
        ),
    );
    check(
        |buffer, format| push_unsubscribe(buffer, format, ROOM, Unsubscribed::REMOVED),
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","unsubscribe":{"code":2101,"reason":"removed from the room"}}}"#,
        concat!(
            "4e224c122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d303030303030303030",
            "3030373a1a10b5101a1572656d6f7665642066726f6d2074686520726f6f6d",
        ),
    );
    check(
        |buffer, format| push_disconnect(buffer, format, Disconnect::SHUTDOWN),
        r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#,
        "11220f5a0d08b917120873687574646f776e",
    );
}

/// Lengths of two bytes, at every level.
#[test]
fn a_long_push() {
    let data = format!("\"{}\"", "x".repeat(300));
    let (_, protobuf) = both(|buffer, format| push_event(buffer, format, ROOM, (1 << 53) - 1, data.as_bytes()));
    let (head, tail) = (
        concat!(
            "f00222ed02122e776f726b73706163653a30303030303030302d303030302d303030302d303030302d30303030303030",
            "303030303722ba0222ae0222",
        ),
        "2230ffffffffffffff0f",
    );
    assert_eq!(protobuf, [head, &"78".repeat(300), tail].concat());
}

#[test]
fn the_data_of_a_push() {
    for data in ["{}", "null", r#"{"type":"drag","data":{"x":"}}}"}}"#] {
        let (json, _) = both(|buffer, format| push_unnumbered(buffer, format, ROOM, data.as_bytes()));
        assert_eq!(data_of(ROOM, json.as_bytes()), data.as_bytes());
    }
}

#[test]
fn publications_are_put_together_as_json() {
    let (actor, data) = (Uuid::from_u128(9), raw(r#"{"x": [1]}"#));
    let said = |kind, key, data| {
        let mut line = Vec::new();
        push_published(&mut line, ROOM, &Published { kind, key, actor, data });
        let value: serde_json::Value = serde_json::from_slice(data_of(ROOM, &line)).unwrap();
        (String::from_utf8(line).unwrap(), value)
    };
    let (line, _) = said("drag", Some("k"), Some(data.get()));
    let expected = concat!(
        r#"{"push":{"channel":"workspace:00000000-0000-0000-0000-000000000007","pub":{"data":"#,
        r#"{"type":"drag","key":"k","actor":"00000000-0000-0000-0000-000000000009","data":{"x": [1]}}}}}"#,
    );
    assert_eq!(line, format!("{expected}\n"));
    let (line, value) = said("typing", None, None);
    assert!(line.contains(r#"{"type":"typing","actor":"00000000-0000-0000-0000-000000000009","data":null}"#), "{line}");
    assert_eq!(value["data"], serde_json::Value::Null);
    for key in ["\"", "\\", "\n", "\u{1f}", "ü", "\u{7f}", "\u{2028}"] {
        let (line, value) = said("reaction", Some(key), None);
        assert_eq!((value["key"].as_str(), line.matches('\n').count()), (Some(key), 1));
    }
}
