//! What a block does besides being told: it ends what each of the two hears of the other. Derived from the event alone,
//! so that every node that reads the log comes to the same.

use studyhall_protocol::Channel;
use studyhall_protocol::error::Unsubscribed;
use studyhall_protocol::social::Block;

use crate::domain::payload::data;
use crate::live::backend::{Effect, LogEvent};

/// What an event of `user:` does besides being sent.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    if &*event.name != "block.created" {
        return Vec::new();
    }
    let Some(block) = data::<Block>(event) else {
        return Vec::new();
    };
    let bar =
        |person, from| Effect::Bar { channel: Channel::Profile(from), user_id: person, why: Unsubscribed::BLOCKED };
    vec![bar(block.blocked_id, block.blocker_id), bar(block.blocker_id, block.blocked_id)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use studyhall_protocol::Event;
    use studyhall_protocol::social::BlockRef;
    use uuid::Uuid;

    fn effects_of(event: &Event) -> Vec<Effect> {
        let payload = serde_json::to_vec(event).unwrap().into();
        effects(&LogEvent { channel: Channel::User(Uuid::from_u128(1)), offset: 1, name: event.name().into(), payload })
    }

    #[test]
    fn a_block_bars_each_from_the_other() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let block = Block { blocker_id: one, blocked_id: two, created_at: DateTime::UNIX_EPOCH };
        let why = Unsubscribed::BLOCKED;
        let expected = [
            Effect::Bar { channel: Channel::Profile(one), user_id: two, why },
            Effect::Bar { channel: Channel::Profile(two), user_id: one, why },
        ];
        assert_eq!(effects_of(&Event::BlockCreated(block)), expected);
        assert_eq!(effects_of(&Event::BlockDeleted(BlockRef { blocker_id: one, blocked_id: two })), []);
    }
}
