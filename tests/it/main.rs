//! The one integration-test binary: what the server promises, seen from outside.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod actors;
mod architecture;
mod attachments;
mod audit;
mod bad_input;
mod batches;
mod calendar;
mod check;
mod cluster;
mod commands;
mod demo;
mod documents;
mod drags;
mod durability;
mod echo;
mod erasure;
mod export;
mod faults;
mod feed;
mod folding;
mod graph;
mod handover;
mod harness;
mod likes;
mod network;
mod nodes;
mod notifications;
mod one_command;
mod operations;
mod order;
mod plans;
mod presence;
mod redis_faults;
mod rights;
mod rooms;
mod schema;
mod sdk;
mod storm;
mod study;
mod tail;
mod tasks;
mod together;
mod whereabouts;
