//! The engine: live connections as sets of cursors over channels. It knows frames and channels and no
//! domain; what it has to ask, it asks a [`backend::Backend`].
//!
//! Read in this order: [`backend`] (what surrounds the engine), [`topic`] (a channel), [`conn`] (a
//! connection), [`gather`] (what one owes the other), [`flush`] (when it is paid), [`socket`] and
//! [`session`] (what the client says).

pub mod backend;
mod bars;
mod clock;
mod commands;
pub mod conn;
mod flush;
mod gather;
pub mod hub;
pub mod limits;
mod pace;
mod pages;
mod people;
mod publish;
mod removal;
mod ring;
mod rings;
pub mod roster;
mod seats;
mod session;
mod slots;
pub mod socket;
pub mod stream;
mod subscription;
#[cfg(test)]
mod tests;
mod time;
mod topic;
mod transport;
pub mod upgrade;
pub mod ws;

pub use hub::Hub;
pub use limits::Limits;
