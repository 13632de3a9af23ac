//! The floor as a stranger sees it: bytes on a socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::frames;

/// Connects and reads the answer to the upgrade, while the floor turns.
fn join(floor: &mut Floor, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(floor.address().unwrap()).unwrap();
    stream.write_all(frames::upgrade_request("floor", path).as_bytes()).unwrap();
    let answer = read(floor, &mut stream, |bytes| frames::head_end(bytes).is_some());
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains(&frames::accept_key(frames::KEY)), "{answer}");
    stream
}

/// Reads until there is enough, while the floor turns.
fn read(floor: &mut Floor, stream: &mut TcpStream, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    stream.set_nonblocking(true).unwrap();
    let (mut bytes, mut part) = (Vec::new(), vec![0; 1 << 20]);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !enough(&bytes) {
        assert!(std::time::Instant::now() < end, "only {} bytes came", bytes.len());
        floor.round(Some(Duration::from_millis(1))).unwrap();
        match stream.read(&mut part) {
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    bytes
}

/// What the members of a room of three get when two of them speak, cut into pieces of this many bytes.
fn repeated(merged: bool, piece: usize) -> Vec<Vec<u8>> {
    let mut floor = Floor::bind(SocketAddr::from(([127, 0, 0, 1], 0)), merged).unwrap();
    let mut members: Vec<TcpStream> = (0..3).map(|_| join(&mut floor, "/rooms/7")).collect();
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for text in ["one".to_owned(), "two".repeat(100), "three".repeat(20_000)] {
        frames::write_client(&mut sent, frames::TEXT, text.as_bytes());
        frames::write_server(&mut expected, frames::TEXT, text.as_bytes());
    }
    for piece in sent.chunks(piece) {
        members[0].set_nonblocking(false).unwrap();
        members[0].write_all(piece).unwrap();
        floor.round(Some(Duration::from_millis(1))).unwrap();
    }
    let got = members.iter_mut().map(|member| read(&mut floor, member, |bytes| bytes.len() >= expected.len()));
    let got: Vec<Vec<u8>> = got.collect();
    assert!(got.iter().all(|bytes| *bytes == expected));
    got
}

#[test]
fn everybody_gets_the_same_bytes_merged_or_not() {
    for piece in [97, 1_000_000] {
        assert!(repeated(false, piece) == repeated(true, piece));
    }
}

#[test]
fn a_reader_that_stops_gets_the_rest_later_and_holds_up_nobody() {
    for merged in [false, true] {
        let mut floor = Floor::bind(SocketAddr::from(([127, 0, 0, 1], 0)), merged).unwrap();
        let (mut slow, mut fast) = (join(&mut floor, "/"), join(&mut floor, "/"));
        // More than the kernel takes for a reader that does not read.
        let (text, times) = (vec![b'x'; 1 << 20], 16);
        let mut frame = Vec::new();
        frames::write_client(&mut frame, frames::TEXT, &text);
        let mut expected = Vec::new();
        frames::write_server(&mut expected, frames::TEXT, &text);
        let all = expected.len() * times;
        let mut speaker = fast.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            for _ in 0..times {
                let mut rest = frame.as_slice();
                while !rest.is_empty() {
                    match speaker.write(rest) {
                        Ok(written) => rest = &rest[written..],
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            }
        });
        assert_eq!(read(&mut floor, &mut fast, |bytes| bytes.len() >= all).len(), all);
        sending.join().unwrap();
        assert!(read(&mut floor, &mut slow, |bytes| bytes.len() >= all) == expected.repeat(times));
    }
}

#[test]
fn who_leaves_is_forgotten_and_rooms_are_apart() {
    let mut floor = Floor::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
    let (mut here, gone, mut elsewhere) = (join(&mut floor, "/a"), join(&mut floor, "/a"), join(&mut floor, "/b"));
    drop(gone);
    while floor.rooms[0].members.len() > 1 {
        floor.round(Some(Duration::from_millis(1))).unwrap();
    }
    let mut frame = Vec::new();
    frames::write_client(&mut frame, frames::TEXT, b"hello");
    here.write_all(&frame).unwrap();
    assert_eq!(read(&mut floor, &mut here, |bytes| bytes.len() >= 7), b"\x81\x05hello");
    let mut byte = [0];
    elsewhere.set_nonblocking(true).unwrap();
    assert_eq!(elsewhere.read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
