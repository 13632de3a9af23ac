//! Signing up, in and out, and changing the password. Their answers hold secrets: they keep no operation row.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use studyhall_protocol::Channel;
use studyhall_protocol::accounts::{Credentials, EndReason, Me, NewAccount, PasswordChange, SessionsEnded, SignedIn};
use studyhall_protocol::check::Check;
use studyhall_protocol::event::Event;
use uuid::Uuid;

use super::sql;
use crate::auth::{Credential, NewSignIn, Permit, Token, rows};
use crate::db::{Asker, Done, Tx};
use crate::error::{Error, Result};
use crate::http::{AppState, Caller};
use crate::live::backend::Identity;

/// Makes an account and signs in to it. 409 `username_taken`, `email_taken`.
pub async fn sign_up(state: &AppState, new: NewAccount, address: IpAddr) -> Result<(SignedIn, Token)> {
    new.check()?;
    let turn = state.passwords.turn().await?;
    let hash = state.passwords.hash(turn, new.password.clone()).await?;
    let token = Token::generate()?;
    let id = Uuid::new_v4();
    let asker = Asker { person: id, address: Some(address) };
    let input = Arc::new((new, hash, new_sign_in(state, id, &token)));
    let done = state.writer.run(id, move |tx| {
        let input = Arc::clone(&input);
        Box::pin(async move {
            tx.record("account.create", &asker);
            create_account(tx, &input.0, &input.1, &input.2).await
        })
    });
    let (user, expires_at) = done.await?.data;
    Ok((SignedIn { user, token: token.secret().to_owned(), expires_at }, token))
}

/// The account alone, without a sign-in.
pub async fn make_account(tx: &mut Tx, id: Uuid, new: &NewAccount, hash: &str) -> Result<Me> {
    // Their logs begin with them.
    tx.lock(&[Channel::User(id), Channel::Profile(id)]).await?;
    let me = sql::insert_user(tx.conn(), id, new).await?;
    rows::insert_credentials(tx.conn(), id, hash).await?;
    Ok(me)
}

async fn create_account(tx: &mut Tx, new: &NewAccount, hash: &str, sign_in: &NewSignIn) -> Result<(Me, DateTime<Utc>)> {
    let me = make_account(tx, sign_in.user_id, new, hash).await?;
    let expires_at = rows::insert_sign_in(tx.conn(), sign_in, hash).await?.ok_or_else(wrong_credentials)?;
    Ok((me, expires_at))
}

/// 401 `wrong_credentials` for a wrong password and an unknown name alike, 429 after too many of either, 403
/// `account_disabled` only with the right password.
pub async fn sign_in(state: &AppState, given: Credentials, address: IpAddr) -> Result<(SignedIn, Token)> {
    let this = state.clone();
    // To its end: whoever hangs up before the answer must not escape the count of failures.
    let work = async move {
        let Credentials { username, password } = given;
        let turn = this.passwords.turn().await?;
        this.throttle.check(&username).await?;
        let credential = rows::select_credential_by_name(this.db.pool(), &username).await?;
        // Names are ASCII. Others can become one in lower case (`İ` an `i`, by some locales), and every such spelling
        // would have failures of its own to spend.
        let credential = credential.filter(|_| username.is_ascii());
        let credential = prove(&this, turn, &username, password, credential).await?.map(|(_, found)| found);
        let credential = credential.ok_or_else(wrong_credentials)?;
        if credential.disabled {
            return Err(Error::forbidden("account_disabled", "this account is disabled"));
        }
        let token = Token::generate()?;
        let asker = Asker { person: credential.user_id, address: Some(address) };
        let (user, expires_at) = start_session(&this, asker, credential, &token).await?;
        Ok((SignedIn { user, token: token.secret().to_owned(), expires_at }, token))
    };
    state.writer.tracked(work).await
}

/// The credential, if the password is right; counts a failure if not. Within the turn, so that the next guess is
/// checked against the new count.
async fn prove(
    state: &AppState,
    turn: Permit,
    username: &str,
    password: String,
    credential: Option<Credential>,
) -> Result<Option<(Permit, Credential)>> {
    let stored = credential.as_ref().map(|found| found.password_hash.clone());
    let (turn, right) = state.passwords.verify(turn, password, stored).await?;
    match credential {
        Some(credential) if right => Ok(Some((turn, credential))),
        _ => {
            state.throttle.failed(username).await?;
            Ok(None)
        }
    }
}

async fn start_session(
    state: &AppState,
    asker: Asker,
    credential: Credential,
    token: &Token,
) -> Result<(Me, DateTime<Utc>)> {
    let id = credential.user_id;
    let input = Arc::new((credential, new_sign_in(state, id, token)));
    let done = state.writer.run(id, move |tx| {
        let input = Arc::clone(&input);
        Box::pin(async move {
            tx.record("session.create", &asker);
            insert_session(tx, &input.0, &input.1).await
        })
    });
    Ok(done.await?.data)
}

async fn insert_session(tx: &mut Tx, credential: &Credential, sign_in: &NewSignIn) -> Result<(Me, DateTime<Utc>)> {
    // With this lock a change of the password, which ends all sign-ins, is before or after, never between.
    tx.lock(&[Channel::User(sign_in.user_id)]).await?;
    let made = rows::insert_sign_in(tx.conn(), sign_in, &credential.password_hash).await?;
    let expires_at = made.ok_or_else(wrong_credentials)?;
    rows::forget_failures(tx.conn(), &credential.username).await?;
    let me = sql::select_me(tx.conn(), sign_in.user_id).await?.ok_or_else(wrong_credentials)?;
    Ok((me, expires_at))
}

/// Ends one of my sign-ins: `session.ended` on `user:`. 404 if it is not mine, or over.
pub async fn end_session(state: &AppState, asker: Asker, session_id: Uuid) -> Result<()> {
    let user_id = asker.person;
    let work = state.writer.run(user_id, move |tx| {
        tx.record("session.end", &asker);
        Box::pin(end_one(tx, user_id, session_id))
    });
    work.await?;
    state.sessions.forget(&[session_id]);
    Ok(())
}

async fn end_one(tx: &mut Tx, user_id: Uuid, session_id: Uuid) -> Result<()> {
    tx.lock(&[Channel::User(user_id)]).await?;
    let reason = EndReason::SignedOut;
    if !rows::end_sign_in(tx.conn(), user_id, session_id, reason.as_str()).await? {
        return Err(Error::not_found());
    }
    let ended = SessionsEnded { session_ids: vec![session_id], reason };
    tx.emit(Channel::User(user_id), Event::SessionEnded(ended));
    Ok(())
}

/// Sets a new password and ends all other sign-ins: `session.ended` on `user:`, if there were any. 403
/// `wrong_password` if the current one is wrong, 429 after too many of those.
pub async fn change_password(state: &AppState, caller: &Caller, change: PasswordChange) -> Result<Done<SessionsEnded>> {
    change.check()?;
    let (this, who, asker) = (state.clone(), caller.identity.clone(), caller.asker());
    let work = async move {
        let (turn, credential) = prove_self(&this, who.user_id, change.current_password).await?;
        let new_hash = this.passwords.hash(turn, change.new_password).await?;
        let input = Arc::new((who, credential, new_hash));
        let done = this.writer.run(input.0.user_id, move |tx| {
            let input = Arc::clone(&input);
            Box::pin(async move {
                tx.record("password.change", &asker);
                replace_password(tx, &input.0, &input.1, &input.2).await
            })
        });
        let done = done.await?;
        this.sessions.forget(&done.data.session_ids);
        Ok(done)
    };
    state.writer.tracked(work).await
}

/// 403 `wrong_password` unless it is this person's, 429 after too many that were not.
async fn prove_self(state: &AppState, person: Uuid, password: String) -> Result<(Permit, Credential)> {
    let turn = state.passwords.turn().await?;
    let credential = rows::select_credential_by_id(state.db.pool(), person).await?;
    let username = credential.as_ref().ok_or_else(Error::unauthorized)?.username.clone();
    state.throttle.check(&username).await?;
    prove(state, turn, &username, password, credential).await?.ok_or_else(wrong_password)
}

/// The credential of somebody who says their password once more: what cannot be undone asks for it.
pub(in crate::domain) async fn prove_password(state: &AppState, person: Uuid, password: String) -> Result<Credential> {
    Ok(prove_self(state, person, password).await?.1)
}

async fn replace_password(tx: &mut Tx, who: &Identity, checked: &Credential, new: &str) -> Result<SessionsEnded> {
    let user_id = who.user_id;
    tx.lock(&[Channel::User(user_id)]).await?;
    if !rows::update_password(tx.conn(), user_id, &checked.password_hash, new).await? {
        return Err(wrong_password());
    }
    rows::forget_failures(tx.conn(), &checked.username).await?;
    let reason = EndReason::PasswordChanged;
    let session_ids = rows::end_other_sign_ins(tx.conn(), user_id, Some(who.session_id), reason.as_str()).await?;
    let ended = SessionsEnded { session_ids, reason };
    if !ended.session_ids.is_empty() {
        tx.emit(Channel::User(user_id), Event::SessionEnded(ended.clone()));
    }
    Ok(ended)
}

fn new_sign_in(state: &AppState, user_id: Uuid, token: &Token) -> NewSignIn {
    let days = i32::try_from(state.session_days).unwrap_or(i32::MAX);
    NewSignIn { id: Uuid::new_v4(), user_id, token_hash: token.hash(), days }
}

fn wrong_credentials() -> Error {
    let detail = "the name or the password is wrong";
    Error::status(axum::http::StatusCode::UNAUTHORIZED, "wrong_credentials", detail)
}

pub(in crate::domain) fn wrong_password() -> Error {
    Error::forbidden("wrong_password", "the current password is wrong").with_field("current_password")
}
