//! Studyhall: the real-time backend of a study dashboard.
//!
//! The house, bottom up; a module knows those above it in this list and none below:
//!
//! - [`live`]: the engine. Channels, connections, cursors; no domain, no SQL.
//! - [`error`]: what can go wrong, in words for people.
//! - [`db`]: PostgreSQL. The transaction, the log, retention.
//! - [`http`]: how a request is read and an answer is written.
//! - [`domain`]: what people can do; one folder each.
//! - [`dev`]: the private PostgreSQL and Redis of `studyhall dev`.

pub mod app;
pub mod db;
pub mod dev;
pub mod domain;
pub mod error;
pub mod http;
pub mod live;
