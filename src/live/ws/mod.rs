//! WebSocket frames (RFC 6455), the server's side: pure code over byte slices, no I/O.
//!
//! [`check`] answers the opening handshake, [`Decoder`] reads what clients send out of a buffer
//! shared by all connections of a thread, and [`write_header`], [`seal_frame`], [`encode_frame`]
//! and [`encode_close`] write what they get. Own code rather than a library, because a library
//! keeps buffers per connection and frames per recipient, where we share both.

pub mod decode;
pub mod frame;
pub mod handshake;

pub use decode::{Decoder, Message};
pub use frame::{
    CONTROL_MAX, HEADER_MAX, OpCode, ProtocolError, REASON_MAX, encode_close, encode_frame, is_close_code, seal_frame,
    write_header,
};
pub use handshake::{Accept, HandshakeError, SUBPROTOCOLS, check};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
    use tokio_tungstenite::tungstenite::{Bytes, Message as Theirs};

    use super::decode::tests::{client_frame, decode};
    use super::*;

    const MAX: usize = 100_000;

    /// A message in fragments, with a ping before each of them if so chosen.
    fn message() -> impl Strategy<Value = (bool, Vec<(String, bool)>)> {
        let text = prop_oneof![
            8 => "[a-zé€😀]{0,60}",
            1 => (120_usize..140).prop_map(|length| "y".repeat(length)),
            1 => (65_530_usize..65_540).prop_map(|length| "z".repeat(length)),
        ];
        let fragment = (text, prop::bool::weighted(0.2));
        (any::<bool>(), prop::collection::vec(fragment, 1..4))
    }

    /// The bytes of the messages, and what a decoder has to make of them.
    fn stream(messages: &[(bool, Vec<(String, bool)>)], key: [u8; 4]) -> (Vec<u8>, Vec<String>) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (text, fragments) in messages {
            let whole = fragments.iter().map(|(part, _)| part.as_str()).collect::<String>();
            // Cut anywhere, also within a character: by one byte more than the strings end.
            let mut left = whole.as_bytes();
            for (index, (part, ping)) in fragments.iter().enumerate() {
                if *ping {
                    bytes.extend(client_frame(0x89, key, b"ping"));
                    expected.push(format!("{:?}", Message::Ping(b"ping")));
                }
                let last = index + 1 == fragments.len();
                let size = if last { left.len() } else { left.len().min(part.len() + 1) };
                let (piece, rest) = left.split_at(size);
                left = rest;
                let opcode = if index > 0 { 0 } else { 2 - u8::from(*text) };
                bytes.extend(client_frame(u8::from(last) << 7 | opcode, key, piece));
            }
            expected.push(match text {
                true => format!("{:?}", Message::Text(&whole)),
                false => format!("{:?}", Message::Binary(whole.as_bytes())),
            });
        }
        (bytes, expected)
    }

    fn split<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
        let mut chunks = Vec::new();
        let mut left = bytes;
        for size in sizes.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (chunk, rest) = left.split_at((*size).min(left.len()));
            chunks.push(chunk);
            left = rest;
        }
        chunks
    }

    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        prop_oneof![prop::collection::vec(1_usize..20, 1..10), prop::collection::vec(1_usize..5000, 1..10),]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn splitting_changes_nothing(
            messages in prop::collection::vec(message(), 1..6),
            key in any::<[u8; 4]>(),
            sizes in sizes(),
        ) {
            let (bytes, expected) = stream(&messages, key);
            let mut decoder = Decoder::new(3 * MAX);
            prop_assert_eq!(&decode(&mut decoder, &[&bytes]), &expected);
            prop_assert_eq!(decoder.held(), 0);
            prop_assert_eq!(&decode(&mut decoder, &split(&bytes, &sizes)), &expected);
            prop_assert_eq!(decoder.held(), 0);
        }

        #[test]
        fn damage_is_found_alike_however_split(
            messages in prop::collection::vec(message(), 1..4),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            sizes in sizes(),
        ) {
            let (mut bytes, _) = stream(&messages, [1, 2, 3, 4]);
            for (index, value) in damage {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let whole = decode(&mut Decoder::new(MAX), &[&bytes]);
            prop_assert_eq!(decode(&mut Decoder::new(MAX), &split(&bytes, &sizes)), whole);
        }

        #[test]
        fn noise_is_survived(bytes in any::<Vec<u8>>(), sizes in sizes()) {
            let whole = decode(&mut Decoder::new(100), &[&bytes]);
            prop_assert_eq!(decode(&mut Decoder::new(100), &split(&bytes, &sizes)), whole);
        }

        #[test]
        fn another_implementation_agrees(texts in prop::collection::vec(".{0,200}", 1..5)) {
            let mut client = WebSocket::from_raw_socket(Pipe::default(), Role::Client, None);
            let mut batch = Vec::new();
            for text in &texts {
                client.write(Theirs::text(text.as_str())).unwrap();
                client.write(Theirs::Ping(Bytes::from_static(b"p"))).unwrap();
                encode_frame(OpCode::Text, text.as_bytes(), &mut batch);
                encode_frame(OpCode::Binary, text.as_bytes(), &mut batch);
            }
            client.flush().unwrap();
            encode_close(3001, "shutdown", &mut batch);
            let sent = client.get_ref().sent.clone();
            let seen = decode(&mut Decoder::new(MAX), &[&sent]);
            let expected = texts
                .iter()
                .flat_map(|text| [Message::Text(text), Message::Ping(b"p")])
                .map(|message| format!("{message:?}"))
                .collect::<Vec<_>>();
            prop_assert_eq!(seen, expected);

            client.get_mut().received = batch.into();
            for text in &texts {
                prop_assert_eq!(client.read().unwrap(), Theirs::text(text.as_str()));
                prop_assert_eq!(client.read().unwrap(), Theirs::binary(text.clone()));
            }
            let Theirs::Close(Some(close)) = client.read().unwrap() else { panic!("no close") };
            prop_assert_eq!((u16::from(close.code), close.reason.as_str()), (3001, "shutdown"));
        }
    }

    /// Two ends of a connection in memory.
    #[derive(Debug, Default)]
    struct Pipe {
        sent: Vec<u8>,
        received: std::collections::VecDeque<u8>,
    }

    impl std::io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.received.read(buffer)
        }
    }

    impl std::io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.sent.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
