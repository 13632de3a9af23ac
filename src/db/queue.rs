//! Commands that change one row each wait here, and go together: whatever has come while the transactions before were
//! under way is the next one. Nobody waits for company, so a command that comes alone is as fast as ever.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::lanes::Answer;
use super::operations::Wanted;

/// Transactions at once.
const CREWS: usize = 3;
/// So many have to wait for one more transaction beside those that are under way: two batches cost more than one of both.
const WAITING_PER_CREW: usize = 32;
/// Commands of one transaction.
const BATCH_MAX: usize = 128;

/// A command that changes one row and tells of it on one channel.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) wanted: Wanted,
    pub(super) channel: Channel,
    pub(super) row: Uuid,
    pub(super) answer: Answer,
}

/// Who waits. Bounded by the commands in flight.
#[derive(Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Item>,
    /// Channels of batches that are under way. Another batch would only wait for their locks.
    held: HashSet<Channel>,
    crews: usize,
}

impl Queue {
    /// Lets a command wait; whether one more crew is to be sent for it.
    pub(super) fn push(&self, item: Item) -> bool {
        let mut inner = self.0.lock();
        let free = !inner.held.contains(&item.channel);
        inner.waiting.push_back(item);
        free && inner.another_crew()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// The next batch for a crew, in the order of arrival within each channel; its channels are held from now on.
    /// `None`: nothing can be done now, and the crew is dismissed.
    ///
    /// Each row and each operation id is in a batch once: the second one waits, and so does what comes behind it on its
    /// channel.
    pub(super) fn take(&self) -> Option<Vec<Item>> {
        let mut inner = self.0.lock();
        let (mut batch, mut rest) = (Vec::new(), VecDeque::new());
        let (mut rows, mut ids, mut behind) = (HashSet::new(), HashSet::new(), HashSet::new());
        while batch.len() < BATCH_MAX
            && let Some(item) = inner.waiting.pop_front()
        {
            let free = !inner.held.contains(&item.channel) && !behind.contains(&item.channel);
            if free && rows.insert(item.row) && ids.insert(item.wanted.by) {
                batch.push(item);
            } else {
                behind.insert(item.channel);
                rest.push_back(item);
            }
        }
        rest.append(&mut inner.waiting);
        inner.waiting = rest;
        if batch.is_empty() {
            inner.crews -= 1;
            return None;
        }
        inner.held.extend(batch.iter().map(|item| item.channel));
        Some(batch)
    }

    /// Lets others at these channels; whether one more crew is to be sent for those who waited.
    pub(super) fn release(&self, channels: &HashSet<Channel>) -> bool {
        let mut inner = self.0.lock();
        for channel in channels {
            inner.held.remove(channel);
        }
        let wanted = inner.waiting.iter().any(|item| !inner.held.contains(&item.channel));
        wanted && inner.another_crew()
    }
}

impl Inner {
    fn another_crew(&mut self) -> bool {
        let wanted = self.crews < CREWS && self.waiting.len() > WAITING_PER_CREW * self.crews;
        self.crews += usize::from(wanted);
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::By;
    use studyhall_protocol::Command;
    use studyhall_protocol::rest::RowRef;
    use tokio::sync::oneshot;

    fn room(id: u128) -> Channel {
        Channel::Workspace(Uuid::from_u128(id))
    }

    fn item(op: u128, channel: Channel, row: u128) -> Item {
        let by = By { actor: Uuid::nil(), op: Uuid::from_u128(op) };
        let wanted = Wanted::new(by, Command::TaskDelete(RowRef { id: Uuid::from_u128(row) }), None).unwrap();
        Item { wanted, channel, row: Uuid::from_u128(row), answer: oneshot::channel().0 }
    }

    fn ops(batch: Option<Vec<Item>>) -> Vec<u128> {
        batch.into_iter().flatten().map(|item| item.wanted.by.op.as_u128()).collect()
    }

    fn released(queue: &Queue, rooms: &[u128]) -> bool {
        queue.release(&rooms.iter().map(|id| room(*id)).collect())
    }

    #[test]
    fn what_comes_meanwhile_goes_together() {
        let queue = Queue::default();
        assert!(queue.push(item(1, room(1), 1)), "the first one is not kept waiting");
        assert_eq!(ops(queue.take()), [1]);
        assert!(!queue.push(item(2, room(1), 2)), "a crew could not do it now");
        assert!(!queue.push(item(3, room(2), 3)), "a few are no reason for a second crew");
        assert_eq!(ops(queue.take()), [3]);
        assert_eq!(ops(queue.take()), [0; 0]);
        assert!(released(&queue, &[1]), "somebody waits for that room");
        assert_eq!(ops(queue.take()), [2]);
        assert!(!released(&queue, &[1, 2]));
    }

    #[test]
    fn many_are_a_reason_for_more_crews() {
        let queue = Queue::default();
        let sent = (0..200).filter(|op| queue.push(item(*op, room(*op), *op))).collect::<Vec<u128>>();
        let many = WAITING_PER_CREW as u128;
        assert_eq!(sent, [0, many, 2 * many]);
        assert_eq!(sent.len(), CREWS);
    }

    #[test]
    fn a_channel_keeps_its_order() {
        let queue = Queue::default();
        queue.push(item(1, room(1), 1));
        queue.push(item(2, room(1), 1));
        queue.push(item(3, room(1), 2));
        queue.push(item(4, room(2), 3));
        assert_eq!(ops(queue.take()), [1, 4], "a row once, and nobody overtakes");
        assert_eq!(ops(queue.take()), [0; 0]);
        assert!(!released(&queue, &[2]), "all that waits is behind a batch that is under way");
        assert!(released(&queue, &[1]));
        assert_eq!(ops(queue.take()), [2, 3]);
    }

    #[test]
    fn an_operation_is_in_a_batch_once() {
        let queue = Queue::default();
        queue.push(item(1, room(1), 1));
        queue.push(item(1, room(2), 2));
        assert_eq!(ops(queue.take()), [1]);
        assert_eq!(ops(queue.take()), [1]);
    }

    #[test]
    fn a_batch_has_an_end() {
        let queue = Queue::default();
        let all: Vec<u128> = (0..BATCH_MAX as u128 + 3).collect();
        for op in &all {
            queue.push(item(*op, room(1), *op));
        }
        assert_eq!(ops(queue.take()), all[..BATCH_MAX]);
        assert_eq!(ops(queue.take()), [0; 0], "the same room");
        released(&queue, &[1]);
        assert_eq!(ops(queue.take()), all[BATCH_MAX..]);
    }
}
