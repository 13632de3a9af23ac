//! The engine: live connections as sets of cursors over channels. It knows frames and channels and no
//! domain; what it has to ask, it asks a [`backend::Backend`].
//!
//! Read in this order: [`backend`] (what surrounds the engine), [`topic`] (a channel), [`conn`] (a
//! connection), [`gather`] (what one owes the other), [`flush`] (when it is paid), [`socket`] and
//! [`session`] (what the client says).

pub mod arrivals;
pub mod backend;
mod bars;
mod clock;
mod commands;
pub mod conn;
mod drain;
mod elsewhere;
mod epochs;
mod flush;
mod gather;
pub mod hub;
pub mod limits;
mod link;
mod moves;
mod newcomer;
mod pace;
mod pages;
mod people;
pub mod presence;
mod publish;
mod rechecks;
mod records;
mod removal;
mod ring;
mod rings;
pub mod roster;
mod seats;
mod session;
mod shown;
mod slots;
pub mod socket;
mod standing;
pub mod stream;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod time;
mod topic;
mod transport;
pub mod upgrade;
mod wake;
pub mod ws;

pub use hub::Hub;
pub use limits::Limits;
pub use link::HubLink;
