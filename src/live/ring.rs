//! The last messages of one kind and format in one channel: whole messages in a row, numbered without holes.
//!
//! A reader's cursor is the number of its next message. What it has to catch up on is one run of
//! bytes, so ten waiting messages cost hardly more to copy than one.

use std::collections::VecDeque;

/// Encoded messages with consecutive numbers. Each brings along what tells it from the next one.
#[derive(Debug, Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
    /// For each message, where it ends; counted from the ring's very first byte, wrapping never.
    ends: VecDeque<u64>,
    /// Where the oldest message starts.
    start: u64,
    /// The number of the oldest message, or of the next one when there is none.
    first: u64,
}

impl Ring {
    /// An empty ring whose next message gets the number `first`. Allocates nothing.
    pub fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// The number of the oldest message.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next message gets.
    pub fn next(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// Bytes taken from the heap.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u64>()
    }

    /// Gives back what is reserved for more messages.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Adds a message, and drops the oldest ones beyond `max` bytes.
    pub fn push(&mut self, message: &[u8], max: usize) {
        // First, so that the buffer does not grow for what is dropped at once.
        self.trim(max.saturating_sub(message.len()));
        self.bytes.extend(message);
        self.ends.push_back(self.start + self.bytes.len() as u64);
        self.trim(max);
    }

    /// Drops the oldest messages until at most `max` bytes are left; one always stays.
    pub fn trim(&mut self, max: usize) {
        while self.bytes.len() > max && self.ends.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Drops everything and gives the memory back. Numbers go on where they were.
    pub fn clear(&mut self) {
        *self = Self::starting_at(self.next());
    }

    /// Copies messages from number `from` on and before `before`, as many whole ones as fit into `room`
    /// bytes, and returns the number after the last one copied. With `force`, the first one is copied
    /// whatever its size.
    ///
    /// `from` must not lie before [`Ring::first`].
    pub fn copy(&self, from: u64, before: u64, room: usize, force: bool, out: &mut Vec<u8>) -> u64 {
        let Some(index) = from.checked_sub(self.first).map(|index| index as usize) else {
            return from;
        };
        let count = before.saturating_sub(self.first).min(self.ends.len() as u64) as usize;
        if index >= count {
            return from;
        }
        let begin = if index == 0 { self.start } else { self.ends[index - 1] };
        let limit = begin + room as u64;
        // Most readers are close behind: all that is left fits.
        let all_fit = self.ends[count - 1] <= limit;
        let mut until = if all_fit { count } else { self.ends.partition_point(|end| *end <= limit).min(count) };
        if until <= index {
            if !force {
                return from;
            }
            until = index + 1;
        }
        let (begin, end) = ((begin - self.start) as usize, (self.ends[until - 1] - self.start) as usize);
        let (front, back) = self.bytes.as_slices();
        out.extend_from_slice(&front[begin.min(front.len())..end.min(front.len())]);
        out.extend_from_slice(&back[begin.saturating_sub(front.len())..end.saturating_sub(front.len())]);
        self.first + until as u64
    }

    fn drop_oldest(&mut self) {
        if let Some(end) = self.ends.pop_front() {
            self.bytes.drain(..(end - self.start) as usize);
            self.start = end;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring, from: u64, room: usize) -> (String, u64) {
        let mut out = Vec::new();
        let next = ring.copy(from, u64::MAX, room, false, &mut out);
        (String::from_utf8(out).unwrap(), next)
    }

    #[test]
    fn numbers_have_no_holes_and_old_lines_go() {
        let mut ring = Ring::starting_at(41);
        for n in 41..=45 {
            ring.push(format!("line {n}\n").as_bytes(), 24);
        }
        assert_eq!((ring.first(), ring.next()), (43, 46));
        assert_eq!(all(&ring, 43, 100), ("line 43\nline 44\nline 45\n".into(), 46));
        assert_eq!(all(&ring, 44, 8), ("line 44\n".into(), 45));
        assert_eq!(all(&ring, 44, 7), (String::new(), 44));
        assert_eq!(all(&ring, 46, 100), (String::new(), 46));
        let mut out = Vec::new();
        assert_eq!(ring.copy(43, 45, 100, false, &mut out), 45);
        assert_eq!(out, b"line 43\nline 44\n");
    }

    #[test]
    fn a_message_longer_than_the_room_goes_alone() {
        let mut ring = Ring::starting_at(1);
        ring.push(&[b'x'; 51], 10);
        let mut out = Vec::new();
        assert_eq!(ring.copy(1, 9, 10, false, &mut out), 1);
        assert_eq!(ring.copy(1, 9, 10, true, &mut out), 2);
        assert_eq!(out.len(), 51);
    }

    #[test]
    fn clearing_keeps_the_numbers() {
        let mut ring = Ring::starting_at(1);
        ring.push(b"a", 100);
        ring.clear();
        assert_eq!((ring.first(), ring.next(), ring.held_bytes()), (2, 2, 0));
    }
}
