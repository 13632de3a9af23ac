//! When is what sent.

use std::time::{Duration, Instant};

/// Messages that a closed loop remembers; more than any window.
const REMEMBERED: usize = 8_192;

/// Open loop: the speakers take turns at even distances, whatever becomes of what was sent before.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    /// Seconds between two sends of anybody.
    step: f64,
    speakers: u64,
    /// The sequence number that everybody begins with.
    first: u32,
    messages: u64,
}

impl Schedule {
    /// `rate`: messages a second of all speakers together. As many whole turns as come nearest to `seconds`, one at least.
    pub fn new(start: Instant, rate: f64, speakers: usize, seconds: f64, first: u32) -> Self {
        let speakers = speakers as u64;
        let turns = ((rate * seconds / speakers as f64).round() as u64).max(1);
        Self { start, step: 1.0 / rate, speakers, first, messages: turns * speakers }
    }

    /// How many messages there are.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How long it takes.
    pub fn seconds(&self) -> f64 {
        self.messages as f64 * self.step
    }

    /// Whose turn the message is, and with which sequence number.
    pub fn turn(&self, message: u64) -> (usize, u32) {
        ((message % self.speakers) as usize, self.first + (message / self.speakers) as u32)
    }

    /// When a message is due.
    pub fn due(&self, message: u64) -> Instant {
        self.start + Duration::from_nanos((message as f64 * self.step * 1e9) as u64)
    }

    /// When that value of that speaker was due; `None` if it is from an earlier schedule.
    pub fn due_of(&self, speaker: usize, sequence: u32) -> Option<Instant> {
        let turn = u64::from(sequence.checked_sub(self.first)?);
        Some(self.due(turn * self.speakers + speaker as u64))
    }
}

/// Closed loop: so many messages that have not arrived everywhere.
#[derive(Debug, Clone)]
pub struct Window {
    size: usize,
    receivers: u32,
    speakers: u64,
    first: u32,
    until: Instant,
    in_flight: usize,
    next: u64,
    /// By message: how many have not got it, and when it was sent.
    waiting: Vec<(u32, Instant)>,
}

impl Window {
    /// Nothing sent yet. Every message goes to all `receivers`.
    pub fn new(size: usize, receivers: usize, speakers: usize, first: u32, until: Instant) -> Self {
        let (receivers, speakers) = (receivers as u32, speakers as u64);
        let waiting = vec![(0, until); REMEMBERED];
        Self { size, receivers, speakers, first, until, in_flight: 0, next: 0, waiting }
    }

    /// Whose turn it is and with which number, if one more may be sent.
    pub fn send(&mut self, now: Instant) -> Option<(usize, u32)> {
        let place = &mut self.waiting[self.next as usize % REMEMBERED];
        if self.in_flight >= self.size || place.0 > 0 || now >= self.until {
            return None;
        }
        *place = (self.receivers, now);
        let turn = ((self.next % self.speakers) as usize, self.first + (self.next / self.speakers) as u32);
        self.next += 1;
        self.in_flight += 1;
        Some(turn)
    }

    /// One receiver has it, or never will. Returns when it was sent.
    pub fn arrived(&mut self, speaker: usize, sequence: u32) -> Option<Instant> {
        let message = u64::from(sequence.checked_sub(self.first)?) * self.speakers + speaker as u64;
        let place = &mut self.waiting[message as usize % REMEMBERED];
        if message >= self.next || place.0 == 0 {
            return None;
        }
        place.0 -= 1;
        if place.0 == 0 {
            self.in_flight -= 1;
        }
        Some(place.1)
    }

    /// Nothing more is sent.
    pub fn over(&self, now: Instant) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_whole_and_due_at_even_distances() {
        let start = Instant::now();
        // Four speakers, 100 a second for 0.33 s: eight turns are 32 messages.
        let schedule = Schedule::new(start, 100.0, 4, 0.33, 7);
        assert_eq!((schedule.messages(), schedule.seconds()), (32, 0.32));
        assert_eq!([0, 3, 4, 31].map(|message| schedule.turn(message)), [(0, 7), (3, 7), (0, 8), (3, 14)]);
        assert_eq!(schedule.due(5), start + Duration::from_millis(50));
        for message in 0..32 {
            let (speaker, sequence) = schedule.turn(message);
            assert_eq!(schedule.due_of(speaker, sequence), Some(schedule.due(message)));
        }
        assert_eq!(schedule.due_of(0, 6), None);
    }

    #[test]
    fn a_slow_rate_still_has_a_turn() {
        assert_eq!(Schedule::new(Instant::now(), 1.0, 8, 0.1, 0).messages(), 8);
    }

    #[test]
    fn a_closed_loop_waits_for_the_last_receiver() {
        let now = Instant::now();
        let mut window = Window::new(2, 3, 2, 5, now + Duration::from_secs(1));
        assert_eq!([window.send(now), window.send(now), window.send(now)], [Some((0, 5)), Some((1, 5)), None]);
        assert!(window.arrived(1, 5).is_some() && window.arrived(1, 5).is_some());
        assert_eq!(window.send(now), None);
        assert_eq!(window.arrived(1, 5), Some(now));
        assert_eq!(window.send(now), Some((0, 6)));
        // What was never sent, or has arrived everywhere, changes nothing.
        assert_eq!((window.arrived(1, 5), window.arrived(1, 6), window.arrived(0, 4)), (None, None, None));
        assert_eq!(window.send(now), None);
        assert_eq!(window.send(now + Duration::from_secs(2)), None);
    }
}
