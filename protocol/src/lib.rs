//! The wire of Studyhall: what clients send, what they get, and what it means.
//!
//! - [`frame`] and [`encode`]: commands, replies and pushes of the Centrifuge client protocol.
//! - [`emulation`]: how commands come in where there is no socket.
//! - [`format`]: JSON or protobuf; nothing but the spelling differs.
//! - [`channel`]: the names of the channels.
//! - [`client`]: the same wire from the other end: command lines, and the reading of replies and pushes.
//! - [`command`] and [`event`]: the two tables. One line per command, one line per event.
//! - [`state`]: what a channel's events add up to; `state(p) + events(p, q] = state(q)`.
//! - [`accounts`], [`attachments`], [`audit`], [`settings`], [`presence`], [`social`], [`posts`], [`tasks`], [`workspaces`], [`widgets`]: the payloads, in the words of the schema.
//! - [`courses`], [`assignments`], [`resources`], [`focus`], [`playlists`], [`metrics`], [`tags`]: what people study.
//! - [`order`], [`ordered`]: lists that people put in order.
//! - [`calendar`]: the planner and its reminders.
//! - [`notifications`]: what others did that concerns somebody.
//! - [`dashboard`]: the home page in one answer.
//! - [`describe`]: how the tables describe themselves; TypeScript, JSON Schema, OpenAPI and AsyncAPI are made from that.
//! - [`routes`]: the calls of REST, [`codes`]: the words of its errors and of `rpc`'s.
//! - [`error`]: error, unsubscribe and disconnect codes.
//!
//! This crate knows no server. Whoever builds a client in Rust depends on it alone.

pub mod accounts;
pub mod assignments;
pub mod attachments;
pub mod audit;
pub mod calendar;
pub mod channel;
pub mod check;
pub mod client;
pub mod codes;
pub mod command;
pub mod courses;
pub mod dashboard;
pub mod describe;
pub mod emulation;
pub mod encode;
pub mod error;
pub mod event;
pub mod focus;
pub mod format;
pub mod frame;
pub mod live;
pub mod metrics;
pub mod notifications;
pub mod order;
pub mod ordered;
pub mod patch;
mod plain;
pub mod playlists;
pub mod posts;
pub mod presence;
mod protobuf;
pub mod resources;
pub mod rest;
pub mod routes;
pub mod settings;
pub mod social;
pub mod state;
mod table;
pub mod tags;
pub mod tasks;
pub mod widgets;
pub mod workspaces;

pub use channel::Channel;
pub use command::Command;
pub use event::{Event, EventRecord};
pub use format::Format;
pub use rest::{Answer, Position};
