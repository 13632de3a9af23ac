//! How a request is read and an answer is written, whatever it is about.

mod state;

pub use state::AppState;
