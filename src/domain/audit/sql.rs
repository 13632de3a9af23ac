//! The one statement about the record.

use sqlx::PgExecutor;
use studyhall_protocol::audit::AuditEntry;
use uuid::Uuid;

use crate::error::Result;

/// Lines about a person, newest first. Where others were is nobody's business, and so is who follows or blocks whom.
pub async fn audit_log(
    db: impl PgExecutor<'_>,
    person: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    let lines = sqlx::query_as!(
        AuditEntry,
        r#"(select a.id as "id!", a.created_at as "created_at!", a.action as "action!", a.actor_id, a.subject_type,
                  a.subject_id, a.metadata as "metadata!", host(a.ip) as ip
             from audit_logs a
             where a.actor_id = $1 and a.id < coalesce($2::bigint, 9223372036854775807)
             order by a.id desc limit $3)
           union all
           (select a.id, a.created_at, a.action, a.actor_id, a.subject_type, a.subject_id, a.metadata, null
             from audit_logs a
             where a.subject_type = 'user' and a.subject_id = $1 and a.action not like 'user.%'
                 and a.actor_id is distinct from $1 and a.id < coalesce($2::bigint, 9223372036854775807)
             order by a.id desc limit $3)
           order by 1 desc limit $3"#,
        person,
        before as _,
        limit,
    );
    Ok(lines.fetch_all(db).await?)
}
