//! The engine as its clients see it: real sockets on the loopback, a toy server around it. Each test runs twice, once in
//! each format; the clients of the tests speak JSON and have it translated where need be.

mod json;
pub(super) mod model;
mod protobuf;
mod sim;
mod spelling;
mod stream;
mod turns;
