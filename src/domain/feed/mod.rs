//! The feed: what people post, and what others make of it.

pub mod likes;
