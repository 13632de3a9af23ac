//! Who somebody is: passwords, tokens, sign-ins. What people do with them is in `domain/accounts`.

mod cookie;
mod password;
mod sessions;
mod sql;
mod throttle;
mod token;

pub use cookie::Cookies;
pub use password::{Passwords, Permit};
pub use sessions::Sessions;
pub use sql::{Credential, NewSignIn};
pub use throttle::Throttle;
pub use token::Token;

/// The statements that an action runs inside its own transaction.
pub mod rows {
    pub use super::sql::{
        delete_credentials, end_other_sign_ins, end_sign_in, insert_credentials, insert_sign_in,
        select_credential_by_id, select_credential_by_name, select_sign_ins, update_password,
    };
    pub use super::throttle::forget_failures;
}
