//! Policy sets: their way from draft to active and back.

use policy_core::pdp::{Baseline, Engine, SetSource};
use policy_core::policy::Effect;
use policy_core::registry::Finding;
use policy_core::{Revision, Scope};

use super::decide::{Right, governing, is_allowed};
use super::{Admin, AdminError};
use crate::security::SecurityContext;
use crate::sets::{SetVersion, SetsError};

/// The longest comment, in characters.
const COMMENT: usize = 1_000;

/// What came of looking at a version before it is activated.
///
/// ```
/// use policy_runtime::admin::Review;
/// fn is_clean(review: &Review) -> bool {
///     review.warnings.is_empty()
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Review {
    /// The version.
    pub version: SetVersion,
    /// The version that it would replace; 0 for what a scope begins with.
    pub active: i64,
    /// What is worth a look.
    pub warnings: Vec<Finding>,
}

/// An activation.
///
/// ```
/// use policy_runtime::admin::Activated;
/// fn told(done: &Activated) -> String {
///     format!("version {} decides, as {}", done.version, done.revision)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Activated {
    /// The version that decides now.
    pub version: i64,
    /// The one before; 0 for what a scope begins with.
    pub before: i64,
    /// What decisions name.
    pub revision: Revision,
    /// What is worth a look.
    pub warnings: Vec<Finding>,
}

impl Admin {
    /// All versions of a scope's set, the latest first, and the number of the active one (0 for what a scope begins with).
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn versions(&self, cx: &SecurityContext, scope: &Scope) -> Result<(Vec<SetVersion>, i64), AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        Ok((self.sets.history(scope).await?, self.sets.active(scope).await?))
    }

    /// The version that was active before the present one, if there was one: what a rollback goes back to.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn version_before(&self, cx: &SecurityContext, scope: &Scope) -> Result<Option<i64>, AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        Ok(self.sets.before(scope).await?)
    }

    /// A version of a scope's set.
    ///
    /// # Errors
    /// When the caller may not, or there is none of that number.
    pub async fn version(&self, cx: &SecurityContext, scope: &Scope, number: i64) -> Result<SetVersion, AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        Ok(self.sets.version(scope, number).await?)
    }

    /// What decides for a scope now, baseline included, as Cedar: each policy's id and text. For an application also what its
    /// code permits.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn effective(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<(String, String)>, AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        let all = self.policy.engine().cedar_of(scope);
        Ok(all.into_iter().map(|(id, text)| (id.to_string(), text)).collect())
    }

    /// Saves a draft; answers its number. With `expected`, only while that version is the active one.
    ///
    /// # Errors
    /// When the caller may not, or has not seen the active version.
    pub async fn draft(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        source: &SetSource,
        comment: &str,
        expected: Option<i64>,
    ) -> Result<i64, AdminError> {
        let permitted = self.permit(cx, Right::DRAFT, scope).await?;
        if comment.chars().count() > COMMENT {
            return Err(AdminError::Invalid(format!("a comment has at most {COMMENT} characters")));
        }
        if let Some(expected) = expected {
            self.expect(scope, expected).await?;
        }
        let (author, now) = (cx.participant().uid_id(), self.policy.clock().now());
        let draft = Box::pin(self.sets.draft(scope, source, author, comment, now));
        let number = self.change(permitted.about("policies", &scope.to_string()), async { Ok(draft.await?) }).await?;
        self.tell(cx, "policies.draft", &number.to_string(), scope).await;
        Ok(number)
    }

    /// Checks a version as an activation would, and says what is worth a look. A draft that checks is validated from then on.
    ///
    /// # Errors
    /// When the caller may not, or the version could not be activated by it: every finding, with its place in the text.
    pub async fn validate(&self, cx: &SecurityContext, scope: &Scope, number: i64) -> Result<Review, AdminError> {
        let _ = self.permit(cx, Right::DRAFT, scope).await?;
        // That a set would lock somebody out is told at the activation, by whoever may do that.
        let found = self.sets.validate(&self.policy, scope, number).await?;
        let mut review = Review {
            version: self.sets.version(scope, number).await?,
            active: self.sets.active(scope).await?,
            warnings: found,
        };
        let supposed = self.policy.engine().supposing(scope, &review.version.source)?;
        review.warnings.extend(self.cannot_undo(cx, scope, &supposed));
        Ok(review)
    }

    /// Makes a validated version, or one that was active before, the active one in place of `expected`. An older one is a
    /// rollback.
    ///
    /// # Errors
    /// When the caller may not, another version is active, the set replaces the baseline or changes what is said about
    /// administration without the right to own the policies, or nobody could change it afterwards.
    pub async fn activate(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        number: i64,
        expected: i64,
    ) -> Result<Activated, AdminError> {
        let permitted = self.permit(cx, Right::ACTIVATE, scope).await?;
        let _turn = self.turn.lock().await;
        self.expect(scope, expected).await?;
        let version = self.sets.version(scope, number).await?;
        let mut warnings: Vec<Finding> = self.sets.check(&self.policy, scope, &version.source, self.now()).await?;
        let engine = self.policy.engine();
        // What is active in the database, which this server may not have followed yet.
        let before = self.source(scope, expected).await?;
        let current = match expected {
            0 => None,
            _ => Some(engine.supposing(scope, &before)?),
        };
        let current = current.as_ref().unwrap_or(engine);
        let supposed = engine.supposing(scope, &version.source)?;
        let replaced = before.baseline == Baseline::Replaced || version.source.baseline == Baseline::Replaced;
        if scope.application_id().is_none() {
            if replaced || changes_administration(current, &supposed, scope) {
                let _ = self.permit(cx, Right::OWN, scope).await?;
            }
            let users = self.store.users(scope).await?;
            self.refuse_lock_out(cx, scope, (current, &users), (&supposed, &users))?;
        }
        warnings.extend(self.cannot_undo(cx, scope, &supposed));
        let permitted = permitted
            .about("policies", &scope.to_string())
            .detail("version", number.to_string())
            .detail("before", expected.to_string())
            .detail("hash", version.hash);
        let (actor, now) = (cx.participant().uid_id(), self.policy.clock().now());
        let activation = Box::pin(self.sets.activate(&self.policy, scope, number, expected, actor, now));
        let revision = self.change(permitted, async { Ok(activation.await?) }).await?;
        self.tell(cx, "policies.activate", &number.to_string(), scope).await;
        self.leave_shadow(scope, number).await?;
        Ok(Activated { version: number, before: expected, revision, warnings })
    }

    /// What a version is made of; 0 is what a scope begins with.
    pub(super) async fn source(&self, scope: &Scope, number: i64) -> Result<SetSource, AdminError> {
        Ok(if number == 0 { SetSource::default() } else { self.sets.version(scope, number).await?.source })
    }

    async fn expect(&self, scope: &Scope, expected: i64) -> Result<(), AdminError> {
        let active = self.sets.active(scope).await?;
        if active == expected { Ok(()) } else { Err(SetsError::Conflict { expected, active }.into()) }
    }

    fn cannot_undo(&self, cx: &SecurityContext, scope: &Scope, supposed: &Engine) -> Option<Finding> {
        let (asked, now) = (governing(scope), self.policy.clock().now());
        let action = Right::ACTIVATE.action(scope);
        let may = is_allowed(supposed, cx.participant(), cx.facts(), action, &asked, now);
        let told =
            format!("you could not undo this: it denies you `{action}`\nhelp: let somebody activate it who could");
        (!may).then(|| Finding::new(scope, told))
    }
}

/// Whether a set gives more on the platform or an organization than another, or takes a restriction away there.
fn changes_administration(current: &Engine, supposed: &Engine, scope: &Scope) -> bool {
    let (old, new) = (current.written(scope), supposed.written(scope));
    let gives = new
        .iter()
        .any(|(id, policy)| policy.effect == Effect::Permit && policy.administers && old.get(id) != Some(policy));
    let frees = old
        .iter()
        .any(|(id, policy)| policy.effect == Effect::Forbid && policy.administers && new.get(id) != Some(policy));
    gives || frees
}
