//! The decoder against examples, limits and cuts.

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;

/// A masked frame with a header as given in its first byte.
pub fn client_frame(first: u8, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Everything that comes of the chunks, the error last; asserts what holds for all input.
pub fn decode(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<String> {
    let mut seen = Vec::new();
    for chunk in chunks {
        let mut copy = chunk.to_vec();
        let mut rest = &mut copy[..];
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(message)) => seen.push(format!("{message:?}")),
                Ok(None) => break,
                Err(error) => {
                    seen.push(error.reason().to_owned());
                    assert!(decoder.is_finished());
                }
            }
        }
        assert!(rest.is_empty());
        assert!(!decoder.is_finished() || decoder.held() == 0);
    }
    seen
}

fn decode_frames(frames: Frames<'_>) -> Vec<String> {
    let parts = frames.iter().map(|(first, payload)| client_frame(*first, KEY, payload));
    let whole = parts.collect::<Vec<_>>().concat();
    let seen = decode(&mut Decoder::new(1000), &[&whole]);
    let bytes = whole.chunks(1).collect::<Vec<_>>();
    assert_eq!(decode(&mut Decoder::new(1000), &bytes), seen, "byte by byte");
    seen
}

type Frames<'f> = &'f [(u8, &'f [u8])];

const TEXT: u8 = FIN | 1;
const BINARY: u8 = FIN | 2;
const CLOSE: u8 = FIN | 8;
const PING: u8 = FIN | 9;
const PONG: u8 = FIN | 10;

#[test]
fn sizes() {
    assert!(size_of::<Decoder>() <= 24);
    assert!(size_of::<Partial>() <= 192);
}

#[test]
fn examples_of_the_rfc() {
    let mut masked = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let (mut decoder, mut rest) = (Decoder::new(5), &mut masked[..]);
    assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Text("Hello"))));
    assert_eq!(decoder.next(&mut rest), Ok(None));
    assert_eq!(decode(&mut Decoder::new(5), &[b"\x81\x05Hello"]), ["frame not masked"]);
}

#[test]
fn sequences() {
    let long = [b'x'; 125];
    let table: &[(Frames<'_>, &[&str])] = &[
        (&[(TEXT, b"a"), (BINARY, b"b")], &["Text(\"a\")", "Binary([98])"]),
        (&[(TEXT, b""), (BINARY, b"")], &["Text(\"\")", "Binary([])"]),
        (&[(PING, b""), (PONG, b"p")], &["Ping([])", "Pong([112])"]),
        (&[(1, b"a"), (0, b"b"), (FIN, b"c")], &["Text(\"abc\")"]),
        (&[(2, b""), (0, b""), (FIN, b"")], &["Binary([])"]),
        (&[(1, b"a"), (PING, b"p"), (FIN, b"b")], &["Ping([112])", "Text(\"ab\")"]),
        (&[(1, b"a"), (FIN, b"b"), (TEXT, b"c")], &["Text(\"ab\")", "Text(\"c\")"]),
        (&[(1, b"a"), (CLOSE, b""), (FIN, b"b")], &["Close(None)"]),
        (&[(FIN, b"a")], &["continuation of nothing"]),
        (&[(0, b"a")], &["continuation of nothing"]),
        (&[(TEXT, b"a"), (FIN, b"b")], &["Text(\"a\")", "continuation of nothing"]),
        (&[(1, b"a"), (TEXT, b"b")], &["message unfinished"]),
        (&[(1, b"a"), (2, b"b")], &["message unfinished"]),
        (&[(PING ^ FIN, b"")], &["control frame fragmented"]),
        (&[(CLOSE ^ FIN, b"")], &["control frame fragmented"]),
        (&[(PONG, &long), (PING, b"")], &[&format!("Pong({long:?})"), "Ping([])"]),
        (&[(PING, &[0; 126])], &["control frame too long"]),
        (&[(TEXT | 0x40, b"")], &["reserved bits set"]),
        (&[(TEXT | 0x20, b"")], &["reserved bits set"]),
        (&[(PING | 0x10, b"")], &["reserved bits set"]),
        (&[(FIN | 3, b"")], &["unknown opcode"]),
        (&[(FIN | 7, b"")], &["unknown opcode"]),
        (&[(FIN | 11, b"")], &["unknown opcode"]),
        (&[(FIN | 15, b"")], &["unknown opcode"]),
    ];
    for (frames, expected) in table {
        assert_eq!(decode_frames(frames), *expected, "{frames:?}");
    }
}

#[test]
fn close_payloads() {
    let table: &[(&[u8], &str)] = &[
        (b"", "Close(None)"),
        (b"\x03", "malformed close"),
        (b"\x03\xe8", "Close(Some((1000, \"\")))"),
        (b"\x0b\xb9over", "Close(Some((3001, \"over\")))"),
        (b"\x03\xe8\xc3\x28", "not UTF-8"),
        (b"\x03\xe8\xc3", "not UTF-8"),
    ];
    for (payload, expected) in table {
        // What follows a close is not read, whatever it is.
        assert_eq!(decode_frames(&[(CLOSE, payload), (0xFF, b"")]), [*expected]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
        assert_eq!(decode_frames(&[(CLOSE, &code.to_be_bytes())]), ["malformed close"]);
    }
}

#[test]
fn lengths() {
    let table: &[(&[u8], &str)] = &[
        (&[0x82, 0xFE, 0, 125], "malformed length"),
        (&[0x82, 0xFE, 0, 0], "malformed length"),
        (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255], "malformed length"),
        (&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0], "malformed length"),
        (&[0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4], "message too big"),
        (&[0x82, 0xFE, 3, 0xE9, 1, 2, 3, 4], "message too big"),
    ];
    for (bytes, expected) in table {
        assert_eq!(decode(&mut Decoder::new(1000), &[bytes]), [*expected], "{bytes:?}");
    }
    for length in [125, 126, 127, 65_535, 65_536, 70_000] {
        let frame = client_frame(BINARY, KEY, &vec![7; length]);
        let expected = [format!("{:?}", Message::Binary(&vec![7; length]))];
        assert_eq!(decode(&mut Decoder::new(length), &[&frame]), expected);
        let (head, tail) = frame.split_at(frame.len() - length);
        assert_eq!(decode(&mut Decoder::new(length), &[head, tail, &frame[..1]]), expected);
        assert_eq!(decode(&mut Decoder::new(length - 1), &[&frame]), ["message too big"]);
    }
}

#[test]
fn limit_is_over_all_fragments_and_spares_control_frames() {
    let half = [b'x'; 500];
    assert_eq!(decode_frames(&[(2, &half), (PING, &[0; 9]), (FIN, &half)]).len(), 2);
    assert_eq!(decode_frames(&[(2, &half), (0, &half), (FIN, b"x")]), ["message too big"]);
    let ping = client_frame(PING, KEY, &[0; 125]);
    assert_eq!(decode(&mut Decoder::new(0), &[&ping]).len(), 1);
}

#[test]
fn utf8_is_checked_across_fragments_and_fails_fast() {
    let text = "aé€😀".as_bytes();
    for cut in 0..=text.len() {
        let (a, b) = text.split_at(cut);
        assert_eq!(decode_frames(&[(1, a), (FIN, b)]), ["Text(\"aé€😀\")"]);
    }
    let table: &[Frames<'_>] = &[
        &[(TEXT, b"\xff")],
        &[(TEXT, b"\xe2\x82")],
        &[(1, b"a\xe2\x82"), (FIN, b"")],
        // Not finished, and already wrong: overlong, a surrogate, beyond U+10FFFF.
        &[(1, b"a\xc0")],
        &[(1, b"\xed"), (0, b"\xa0")],
        &[(1, b"\xf4"), (0, b"\x90")],
        &[(1, b"\xe2"), (0, b"a")],
    ];
    for frames in table {
        assert_eq!(decode_frames(frames), ["not UTF-8"], "{frames:?}");
    }
    // Inside a frame, too: the rest of it is not waited for.
    let frame = client_frame(TEXT, KEY, b"\xffaaaaaaaaaa");
    assert_eq!(decode(&mut Decoder::new(1000), &[&frame[..8]]), ["not UTF-8"]);
}

#[test]
fn fragments_are_counted_and_cost_nothing() {
    let mut decoder = Decoder::new(1000);
    let first = client_frame(1, KEY, b"");
    let empty = client_frame(0, KEY, b"");
    assert!(decode(&mut decoder, &[&first]).is_empty());
    for _ in 1..MAX_FRAGMENTS {
        assert!(decode(&mut decoder, &[&empty]).is_empty());
        assert_eq!(decoder.held(), size_of::<Partial>());
    }
    assert_eq!(decode(&mut decoder, &[&empty]), ["too many fragments"]);
    assert_eq!(decoder.held(), 0);
}

#[test]
fn memory_follows_what_has_come_and_is_freed() {
    let frame = client_frame(TEXT, KEY, &[b'x'; 100_000]);
    let mut decoder = Decoder::new(1 << 20);
    for (index, piece) in frame.chunks(1000).enumerate() {
        let came = (index + 1) * 1000;
        let seen = decode(&mut decoder, &[piece]);
        assert_eq!(seen.len(), usize::from(came >= frame.len()));
        assert!(decoder.held() <= size_of::<Partial>() + (2 * came).min(100_000));
    }
    assert_eq!(decoder.held(), 0);
}

#[test]
fn rest_can_be_carried_on_elsewhere() {
    let mut input = [client_frame(1, KEY, b"a"), client_frame(FIN, KEY, b"b")].concat();
    input.extend(client_frame(BINARY, KEY, b"c"));
    let (mut decoder, mut rest) = (Decoder::new(9), &mut input[..]);
    assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Text("ab"))));
    let mut later = rest.to_vec();
    let mut rest = &mut later[..];
    assert_eq!(decoder.next(&mut rest), Ok(Some(Message::Binary(b"c"))));
    assert_eq!(decoder.next(&mut rest), Ok(None));
    assert_eq!(decoder.held(), 0);
}
