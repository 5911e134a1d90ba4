//! Users that stay where they are: sign-in over the application's own table, without a second list of people.
//!
//! `cargo run -p examples --bin own_users` makes such a table in memory, with a password that an older program has hashed by
//! bcrypt, signs its people in, and shows what became of the hash.

#![expect(clippy::print_stdout, reason = "it prints what happens")]

use std::sync::Arc;

use anyhow::Result;
use policy_runtime::authn::password::PasswordAuthenticator;
use policy_runtime::authn::{BoxFuture, Chain, Outcome};
use policy_runtime::clock::SystemClock;
use policy_runtime::credential::{Credential, Credentials, LoginForm};
use policy_runtime::identity::{EmailKey, StoreError, User, UserStore};
use policy_runtime::secret::Secret;
use policy_runtime::value::Value;
use policy_runtime::{Denied, Policy, Scope, SecurityContext, abac_policy};
use sqlx::SqlitePool;

/// The table as it has always been. `secret` holds what `$2b$..` an older program wrote.
const TABLE: &str = "CREATE TABLE members \
     (number INTEGER PRIMARY KEY, mail TEXT UNIQUE, secret TEXT, department TEXT, left_at TEXT)";

#[abac_policy(participant.department == "finance", action = "Reports.close")]
async fn close_the_books() -> Result<&'static str, Denied> {
    Ok("closed")
}

#[derive(Debug)]
struct Members {
    table: SqlitePool,
    scope: Scope,
}

type Row = (i64, String, String, Option<String>);

impl Members {
    /// What a row is to the rest of the program. A participant's id is unique over all scopes, so it names the table.
    fn user(&self, (number, mail, department, left): Row) -> User {
        let mut user = User::new(format!("{}/member-{number}", self.scope), self.scope.clone());
        user.email = Some(mail);
        user.attributes = vec![("department".to_owned(), Value::text(&department))];
        user.enabled = left.is_none();
        user
    }

    /// The row's number, of an id that is ours.
    fn number(&self, id: &str) -> Option<i64> {
        id.strip_prefix(&self.scope.to_string())?.strip_prefix("/member-")?.parse().ok()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl UserStore for Members {
    fn user_by_email<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async move {
            // Whoever asks for another scope asks for nobody here.
            if *scope != self.scope {
                return Ok(None);
            }
            let sql = "SELECT number, mail, department, left_at FROM members WHERE lower(mail) = $1";
            let row: Option<Row> =
                sqlx::query_as(sql).bind(email.as_str()).fetch_optional(&self.table).await.map_err(unavailable)?;
            Ok(row.map(|row| self.user(row)))
        })
    }

    fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT secret FROM members WHERE number = $1";
            let found = sqlx::query_scalar(sql).bind(self.number(id)).fetch_optional(&self.table).await;
            Ok(found.map_err(unavailable)?.map(Secret::new))
        })
    }

    fn replace_hash<'a>(
        &'a self,
        id: &'a str,
        verified: &'a Secret<String>,
        stronger: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let sql = "UPDATE members SET secret = $3 WHERE number = $1 AND secret = $2";
            let change = sqlx::query(sql).bind(self.number(id)).bind(verified.expose()).bind(stronger.expose());
            Ok(change.execute(&self.table).await.map_err(unavailable)?.rows_affected() == 1)
        })
    }
}

/// What comes of everybody's sign-in, and of the call that follows.
async fn told() -> Result<Vec<String>> {
    let policy = Policy::for_application("reports")?;
    let table = SqlitePool::connect("sqlite::memory:").await?;
    sqlx::query(TABLE).execute(&table).await?;
    // `correct horse battery`, by bcrypt.
    let old = "$2b$10$QGe7HSPt0j1jfqXwEH7yXegVk9FFiINtBBESDEevMPesIxrGVyQ16";
    for (number, mail, department, left) in [
        (1, "Ann@acme.example", "finance", None),
        (2, "ben@acme.example", "sales", None),
        (3, "cy@acme.example", "finance", Some("2025")),
    ] {
        let insert = sqlx::query("INSERT INTO members VALUES ($1, $2, $3, $4, $5)");
        insert.bind(number).bind(mail).bind(old).bind(department).bind(left).execute(&table).await?;
    }
    let members = Arc::new(Members { table: table.clone(), scope: policy.application().clone() });
    let chain = Chain::builder().with(PasswordAuthenticator::new(members, Arc::new(SystemClock))).build();

    let mut lines = Vec::new();
    for (name, password) in [
        ("ann@ACME.example", "correct horse battery"),
        ("ben@acme.example", "correct horse battery"),
        ("cy@acme.example", "correct horse battery"),
        ("ann@acme.example", "a guess"),
    ] {
        let passcode = Secret::new(password.to_owned());
        let login = Credential::Login { name: name.to_owned(), passcode, form: LoginForm::Basic };
        let request = Credentials::of(login).in_scope(policy.application().clone());
        lines.push(match chain.authenticate(&request).await {
            Outcome::Authenticated(found) => {
                let cx = SecurityContext::new(&policy, found.into_participant().into());
                match cx.scope(close_the_books()).await {
                    Ok(done) => format!("{name}: {done}"),
                    Err(denied) => format!("{name}: {}", denied.code().as_str()),
                }
            }
            Outcome::Rejected(error) => format!("{name}: {}", error.answer().message),
            Outcome::NotPresented => format!("{name}: nobody"),
        });
    }
    let secret: String = sqlx::query_scalar("SELECT secret FROM members WHERE number = 1").fetch_one(&table).await?;
    lines.push(format!("ann's hash is now {}", secret.split('$').nth(1).unwrap_or("none")));
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<()> {
    for line in told().await? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn people_of_the_own_table_sign_in() {
        let lines = super::told().await.unwrap();
        assert_eq!(
            lines,
            [
                "ann@ACME.example: closed",
                "ben@acme.example: ACCESS_DENIED",
                "cy@acme.example: invalid credentials",
                "ann@acme.example: invalid credentials",
                "ann's hash is now argon2id",
            ]
        );
    }
}
