//! Sends on schedule, whatever becomes of what was sent before.

use std::time::Instant;

use anyhow::Result;
use studyhall_protocol::Channel;
use studyhall_protocol::client;
use uuid::Uuid;

use super::seat::{Schedule, value};
use crate::client::Sender;
use crate::report::Latency;

/// Somebody who drags a widget.
pub struct Publisher {
    pub sender: Sender,
    pub channel: Channel,
    pub widget: Uuid,
    pub drag: Uuid,
}

/// All who drag, in the order of their turns.
pub struct Pacer {
    pub publishers: Vec<Publisher>,
    pub schedule: Schedule,
    pub until: Instant,
    pub spin: bool,
    pub send: bool,
}

/// What was sent.
pub struct Sent {
    /// Values in all.
    pub count: u64,
    /// Values by publisher.
    pub values: Vec<u64>,
    /// From the scheduled time to the system call.
    pub late: Latency,
}

impl Pacer {
    /// Sends until the time is over.
    pub fn run(self) -> Result<Sent> {
        let mut sent = Sent { count: 0, values: vec![0; self.publishers.len()], late: Latency::new() };
        if self.publishers.is_empty() {
            return Ok(sent);
        }
        'rounds: for sequence in 0.. {
            for (index, publisher) in self.publishers.iter().enumerate() {
                let due = self.schedule.due(index, sequence);
                if due >= self.until {
                    break 'rounds;
                }
                self.wait(due);
                sent.late.record(due.elapsed());
                let value = value(publisher.widget, publisher.drag, index, sequence);
                publisher.sender.send(&self.line(publisher.channel, sequence, value))?;
                sent.values[index] += 1;
                sent.count += 1;
            }
        }
        Ok(sent)
    }

    fn line(&self, channel: Channel, sequence: u64, mut value: serde_json::Value) -> String {
        if self.send {
            value["channel"] = channel.to_string().into();
            return client::send(&value);
        }
        // 1 and 2 were connect and subscribe.
        client::publish(sequence as u32 + 3, channel, &value)
    }

    /// A sleep ends some 60 µs late; that counts as latency, and the report says how much it is.
    fn wait(&self, due: Instant) {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.spin {
                std::hint::spin_loop();
            } else {
                std::thread::sleep(left);
            }
        }
    }
}
