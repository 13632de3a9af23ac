//! The words that errors begin with: one line per word, the same in REST and in `rpc`.

/// A word of errors.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// `code` of a problem, and the beginning of the `message` of an `rpc` error.
    pub code: &'static str,
    /// The HTTP status; none where REST does not know the word.
    pub status: Option<u16>,
    /// The numbers of `rpc` errors that begin with it.
    pub rpc: &'static [u32],
    /// What happened, what to do.
    pub text: &'static str,
}

macro_rules! status {
    (-) => {
        None
    };
    ($status:literal) => {
        Some($status)
    };
}

macro_rules! codes {
    ($($code:literal $status:tt [$($rpc:literal),*] $text:literal;)*) => {
        /// Every word.
        pub const CODES: &[Code] =
            &[$(Code { code: $code, status: status!($status), rpc: &[$($rpc),*], text: $text }),*];
    };
}

// The word, the HTTP status, the numbers in `rpc`, what happened and what to do.
codes! {
    "malformed_json" 400 [1400] "The body is not JSON; `detail` says where. A lone surrogate or a number beyond 1e308 counts as that. Repair the program.";
    "bad_request" 400 [1400, 107] "Another shape: not an object, an unknown, missing or mistyped field, an id in the path that is none. Repair the program.";
    "bad_limit" 400 [] "`limit` is not a whole number.";
    "bad_cursor" 400 [] "`cursor` is not the `next_cursor` of this list. Begin with the first page.";
    "bad_op" 400 [1400] "The Idempotency-Key or `op` is not one UUID.";
    "unauthorized" 401 [101] "No sign-in, or one that was ended. Sign in.";
    "token_expired" 401 [109] "The sign-in is over by time. Sign in.";
    "wrong_credentials" 401 [] "The name or the password is wrong.";
    "foreign_origin" 403 [] "This page may not use the cookie. List its origin in `STUDYHALL_ORIGINS`, or send a token.";
    "account_disabled" 403 [] "An operator has disabled this account.";
    "wrong_password" 403 [] "The current password is wrong.";
    "permission_denied" 403 [103] "Somebody else's channel, or not subscribed.";
    "owner_only" 403 [1403] "Only the owner of the room or course may do that.";
    "author_only" 403 [1403] "Only whoever posted or said it may do that.";
    "guests_look_on" 403 [1403] "Only members may do that.";
    "not_found" 404 [1404] "No such thing, or none that you may know of.";
    "method_not_found" - [104] "There is no command of this name.";
    "unknown_channel" - [102] "No such channel, or none that you may know of.";
    "method_not_allowed" 405 [] "See the `Allow` header.";
    "username_taken" 409 [] "Choose another name.";
    "email_taken" 409 [1409] "The address belongs to another account.";
    "already_member" 409 [1409] "They are in the room already.";
    "owner_stays" 409 [1409] "The owner cannot leave the room or course; delete it instead.";
    "limit_reached" 409 [1409] "As many as there may be. Delete some.";
    "quota_exceeded" 409 [] "The file does not fit into the room that you have. Delete some, or take a smaller one.";
    "after_not_in_list" 409 [1409] "The row to stand behind is not in that list any more. Load the list again.";
    "widget_held" - [1409] "Somebody else is dragging this widget. Let go of it.";
    "unrecoverable_position" 410 [112] "The log cannot be read from there. Load the state again.";
    "payload_too_large" 413 [] "A body has at most 256 KiB, a file as much as the operator allows.";
    "unsupported_media_type" 415 [] "Send `content-type: application/json`, and a file as it is, not in a form.";
    "range_not_satisfiable" 416 [] "The file is shorter than where the asked range begins; `Content-Range` says how long.";
    "invalid_field" 422 [1422] "A value cannot be taken; `field` and `detail` say which and why.";
    "unsupported_file" 422 [] "What is in the file is none of the kinds that are taken, or not whole; `detail` says more.";
    "op_reused" 422 [1422] "This key belongs to another call. Use a new one.";
    "too_many_requests" 429 [111] "Too fast. Temporary: wait for `Retry-After`.";
    "too_many_attempts" 429 [] "Too many wrong passwords for this name. Temporary: wait for `Retry-After`.";
    "already_subscribed" - [105] "This connection has that subscription.";
    "limit_exceeded" - [106] "Too many channels on a connection, or too many values in a room.";
    "not_available" - [108] "The protocol has it, this server does not.";
    "internal" 500 [100] "Our fault. Temporary; tell the operator the `x-request-id`.";
    "busy" 503 [1503] "Too much to do right now. Temporary.";
    "shutting_down" 503 [1503] "This node goes away. Temporary: try again, another one answers.";
    "commit_unknown" 503 [1503] "The database went away at the very end: done or not. Temporary: send it again with the same key.";
    "unavailable" 503 [1503] "The database cannot be reached. Temporary.";
}
