//! What is in an event, for the effects that follow from it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::live::backend::LogEvent;

/// The payload's `data`; `None` when it was emptied, as the events of an erased person are.
pub fn data<T: DeserializeOwned>(event: &LogEvent) -> Option<T> {
    #[derive(Deserialize)]
    struct Payload<T> {
        data: Option<T>,
    }
    match serde_json::from_slice::<Payload<T>>(&event.payload) {
        Ok(payload) => payload.data,
        Err(error) => {
            tracing::error!(channel = %event.channel, offset = event.offset, %error, "unreadable event");
            None
        }
    }
}
