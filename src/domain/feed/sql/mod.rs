//! Every statement of the feed.

pub mod comments;
pub mod pages;
pub mod people;
pub mod posts;
