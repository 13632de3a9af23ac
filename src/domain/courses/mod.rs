//! Courses and who is in them. A course is among the things of each of its members, so what happens to it happens on the
//! `user:` of all of them, in one transaction: who they are is looked up, their channels are locked, and it is looked again.
//! Whoever does that holds the course: ten people who are let in at once would otherwise look ten times.
//!
//! Strangers are told that there is no such course. Members see everything; changing it is the owner's alone. A command that
//! changes nothing makes no event and answers with the row as it is.

pub mod routes;
mod sql;

use studyhall_protocol::courses::{Course, CourseMemberGone, CourseMemberRef, CoursePatch, NewCourse};
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::domain::assignments;
use crate::error::{Error, Result};

use sql::Standing;

/// Courses per person: what they own and what they were let into.
pub const COURSES_MAX: i64 = 200;
/// Members per course.
pub const MEMBERS_MAX: usize = 50;

/// Makes a course that the actor owns.
pub async fn create_course(tx: &mut Tx, new: &NewCourse) -> Result<Course> {
    let owner = tx.actor();
    tx.lock(&[Channel::User(owner)]).await?;
    let Some(course) = sql::insert_course(tx.conn(), owner, new).await? else {
        return Err(too_many_courses());
    };
    tx.emit(Channel::User(owner), Event::CourseCreated(course.clone()));
    Ok(course)
}

/// Renames a course; the owner only.
pub async fn update_course(tx: &mut Tx, patch: &CoursePatch) -> Result<Course> {
    let standing = standing(tx, patch.id).await?;
    owns(tx, &standing)?;
    lock(tx, patch.id, &standing, None).await?;
    if let Some(course) = sql::patch_course(tx.conn(), patch).await? {
        tell(tx, &standing.members, &Event::CourseUpdated(course.clone()));
        return Ok(course);
    }
    sql::course(tx.conn(), patch.id).await?.ok_or_else(Error::not_found)
}

/// Deletes a course; the owner only. What was due in it stays, without it.
pub async fn delete_course(tx: &mut Tx, gone: &RowRef) -> Result<Deleted> {
    let standing = standing(tx, gone.id).await?;
    owns(tx, &standing)?;
    lock(tx, gone.id, &standing, None).await?;
    assignments::leave_course(tx, gone.id, &standing.members).await?;
    if !sql::delete_course(tx.conn(), gone.id).await? {
        return Err(Error::not_found());
    }
    tell(tx, &standing.members, &Event::CourseDeleted((*gone).into()));
    Ok((*gone).into())
}

/// Lets somebody in; the owner only. Whoever is in already stays in.
pub async fn add_course_member(tx: &mut Tx, new: &CourseMemberRef) -> Result<Course> {
    let standing = standing(tx, new.course_id).await?;
    owns(tx, &standing)?;
    let inside = standing.members.contains(&new.user_id);
    // Before the locks: nobody makes a channel wait that they may not know of, or that is nobody's.
    if !inside {
        findable(tx, new.user_id).await?;
    }
    lock(tx, new.course_id, &standing, Some(new.user_id)).await?;
    if !inside {
        if standing.members.len() >= MEMBERS_MAX {
            return Err(Error::conflict("limit_reached", format!("a course can have at most {MEMBERS_MAX} members")));
        }
        let actor = tx.actor();
        if !sql::insert_member(tx.conn(), actor, new.course_id, new.user_id).await? {
            findable(tx, new.user_id).await?;
            return Err(too_many_courses());
        }
    }
    let course = sql::course(tx.conn(), new.course_id).await?.ok_or_else(Error::not_found)?;
    if !inside {
        tell(tx, &standing.members, &Event::CourseUpdated(course.clone()));
        tx.emit(Channel::User(new.user_id), Event::CourseCreated(course.clone()));
    }
    Ok(course)
}

/// Puts somebody out (the owner), or leaves. The owner stays: a course without one could not be changed any more.
pub async fn remove_course_member(tx: &mut Tx, gone: &CourseMemberRef) -> Result<CourseMemberGone> {
    let standing = standing(tx, gone.course_id).await?;
    if tx.actor() != gone.user_id {
        owns(tx, &standing)?;
    }
    if !standing.members.contains(&gone.user_id) {
        return Err(Error::not_found());
    }
    if gone.user_id == standing.owner {
        return Err(Error::conflict("owner_stays", "the owner cannot leave the course; delete it instead"));
    }
    lock(tx, gone.course_id, &standing, None).await?;
    assignments::leave_course(tx, gone.course_id, &[gone.user_id]).await?;
    sql::delete_member(tx.conn(), gone.course_id, gone.user_id).await?;
    let course = sql::course(tx.conn(), gone.course_id).await?.ok_or_else(Error::not_found)?;
    tx.emit(Channel::User(gone.user_id), Event::CourseDeleted(Deleted { id: gone.course_id }));
    tell(tx, &course.member_ids.clone(), &Event::CourseUpdated(course));
    Ok((*gone).into())
}

/// Leaves a course for ever. An owner hands it to another member; a course with nobody else in it goes.
pub async fn leave_for_good(tx: &mut Tx, id: Uuid) -> Result<()> {
    let (me, standing) = (tx.actor(), standing(tx, id).await?);
    if standing.owner != me {
        return remove_course_member(tx, &CourseMemberRef { course_id: id, user_id: me }).await.map(drop);
    }
    let Some(heir) = standing.members.iter().copied().find(|member| *member != me) else {
        return delete_course(tx, &RowRef { id }).await.map(drop);
    };
    lock(tx, id, &standing, None).await?;
    sql::hand_over(tx.conn(), id, heir).await?;
    assignments::leave_course(tx, id, &[me]).await?;
    sql::delete_member(tx.conn(), id, me).await?;
    let course = sql::course(tx.conn(), id).await?.ok_or_else(Error::not_found)?;
    tx.emit(Channel::User(me), Event::CourseDeleted(Deleted { id }));
    tell(tx, &course.member_ids.clone(), &Event::CourseUpdated(course));
    Ok(())
}

/// Holds the course and says who is in it; 404 for whoever is not. Nobody holds a course who has locked a channel, so no two
/// commands wait for each other.
async fn standing(tx: &mut Tx, course_id: Uuid) -> Result<Standing> {
    let actor = tx.actor();
    if !sql::hold(tx.conn(), actor, course_id).await? {
        return Err(Error::not_found());
    }
    sql::standing(tx.conn(), actor, course_id).await?.ok_or_else(Error::not_found)
}

fn owns(tx: &Tx, standing: &Standing) -> Result<()> {
    if tx.actor() == standing.owner {
        return Ok(());
    }
    Err(Error::forbidden("owner_only", "only the owner of the course can do that"))
}

/// Locks the channels of all members, and of somebody who is to become one. Members come and go under these locks only,
/// so what still is so under them stays so.
async fn lock(tx: &mut Tx, course_id: Uuid, standing: &Standing, more: Option<Uuid>) -> Result<()> {
    let channels: Vec<Channel> = standing.members.iter().copied().chain(more).map(Channel::User).collect();
    tx.lock(&channels).await?;
    let actor = tx.actor();
    if sql::standing(tx.conn(), actor, course_id).await?.as_ref() != Some(standing) {
        return Err(Error::changed_meanwhile());
    }
    Ok(())
}

/// 404 for who does not exist, or whom a block parts from the actor.
async fn findable(tx: &mut Tx, person: Uuid) -> Result<()> {
    let actor = tx.actor();
    match sql::is_findable(tx.conn(), actor, person).await? {
        true => Ok(()),
        false => Err(Error::not_found().with_field("user_id")),
    }
}

fn tell(tx: &mut Tx, members: &[Uuid], event: &Event) {
    for member in members {
        tx.emit(Channel::User(*member), event.clone());
    }
}

fn too_many_courses() -> Error {
    Error::conflict("limit_reached", format!("a person can be in at most {COURSES_MAX} courses"))
}
