//! `studyhall check`: holds a deployment against its promises while things break.
//!
//! Clients run random commands over both doors and write down what they see ([`history`]); faults come and go
//! ([`faults`]). Then everything is mended, every command that nobody answered is sent again until it is answered, all logs
//! are read ([`run`]), and each rule is held against the history ([`rules`]). Because every event has a number, the order
//! is given and nothing has to be searched: the cost is linear. What the rules would miss, [`selftest`] says: it makes
//! clean histories and breaks them in every way.
//!
//! This module is a stranger: it knows the protocol and the two doors, and nothing of the server beside it.

pub mod api;
mod client;
pub mod faults;
mod finals;
pub mod history;
mod link;
pub mod report;
pub mod rules;
pub mod run;
pub mod selftest;
mod setup;
mod shared;
pub mod state;
mod world;

#[cfg(test)]
mod tests;
