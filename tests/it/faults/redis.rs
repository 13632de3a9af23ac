//! A road to Redis, on which some messages get lost while all else arrives.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::link::{Filter, Link, Target};

/// Whether a message is to be lost.
type Predicate = Box<dyn Fn(&[u8]) -> bool + Send>;

#[derive(Default)]
struct Gate {
    loses: Mutex<Option<Predicate>>,
    lost: AtomicU64,
}

/// A [`Link`] that reads what Redis says.
pub struct RedisLink {
    link: Link,
    gate: Arc<Gate>,
}

impl Deref for RedisLink {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl RedisLink {
    /// To a Redis on a Unix socket or on a port.
    pub fn start(url: &str) -> Self {
        let target = match url.strip_prefix("redis+unix://") {
            Some(path) => Target::Unix(PathBuf::from(path)),
            None => Target::Tcp(url.strip_prefix("redis://").unwrap().trim_end_matches('/').parse().unwrap()),
        };
        let gate = Arc::new(Gate::default());
        let shared = gate.clone();
        let filter = move || -> Filter {
            let (gate, mut unread) = (shared.clone(), Vec::new());
            Box::new(move |bytes| gate.pass(&mut unread, bytes))
        };
        Self { link: Link::start_with(target, 0, Some(Arc::new(filter))), gate }
    }

    /// The address of this road, for `REDIS_URL`.
    pub fn redis_url(&self) -> String {
        self.link.url("redis")
    }

    /// From now on such messages get lost.
    pub fn loses(&self, predicate: impl Fn(&[u8]) -> bool + Send + 'static) {
        *self.gate.loses.lock() = Some(Box::new(predicate));
    }

    /// Nothing gets lost from now on.
    pub fn loses_nothing(&self) {
        *self.gate.loses.lock() = None;
    }

    /// How many messages got lost.
    pub fn lost(&self) -> u64 {
        self.gate.lost.load(Ordering::Relaxed)
    }
}

impl Gate {
    /// Whole values only, as messages stand between answers.
    fn pass(&self, unread: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        unread.extend_from_slice(bytes);
        let loses = self.loses.lock();
        let (mut passed, mut at) = (Vec::with_capacity(unread.len()), 0);
        while let Some(length) = value_length(&unread[at..]) {
            let value = &unread[at..at + length];
            let lost = loses.as_ref().is_some_and(|loses| text_of_message(value).is_some_and(loses));
            if lost {
                self.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                passed.extend_from_slice(value);
            }
            at += length;
        }
        unread.drain(..at);
        passed
    }
}

/// Bytes of the first value, with all that is in it; `None` when it is not complete.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let count = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    let values = match bytes[0] {
        b'$' | b'=' | b'!' => {
            let length = usize::try_from(count()?).map_or(line, |length| line + length + 2);
            return (length <= bytes.len()).then_some(length);
        }
        b'*' | b'~' | b'>' => count()?,
        b'%' => 2 * count()?,
        b'|' => 2 * count()? + 1,
        _ => return Some(line),
    };
    (0..values).try_fold(line, |at, _| Some(at + value_length(&bytes[at..])?))
}

/// What was said, if it is a message: three strings, the first of which says so.
fn text_of_message(value: &[u8]) -> Option<&[u8]> {
    let begins = [b">3\r\n$7\r\nmessage\r\n".as_slice(), b">3\r\n$8\r\nsmessage\r\n"];
    let rest = begins.iter().find_map(|begin| value.strip_prefix(*begin))?;
    let text = &rest[value_length(rest)?..];
    let line = text.iter().position(|byte| *byte == b'\n')? + 1;
    text.get(line..text.len() - 2)
}

#[test]
fn values_end_where_they_end() {
    let message = b">3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$2\r\nhi\r\n";
    let other = b"%1\r\n+a\r\n*2\r\n:1\r\n$-1\r\n";
    let all = [message.as_slice(), other, b"_\r\n", message].concat();
    for cut in 0..all.len() {
        let gate = Gate::default();
        let mut unread = Vec::new();
        let both = [gate.pass(&mut unread, &all[..cut]), gate.pass(&mut unread, &all[cut..])].concat();
        assert_eq!(both, all);
        *gate.loses.lock() = Some(Box::new(|text| text == b"hi"));
        let both = [gate.pass(&mut unread, &all[..cut]), gate.pass(&mut unread, &all[cut..])].concat();
        assert_eq!(both, [other.as_slice(), b"_\r\n"].concat());
        assert!(unread.is_empty());
    }
}
