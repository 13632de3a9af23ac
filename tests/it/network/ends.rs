//! How connections end, and that nothing is left of them.

use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Stage, until_offset};
use crate::faults::link::Link;

/// Nothing is left of a connection that has ended.
const FREED_WITHIN: Duration = Duration::from_secs(1);
/// Nor of one that only seems to be there.
const SILENT_WITHIN: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<TcpStream>;

/// A connection of the viewer, whose socket can be reached.
async fn open(stage: &Stage) -> Socket {
    let stream = TcpStream::connect(stage.app.address).await.unwrap();
    let url = stage.app.url().replace("http://", "ws://") + "/connection/websocket";
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    for command in [
        json!({"id": 1, "connect": {"token": stage.viewer.token}}),
        json!({"id": 2, "subscribe": {"channel": stage.channel}}),
    ] {
        socket.send(Message::text(command.to_string())).await.unwrap();
    }
    socket
}

/// Half of a masked text frame that says it has 100 bytes.
const HALF_A_FRAME: [u8; 8] = [0x81, 0x80 | 100, 1, 2, 3, 4, b'{' ^ 1, b'"' ^ 2];

async fn close(mut socket: Socket, code: Option<u16>) {
    let frame = code.map(|code| CloseFrame { code: code.into(), reason: "".into() });
    socket.close(frame).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_connection_ends_it_is_freed_at_once_and_can_be_resumed() {
    let stage = Stage::set().await;
    let mut from = stage.change(10).await;
    let position = stage.view(&stage.app.url()).await.1;
    stage.until_connections(0).await;
    for how in ["reset in a frame", "end in a frame", "end between frames", "1000", "4001", "no code"] {
        let mut socket = open(&stage).await;
        while stage.app.app.hub.counts() != (1, 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let since = Instant::now();
        match how {
            "reset in a frame" => {
                let mut stream = socket.into_inner();
                stream.write_all(&HALF_A_FRAME).await.unwrap();
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            "end in a frame" => {
                let mut stream = socket.into_inner();
                stream.write_all(&HALF_A_FRAME).await.unwrap();
                stream.shutdown().await.unwrap();
                stage.until_connections(0).await;
            }
            "end between frames" => {
                socket.get_mut().shutdown().await.unwrap();
                stage.until_connections(0).await;
            }
            code => close(socket, code.parse().ok()).await,
        }
        stage.until_connections(0).await;
        println!("{how}: freed after {:?}", since.elapsed());
        assert!(since.elapsed() <= FREED_WITHIN, "{how}: {:?}", since.elapsed());
        // What was missed is there for whoever comes back.
        let to = stage.change(10).await;
        let mut live = stage.viewer.live().await;
        let position = json!({"offset": from, "epoch": position["epoch"]});
        let resumed = live.subscribe_from(&stage.channel, &position).await.unwrap();
        assert_eq!(resumed["recovered"], true, "{how}: {resumed}");
        let recovered = resumed["publications"].as_array().cloned().unwrap_or_default();
        match recovered.as_slice() {
            [] => until_offset(&mut live, from, to).await,
            [publication] => assert_eq!(publication["offset"], to),
            more => panic!("{more:?}"),
        }
        from = to;
        live.bye().await;
        stage.until_connections(0).await;
    }
}

/// The server's words are cut off in the middle; whoever comes back gets each event once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_in_the_middle_of_what_the_server_says() {
    let stage = Stage::set().await;
    let link = Link::start(stage.app.address);
    let (_, first) = stage.view(&stage.app.url()).await;
    let mut seen = first["offset"].as_u64().unwrap_or(0);
    for round in 0..8_u64 {
        // Behind the answers to connect and subscribe, which bring what was missed.
        link.down(|way| way.tear_after = Some(6_000 + 377 * round));
        let mut live = stage.viewer.at(&link.url("http")).live().await;
        let position = json!({"offset": seen, "epoch": first["epoch"]});
        let resumed = live.subscribe_from(&stage.channel, &position).await.unwrap();
        assert_eq!(resumed["recovered"], true, "{resumed}");
        let mut take = |offset: u64| {
            assert_eq!(offset, seen + 1, "a gap or a repetition");
            seen = offset;
        };
        resumed["publications"]
            .as_array()
            .into_iter()
            .flatten()
            .for_each(|push| take(push["offset"].as_u64().unwrap()));
        let until_torn = async {
            while let Some(line) = live.line().await {
                line["push"]["pub"]["offset"].as_u64().into_iter().for_each(&mut take);
            }
        };
        let changes = async {
            loop {
                stage.change(200).await;
            }
        };
        tokio::select! {
            () = until_torn => {}
            () = changes => {}
        }
    }
    link.heal();
    let (mut live, position) = (stage.viewer.live().await, json!({"offset": seen, "epoch": first["epoch"]}));
    let resumed = live.subscribe_from(&stage.channel, &position).await.unwrap();
    let recovered = resumed["publications"].as_array().map_or(0, Vec::len) as u64;
    let head = stage.change(200).await;
    until_offset(&mut live, seen + recovered, head).await;
    println!("torn 8 times within {head} events");
}

/// Both ways silent, and both sockets open: the server lets go, and so does a client that counts pings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_went_silent_is_freed() {
    let stage = Stage::set().await;
    let link = Link::start(stage.app.address);
    let (live, _) = stage.view(&link.url("http")).await;
    assert_eq!(stage.app.app.hub.counts().0, 1);
    let client = tokio::spawn(live.stay());
    link.half_open();
    let since = Instant::now();
    let freed = stage.until_connections(0).await;
    println!("freed after {freed:?}");
    assert!(freed <= SILENT_WITHIN && !client.is_finished(), "{:?}", since.elapsed());
    link.heal();
    client.await.unwrap();
}
