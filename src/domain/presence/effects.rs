//! Which events change who may see whom. Derived from the event alone, so that every node that reads the log comes to the
//! same and asks for those who are its business.

use studyhall_protocol::social::{BlockRef, FollowRef};

use crate::domain::payload::data;
use crate::live::backend::{Effect, LogEvent};

/// What an event of `user:` does to who may see whose presence.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    let person = event.channel.id();
    let recheck = |author, viewer| Effect::Recheck { author, viewer };
    match &*event.name {
        "settings.updated" => vec![Effect::Reload(person), recheck(Some(person), None)],
        // I show myself to those whom I follow, and to those with whom I share a room.
        "follow.created" | "follow.deleted" => {
            let follow = data::<FollowRef>(event);
            follow.map(|follow| recheck(Some(follow.follower_id), Some(follow.followee_id))).into_iter().collect()
        }
        "membership.created" | "membership.deleted" => {
            vec![recheck(Some(person), None), recheck(None, Some(person))]
        }
        "block.created" | "block.deleted" => {
            let Some(BlockRef { blocker_id: one, blocked_id: other }) = data(event) else { return Vec::new() };
            let pairs = [recheck(Some(one), Some(other)), recheck(Some(other), Some(one))];
            [Effect::Reload(one), Effect::Reload(other)].into_iter().chain(pairs).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use studyhall_protocol::social::{Block, Follow};
    use studyhall_protocol::{Channel, Event};
    use uuid::Uuid;

    const ANN: Uuid = Uuid::from_u128(1);
    const BEN: Uuid = Uuid::from_u128(2);

    fn effects_of(event: &Event) -> Vec<Effect> {
        let payload = serde_json::to_vec(event).unwrap().into();
        effects(&LogEvent { channel: Channel::User(ANN), offset: 1, name: event.name().into(), payload })
    }

    #[test]
    fn what_is_asked_again() {
        let recheck = |author, viewer| Effect::Recheck { author, viewer };
        let created_at = DateTime::UNIX_EPOCH;
        let follow = Event::FollowCreated(Follow { follower_id: ANN, followee_id: BEN, created_at });
        assert_eq!(effects_of(&follow), [recheck(Some(ANN), Some(BEN))]);
        let over = Event::FollowDeleted(FollowRef { follower_id: ANN, followee_id: BEN });
        assert_eq!(effects_of(&over), [recheck(Some(ANN), Some(BEN))]);
        let both =
            [Effect::Reload(ANN), Effect::Reload(BEN), recheck(Some(ANN), Some(BEN)), recheck(Some(BEN), Some(ANN))];
        assert_eq!(effects_of(&Event::BlockCreated(Block { blocker_id: ANN, blocked_id: BEN, created_at })), both);
        assert_eq!(effects_of(&Event::BlockDeleted(BlockRef { blocker_id: ANN, blocked_id: BEN })), both);
        let bare = |name: &str| LogEvent {
            channel: Channel::User(ANN),
            offset: 1,
            name: name.into(),
            payload: r#"{"data":null}"#.into(),
        };
        assert_eq!(effects(&bare("settings.updated")), [Effect::Reload(ANN), recheck(Some(ANN), None)]);
        let member = [recheck(Some(ANN), None), recheck(None, Some(ANN))];
        assert_eq!(effects(&bare("membership.created")), member);
        assert_eq!(effects(&bare("membership.deleted")), member);
        assert_eq!(effects(&bare("block.created")), []);
        assert_eq!(effects(&bare("task.created")), []);
    }
}
