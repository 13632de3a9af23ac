//! The record of who did what to what, from where: written by the transaction that did it. It says what was touched and
//! never what was written there, for it outlives both.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use studyhall_protocol::routes::makes;
use uuid::Uuid;

use super::operations::Wanted;

/// Who asks for something to be done, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub person: Uuid,
    /// Where their request came from; the server itself has none.
    pub address: Option<IpAddr>,
}

impl From<Uuid> for Asker {
    /// The server acts for somebody by itself.
    fn from(person: Uuid) -> Self {
        Self { person, address: None }
    }
}

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub action: &'static str,
    pub subject_type: &'static str,
    pub subject_id: Option<Uuid>,
    /// A JSON object: what else was named.
    pub metadata: String,
    pub address: Option<String>,
}

/// What a command names by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
}

impl Named {
    /// Out of the serialized form of a command.
    pub fn in_command(text: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Tagged {
            data: Named,
        }
        serde_json::from_slice(text).map_or_else(|_| Self::default(), |Tagged { data }| data)
    }

    /// Out of what a command answers.
    fn in_answer(data: &RawValue) -> Self {
        serde_json::from_str(data.get()).unwrap_or_default()
    }
}

impl Entry {
    /// Of a command that was done. Whoever is named is the subject; otherwise what was made, changed or liked.
    pub fn of(wanted: &Wanted, data: Option<&RawValue>) -> Self {
        let action = wanted.command.name();
        let mut named = wanted.named.clone();
        if makes(action) && named.id.is_none() {
            named.id = data.and_then(|data| Named::in_answer(data).id);
        }
        let kind = action.split('.').next().unwrap_or(action);
        let (subject_type, subject_id) = if named.user_id.is_some() {
            ("user", named.user_id.take())
        } else if named.id.is_some() {
            (kind, named.id.take())
        } else if named.post_id.is_some() {
            ("post", named.post_id.take())
        } else {
            ("user", None)
        };
        Self { metadata: json(&named), ..Self::new(action, subject_type, subject_id, wanted.address) }
    }

    pub fn new(
        action: &'static str,
        subject_type: &'static str,
        subject_id: Option<Uuid>,
        address: Option<IpAddr>,
    ) -> Self {
        let address = address.map(|address| address.to_string());
        Self { action, subject_type, subject_id, metadata: "{}".into(), address }
    }
}

fn json(named: &Named) -> String {
    serde_json::to_string(named).unwrap_or_else(|_| "{}".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::By;
    use serde_json::json;
    use serde_json::value::to_raw_value;
    use studyhall_protocol::Command;

    fn entry(method: &str, data: serde_json::Value, answer: Option<serde_json::Value>) -> Entry {
        let command = Command::read(method, data).unwrap();
        let by = By { actor: Uuid::from_u128(9), op: Uuid::nil() };
        let wanted = Wanted::new(by, command, None).unwrap();
        let answer = answer.map(|answer| to_raw_value(&answer).unwrap());
        Entry::of(&wanted, answer.as_deref())
    }

    #[test]
    fn whoever_or_whatever_is_named_is_the_subject() {
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let subject = |entry: &Entry| (entry.subject_type, entry.subject_id);
        let list = entry("task_list.create", json!({"name": "secret"}), Some(json!({"id": a, "name": "secret"})));
        assert_eq!((list.action, subject(&list)), ("task_list.create", ("task_list", Some(a))));
        assert_eq!(list.metadata, "{}");
        let task = entry("task.create", json!({"list_id": b, "description": "x"}), Some(json!({"id": a})));
        assert_eq!((subject(&task), task.metadata), (("task", Some(a)), json!({"list_id": b}).to_string()));
        let out = entry("member.remove", json!({"workspace_id": b, "user_id": a}), Some(json!({})));
        assert_eq!((subject(&out), out.metadata), (("user", Some(a)), json!({"workspace_id": b}).to_string()));
        assert_eq!(subject(&entry("post.like", json!({"post_id": a}), None)), ("post", Some(a)));
        assert_eq!(subject(&entry("task.delete", json!({"id": a}), Some(json!({"id": a})))), ("task", Some(a)));
        assert_eq!(subject(&entry("settings.update", json!({}), None)), ("user", None), "the actor's own");
    }
}
