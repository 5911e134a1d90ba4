//! All endpoints, once: the routes and the `OpenAPI` document are made of this.

use serde_json::Value;

use super::answer::Page;
use super::{Api, bodies as b, handlers as h, people as e, providers as p, required as r, trying as t};
use crate::endpoint::{Endpoint, at};
use crate::sets::bundle::Outcome;

#[expect(clippy::too_many_lines, reason = "it is a table, and has a row for each endpoint")]
pub(super) fn endpoints() -> Vec<Endpoint<Api>> {
    let mut all = tried();
    all.extend(provided());
    all.extend(of_people());
    all.extend(vec![
        at("get", "/whoami", "whoami", "Who the caller is and what it may do in its scope", h::whoami)
            .gives::<b::Whoami>(200),
        at("post", "/token", "token", "Exchanges a password for an access token", h::token).gives::<b::Token>(200),
        at("get", "/organizations", "listOrganizations", "The organizations that the caller may see", h::organizations)
            .asks::<Page>()
            .lists::<b::OrganizationReply>(),
        at(
            "post",
            "/organizations",
            "createOrganization",
            "Creates an organization with its first owner",
            h::create_organization,
        )
        .takes::<b::NewOrganization>()
        .gives::<b::UserReply>(201),
        at(
            "post",
            "/organizations/{organization}/suspend",
            "suspendOrganization",
            "Lets nobody of an organization sign in",
            h::suspend,
        ),
        at("post", "/organizations/{organization}/resume", "resumeOrganization", "Lets them sign in again", h::resume),
        at(
            "get",
            "/organizations/{organization}/applications",
            "listApplications",
            "The applications of an organization",
            h::applications,
        )
        .asks::<Page>()
        .lists::<b::ApplicationReply>(),
        at(
            "post",
            "/organizations/{organization}/applications",
            "createApplication",
            "Creates an application",
            h::create_application,
        )
        .takes::<b::NewApplication>()
        .gives::<b::ApplicationReply>(201),
        at(
            "post",
            "/retention",
            "retainRecords",
            "Removes old records of a scope and leaves a signed checkpoint",
            h::retain,
        )
        .takes::<b::Retention>()
        .gives::<b::Removed>(200),
        at("get", "/scopes/{scope}/methods", "methods", "Which methods of signing in are on", e::methods)
            .gives::<e::Methods>(200),
        at("put", "/scopes/{scope}/methods", "setMethods", "Says which methods of signing in are on", e::set_methods)
            .takes::<e::Methods>(),
        at("get", "/scopes/{scope}/users", "listUsers", "The users of a scope", h::users)
            .asks::<Page>()
            .lists::<b::UserReply>(),
        at("post", "/scopes/{scope}/users", "addUser", "Adds a user", h::add_user)
            .takes::<b::NewUser>()
            .gives::<b::UserReply>(201),
        at("get", "/scopes/{scope}/users/{user}", "user", "A user", h::user).gives::<b::UserReply>(200),
        at("patch", "/scopes/{scope}/users/{user}", "changeUser", "Changes a user", h::change_user)
            .takes::<b::UserChange>()
            .gives::<b::UserReply>(200)
            .seen(false),
        at(
            "delete",
            "/scopes/{scope}/users/{user}",
            "removeUser",
            "Removes a user with everything it signs in with",
            h::remove_user,
        ),
        at(
            "post",
            "/scopes/{scope}/users/{user}/invitation",
            "inviteUser",
            "Makes an invitation, shown once",
            h::invite,
        )
        .gives::<b::Invitation>(201),
        at(
            "delete",
            "/scopes/{scope}/users/{user}/second-factor",
            "removeUsersSecondFactor",
            "Removes a second factor that its user has lost",
            h::remove_second_factor,
        ),
        at("get", "/scopes/{scope}/keys", "listKeys", "The keys of a scope", h::keys)
            .asks::<Page>()
            .lists::<b::KeyReply>(),
        at("post", "/scopes/{scope}/keys", "createKey", "Makes a key, shown once", h::create_key)
            .takes::<b::NewKeyBody>()
            .gives::<b::KeyReply>(201),
        at("delete", "/scopes/{scope}/keys/{key}", "revokeKey", "Revokes a key", h::revoke_key),
        at(
            "get",
            "/scopes/{scope}/policies",
            "listPolicies",
            "The versions of a policy set, the latest first",
            h::versions,
        )
        .asks::<Page>()
        .lists::<b::VersionReply>(),
        at("post", "/scopes/{scope}/policies", "draftPolicies", "Saves a draft", h::draft)
            .takes::<b::NewDraft>()
            .gives::<b::VersionReply>(201)
            .seen(false),
        at("get", "/scopes/{scope}/policies/{number}", "policies", "A version", h::version)
            .gives::<b::VersionReply>(200),
        at(
            "post",
            "/scopes/{scope}/policies/{number}/validate",
            "validatePolicies",
            "Checks a version and says what is worth a look",
            h::validate,
        )
        .gives::<b::ReviewReply>(200),
        at(
            "post",
            "/scopes/{scope}/policies/{number}/activate",
            "activatePolicies",
            "Lets a version decide; an older one is a rollback",
            h::activate,
        )
        .gives::<b::ActivationReply>(200)
        .seen(true),
        at(
            "get",
            "/scopes/{scope}/effective",
            "effectivePolicies",
            "What decides now, baseline included, as Cedar",
            h::effective,
        )
        .gives_all::<b::EffectiveReply>(),
        at("get", "/scopes/{scope}/manifest", "manifest", "What there is to write rules about", h::manifest)
            .gives::<Value>(200),
        at(
            "get",
            "/scopes/{scope}/manifests",
            "listManifests",
            "The manifests of a scope's applications, the earliest first",
            h::manifests,
        )
        .asks::<Page>()
        .lists::<Value>(),
        at(
            "post",
            "/scopes/{scope}/manifests",
            "registerManifest",
            "Registers what a program declares; that it is refused is an answer",
            h::register_manifest,
        )
        .takes::<b::NewManifest>()
        .gives::<Outcome>(200),
        at(
            "get",
            "/scopes/{scope}/manifests/{hash}",
            "registeredManifest",
            "A manifest, and what moved since the one that was accepted before it",
            h::manifest_of,
        )
        .gives::<Value>(200),
        at(
            "post",
            "/scopes/{scope}/manifests/prune",
            "pruneManifests",
            "Removes manifests of programs that are long gone and that no active rule needs",
            h::prune_manifests,
        )
        .gives::<Value>(200),
        at(
            "post",
            "/scopes/{scope}/manifests/{hash}/accept",
            "acceptManifest",
            "Opens what a flagged manifest has closed",
            h::accept_manifest,
        )
        .gives::<Value>(200),
        at(
            "get",
            "/scopes/{scope}/bundle",
            "takeSets",
            "The sets that decide for an application, signed, for a server without the database",
            h::bundle,
        )
        .asks::<b::BundleAsked>()
        .gives::<Value>(200),
        at("get", "/scopes/{scope}/audit", "listRecords", "Records of decisions, sign-ins and changes", h::records)
            .asks::<b::RecordsAsked>()
            .lists::<Value>(),
        at(
            "get",
            "/scopes/{scope}/audit/export",
            "exportRecords",
            "The same as JSON lines; go on with `after`",
            h::export,
        )
        .asks::<b::RecordsAsked>()
        .lines(),
        at(
            "get",
            "/scopes/{scope}/audit/counts",
            "countDecisions",
            "Decisions by action, caller and outcome",
            h::counts,
        )
        .asks::<b::RecordsAsked>()
        .gives_all::<b::CountReply>(),
        at(
            "get",
            "/scopes/{scope}/audit/anchor",
            "anchorRecords",
            "The signed end of the chain, to be kept elsewhere",
            h::anchor,
        )
        .gives::<Value>(200),
        at(
            "post",
            "/scopes/{scope}/audit/verify",
            "verifyRecords",
            "Follows the chain, through an anchor if one is sent",
            h::verify,
        )
        .takes::<Value>()
        .gives::<b::VerifiedReply>(200),
    ]);
    all
}

/// What tries and explains.
fn tried() -> Vec<Endpoint<Api>> {
    vec![
        at(
            "post",
            "/scopes/{scope}/policies/{number}/shadow",
            "shadowPolicies",
            "Asks a draft beside the active set, and only counts",
            t::shadow,
        )
        .gives::<t::ShadowReply>(201),
        at("get", "/scopes/{scope}/shadow", "shadowed", "What the draft in shadow would turn", t::shadowed)
            .gives::<t::ShadowReply>(200),
        at("delete", "/scopes/{scope}/shadow", "endShadow", "Asks the draft no more", t::end_shadow),
        at(
            "get",
            "/scopes/{scope}/policies/{number}/dry-run",
            "dryRun",
            "Which recorded decisions a draft would turn, by rule and caller",
            t::dry_run,
        )
        .asks::<t::Replay>()
        .gives::<t::DryRunReply>(200),
        at(
            "get",
            "/scopes/{scope}/policies/{number}/difference",
            "difference",
            "How a version differs from another, in words",
            t::difference,
        )
        .asks::<t::Compared>()
        .gives::<t::DifferenceReply>(200),
        at("post", "/scopes/{scope}/explain", "explain", "Decides a supposed request, and says why", t::explain)
            .takes::<t::SupposedRequest>()
            .gives::<t::ExplanationReply>(200),
        at(
            "get",
            "/scopes/{scope}/decisions/{decision}",
            "explainDecision",
            "Why a recorded decision was made, and the nearest change that opens it",
            t::explain_decision,
        )
        .gives::<t::ExplainedReply>(200),
        at("get", "/scopes/{scope}/users/{user}/may", "mayDo", "What a user may do in the scope", t::may)
            .lists::<t::MayReply>(),
        at("get", "/scopes/{scope}/who", "whoMay", "Who may do something in the scope", t::who)
            .asks::<t::Sought>()
            .lists::<t::WhoReply>(),
    ]
}

/// What a person may ask for, and what ends with them.
fn of_people() -> Vec<Endpoint<Api>> {
    vec![
        at(
            "get",
            "/scopes/{scope}/users/{user}/export",
            "exportUser",
            "Everything stored about a user",
            e::export_user,
        )
        .gives::<e::Exported>(200),
        at(
            "post",
            "/scopes/{scope}/users/{user}/erase",
            "eraseUser",
            "Removes a user, and their details from the audit",
            e::erase_user,
        )
        .gives::<b::Removed>(200),
        at("get", "/scopes/{scope}/users/{user}/sessions", "listSessions", "The sessions of a user", e::sessions)
            .gives_all::<e::SessionReply>(),
        at("delete", "/scopes/{scope}/users/{user}/sessions", "endSessions", "Signs a user out everywhere", e::end_all)
            .gives::<b::Removed>(200),
        at(
            "delete",
            "/scopes/{scope}/users/{user}/sessions/{session}",
            "endSession",
            "Ends a session of a user",
            e::end_session,
        ),
        at(
            "get",
            "/scopes/{scope}/shared-sessions",
            "sharedSessions",
            "The applications in which sessions of one another count",
            e::shared_sessions,
        )
        .gives::<e::SharedSessions>(200),
        at(
            "put",
            "/scopes/{scope}/shared-sessions",
            "shareSessions",
            "Says in which applications of an organization sessions of one another count",
            e::share_sessions,
        )
        .takes::<e::SharedSessions>(),
        at(
            "get",
            "/scopes/{scope}/sign-in-rules",
            "signInRules",
            "What administrators have said of registration and second factors",
            e::sign_in_rules,
        )
        .gives::<e::Rules>(200),
        at(
            "put",
            "/scopes/{scope}/sign-in-rules",
            "setSignInRules",
            "Says who registers, and who needs a second factor beside those of whom it is said elsewhere",
            e::set_sign_in_rules,
        )
        .takes::<e::Rules>(),
        at(
            "get",
            "/scopes/{scope}/required-audit",
            "requiredAudit",
            "The actions of which administrators said that each decision is recorded before anything is done",
            r::required_audit,
        )
        .gives::<r::RequiredAudit>(200),
        at(
            "put",
            "/scopes/{scope}/required-audit",
            "requireAudit",
            "Says of which actions each decision is recorded before anything is done, beside those that declare it",
            r::require_audit,
        )
        .takes::<r::RequiredAudit>(),
    ]
}

/// Providers, and who is connected.
fn provided() -> Vec<Endpoint<Api>> {
    vec![
        at("get", "/scopes/{scope}/providers", "listProviders", "The providers that a scope owns", p::providers)
            .asks::<Page>()
            .lists::<p::ProviderReply>(),
        at(
            "put",
            "/scopes/{scope}/providers/{provider}",
            "putProvider",
            "Makes or changes a provider; its secret is never shown",
            p::put_provider,
        )
        .takes::<p::NewProvider>()
        .gives::<p::ProviderReply>(200),
        at(
            "delete",
            "/scopes/{scope}/providers/{provider}",
            "removeProvider",
            "Removes a provider",
            p::remove_provider,
        ),
        at(
            "put",
            "/scopes/{scope}/providers/{provider}/shares/{with}",
            "shareProvider",
            "Lets another scope of the organization use a provider",
            p::share_provider,
        ),
        at(
            "delete",
            "/scopes/{scope}/providers/{provider}/shares/{with}",
            "unshareProvider",
            "Lets it use the provider no more",
            p::unshare_provider,
        ),
        at("put", "/scopes/{scope}/uses/{provider}", "useProvider", "Lets a scope use a provider", p::use_provider)
            .takes::<p::NewUse>(),
        at(
            "delete",
            "/scopes/{scope}/uses/{provider}",
            "leaveProvider",
            "Lets a scope use a provider no more",
            p::leave_provider,
        ),
        at(
            "get",
            "/scopes/{scope}/connections",
            "listConnections",
            "Who is connected to this server now",
            p::connections,
        )
        .asks::<Page>()
        .lists::<p::ConnectionReply>(),
    ]
}
