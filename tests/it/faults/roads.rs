//! Roads do what they are asked for, or the tests over them prove nothing.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::link::Link;

/// A road, a client on it, and the server's end of that connection.
async fn road() -> (Link, TcpStream, TcpStream) {
    let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let link = Link::start_with(listener.local_addr().unwrap(), 7, None);
    let client = TcpStream::connect(link.address).await.unwrap();
    let server = listener.accept().await.unwrap().0;
    (link, client, server)
}

async fn read(stream: &mut TcpStream) -> Result<u8, ErrorKind> {
    tokio::time::timeout(Duration::from_millis(300), stream.read_u8())
        .await
        .map_err(|_| ErrorKind::TimedOut)?
        .map_err(|error| error.kind())
}

#[tokio::test]
async fn bytes_arrive_late_in_pieces_and_in_order() {
    let (link, mut client, mut server) = road().await;
    link.down(|way| {
        (way.delay, way.jitter) = (Duration::from_millis(100), Duration::from_millis(50));
        way.slice = Some(7);
    });
    let sent: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
    let began = Instant::now();
    server.write_all(&sent).await.unwrap();
    let (mut came, mut most) = (Vec::new(), 0);
    let mut buffer = vec![0; 4_096];
    while came.len() < sent.len() {
        let length = client.read(&mut buffer).await.unwrap();
        most = most.max(length);
        came.extend_from_slice(&buffer[..length]);
    }
    assert!(came == sent && began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    // The other way is not concerned.
    let began = Instant::now();
    client.write_u8(1).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), 1);
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_road_is_as_slow_as_it_says_and_holds_little() {
    let (link, mut client, mut server) = road().await;
    link.both(|way| way.rate = Some(20_000));
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        server.write_all(&vec![1; 30_000]).await.unwrap();
        server
    });
    client.read_exact(&mut vec![0; 30_000]).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!((1.3..2.5).contains(&took), "{took}");
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn what_is_blocked_cannot_be_told_from_what_is_far() {
    let (link, mut client, mut server) = road().await;
    link.half_open();
    server.write_u8(1).await.unwrap();
    client.write_u8(2).await.unwrap();
    assert_eq!(read(&mut client).await, Err(ErrorKind::TimedOut));
    assert_eq!(read(&mut server).await, Err(ErrorKind::TimedOut));
    // Not even its end is told.
    server.shutdown().await.unwrap();
    assert_eq!(read(&mut client).await, Err(ErrorKind::TimedOut));
    link.heal();
    assert_eq!(read(&mut client).await, Ok(1));
    assert_eq!(read(&mut client).await, Err(ErrorKind::UnexpectedEof));
    assert_eq!(read(&mut server).await, Ok(2));
}

#[tokio::test]
async fn connections_end_as_they_are_told_to() {
    let (link, mut client, mut server) = road().await;
    link.cut();
    assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(read(&mut server).await, Err(ErrorKind::ConnectionReset));
    let (link, mut client, mut server) = road().await;
    link.fin();
    assert_eq!(read(&mut client).await, Err(ErrorKind::UnexpectedEof));
    assert_eq!(read(&mut server).await, Err(ErrorKind::UnexpectedEof));
    // In the middle of what is said.
    let (link, mut client, mut server) = road().await;
    link.down(|way| way.tear_after = Some(2));
    server.write_all(&[1, 2, 3]).await.unwrap();
    assert_eq!([read(&mut client).await, read(&mut client).await], [Ok(1), Ok(2)]);
    assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
    let (link, ..) = road().await;
    link.close();
    let mut client = TcpStream::connect(link.address).await.unwrap();
    assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(link.connections(), 2);
}
