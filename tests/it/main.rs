//! The one integration-test binary: what the server promises, seen from outside.

mod actors;
mod architecture;
mod commands;
mod demo;
mod drags;
mod echo;
mod folding;
mod handover;
mod harness;
mod one_command;
mod rights;
mod rooms;
mod schema;
mod sdk;
mod tasks;
