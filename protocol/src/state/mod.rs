//! What a channel's events add up to.
//!
//! Every line of the table of events is placed in the state of its kind of channel, which a test looks at. So the
//! promise "snapshot(p) + events(p, q] = snapshot(q)" can be tested for every one of them, and a client in Rust has its
//! reducer.

mod calendar;
mod notifications;
mod profile;
mod study;
mod user;
mod workspace;

pub use profile::ProfileState;
pub use user::UserState;
pub use workspace::WorkspaceState;

/// The event belongs to another kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misplaced;
