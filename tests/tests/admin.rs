//! Administration in Rust: who may do what, what nobody can give, and what cannot be locked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use policy_core::platform::{ORGANIZATION_ACTIONS, SYSTEM_ACTIONS};
use policy_runtime::admin::{Admin, AdminError, MemberChange, NewKey, NewMember};
use policy_runtime::audit::journal::{Filter, Journal};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{
    ProviderSettings, ReferenceSettings, Registering, Registration, SignInRules, SqlStore, User,
};
use policy_runtime::secret::Secret;
use policy_runtime::sets::PolicySets;
use policy_runtime::{Baseline, Code, Participant, Policy, Scope, SecurityContext, SetSource};

struct Stand {
    policy: Policy,
    admin: Admin,
    acme: Scope,
    shop: Scope,
    owner: User,
}

async fn stand() -> Stand {
    let policy = Policy::for_application("served").unwrap();
    let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
    let (store, sets) = (SqlStore::new(database.clone()), PolicySets::new(database));
    let journal = Journal::in_memory().start().unwrap();
    let admin = Admin::new(&policy, Arc::new(store), sets, Arc::new(journal));
    let operator = context(&policy, Scope::System, "op", "operator");
    let owner = admin.create_organization(&operator, "acme", NewMember::new("ann@acme.example")).await.unwrap();
    admin.create_organization(&operator, "globex", NewMember::new("gus@globex.example")).await.unwrap();
    let acme = Scope::organization("acme").unwrap();
    let shop = Scope::application("acme", "shop").unwrap();
    let stand = Stand { policy, admin, acme, shop, owner };
    stand.admin.create_application(&stand.owner(), &stand.acme, "shop").await.unwrap();
    stand
}

fn context(policy: &Policy, scope: Scope, id: &str, role: &str) -> SecurityContext {
    SecurityContext::new(policy, Participant::builder(scope, id).role(role).build().into())
}

impl Stand {
    fn owner(&self) -> SecurityContext {
        SecurityContext::new(&self.policy, self.owner.participant().build().into())
    }

    fn member(&self, role: &str) -> SecurityContext {
        context(&self.policy, self.acme.clone(), &format!("u-{role}"), role)
    }

    async fn active(&self, cx: &SecurityContext, scope: &Scope, source: &SetSource) -> Result<i64, AdminError> {
        let (_, expected) = self.admin.versions(&self.owner(), scope).await?;
        let number = self.admin.draft(cx, scope, source, "a test", Some(expected)).await?;
        self.admin.validate(cx, scope, number).await?;
        Ok(self.admin.activate(cx, scope, number, expected).await?.version)
    }
}

fn rule(text: &str) -> SetSource {
    SetSource { rules: vec![("r".into(), text.into())], ..SetSource::default() }
}

fn cedar(text: &str) -> SetSource {
    SetSource { cedar: vec![("own.cedar".into(), text.into())], ..SetSource::default() }
}

fn role(name: &str) -> MemberChange {
    MemberChange { add_roles: [name.to_owned()].into(), ..MemberChange::default() }
}

/// `yes`, `no`, or `-` where the caller learns nothing.
fn told<T>(answer: &Result<T, AdminError>) -> &'static str {
    match answer {
        Ok(_) => "yes",
        Err(AdminError::Missing { what: "organization" | "application" | "scope", .. }) => "-",
        Err(error) if error.code() == Code::AccessDenied => "no",
        Err(_) => "other",
    }
}

#[tokio::test]
async fn who_may_do_what_with_the_shipped_baselines() {
    let Stand { policy, admin, acme, .. } = &stand().await;
    let mut table = Vec::new();
    for (scope, role) in [
        (Scope::System, "administrator"),
        (Scope::System, "operator"),
        (Scope::System, "support"),
        (Scope::System, "auditor"),
        (acme.clone(), "owner"),
        (acme.clone(), "admin"),
        (acme.clone(), "developer"),
        (acme.clone(), "auditor"),
        (acme.clone(), "member"),
        (Scope::organization("globex").unwrap(), "owner"),
        (Scope::application("acme", "shop").unwrap(), "owner"),
    ] {
        let cx = &context(policy, scope.clone(), &format!("x-{role}"), role);
        let mail = |at: &str| NewMember::new(&format!("{role}-{}@{at}.example", scope.tier()));
        let app = format!("app-{role}-{}-{}", scope.tier(), scope.organization_id().map_or("sys", |id| id.as_str()));
        let row = [
            told(&admin.create_organization(cx, &format!("o-{app}"), mail("new")).await),
            told(&admin.suspend_organization(cx, "globex", false).await),
            told(&admin.retain_records(cx, &Scope::System, 0).await),
            told(&admin.set_methods(cx, &Scope::System, None).await),
            told(&admin.set_methods(cx, acme, None).await),
            told(&admin.create_application(cx, acme, &app).await),
            told(&admin.users(cx, acme).await),
            told(&admin.add_user(cx, acme, mail("acme").role("member")).await),
            told(&admin.keys(cx, acme).await),
            told(&admin.create_key(cx, acme, NewKey::default()).await),
            told(&admin.versions(cx, acme).await),
            told(&admin.draft(cx, acme, &SetSource::default(), "", None).await),
            told(&admin.records(cx, acme, Filter::default()).await),
            told(&admin.verify_records(cx, acme, None).await),
            told(&admin.counts(cx, acme, Filter::default()).await),
        ];
        table.push(format!(
            "{:<14}{:<15}{}",
            scope.to_string(),
            role,
            row.map(|cell| format!("{cell:<4}")).concat().trim_end()
        ));
    }
    let expected = "\
sys           administrator  yes yes yes yes no  no  no  no  no  no  no  no  no  no  yes
sys           operator       yes yes yes no  no  no  no  no  no  no  no  no  no  no  yes
sys           support        no  no  no  no  -   -   -   -   -   -   -   -   -   -   -
sys           auditor        no  no  no  no  -   -   -   -   -   -   -   -   -   -   -
org:acme      owner          -   -   -   -   yes yes yes yes yes yes yes yes yes yes yes
org:acme      admin          -   -   -   -   yes yes yes yes yes yes yes yes yes yes yes
org:acme      developer      -   -   -   -   no  yes yes no  no  no  yes yes no  no  yes
org:acme      auditor        -   -   -   -   no  no  yes no  yes no  yes no  yes yes yes
org:acme      member         -   -   -   -   no  no  yes no  no  no  yes no  no  no  no
org:globex    owner          -   -   -   -   -   -   -   -   -   -   -   -   -   -   -
app:acme/shop owner          -   -   -   -   -   -   -   -   -   -   -   -   -   -   -";
    assert_eq!(table.join("\n"), expected);
}

#[tokio::test]
async fn an_admin_of_one_organization_learns_nothing_of_another() {
    let stand = stand().await;
    let (admin, owner) = (&stand.admin, &stand.owner());
    let (there, nowhere) = (Scope::organization("globex").unwrap(), Scope::organization("nowhere").unwrap());
    let say = |error: AdminError| format!("{:?} {error}", error.code()).replace("globex", "X").replace("nowhere", "X");
    for (one, other) in [
        (admin.users(owner, &there).await.map(drop), admin.users(owner, &nowhere).await.map(drop)),
        (admin.applications(owner, &there).await.map(drop), admin.applications(owner, &nowhere).await.map(drop)),
        (admin.versions(owner, &there).await.map(drop), admin.versions(owner, &nowhere).await.map(drop)),
        (admin.activate(owner, &there, 1, 0).await.map(drop), admin.activate(owner, &nowhere, 1, 0).await.map(drop)),
        (
            admin.records(owner, &there, Filter::default()).await.map(drop),
            admin.records(owner, &nowhere, Filter::default()).await.map(drop),
        ),
    ] {
        assert_eq!(say(one.unwrap_err()), say(other.unwrap_err()));
    }
    // An id of there is none of here, and the same as one of nowhere.
    let gus = context(&stand.policy, there.clone(), "gus", "owner");
    let theirs = admin.users(&gus, &there).await.unwrap().remove(0).id;
    for id in [theirs.as_str(), "u_nobody"] {
        let gone = |error: AdminError| error.to_string() == format!("there is no user `{id}`");
        assert!(gone(admin.user(owner, &stand.acme, id).await.unwrap_err()));
        assert!(gone(admin.change_user(owner, &stand.acme, id, role("member")).await.unwrap_err()));
        assert!(gone(admin.remove_user(owner, &stand.acme, id).await.unwrap_err()));
        assert!(gone(admin.invite(owner, &stand.acme, id).await.unwrap_err()));
    }
    let (_, key) = admin.create_key(&gus, &there, NewKey::default()).await.unwrap();
    for id in [key.id.as_str(), "nothing"] {
        let error = admin.revoke_key(owner, &stand.acme, id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("there is no key `{id}`"));
    }
    assert_eq!(admin.organizations(owner).await.unwrap().len(), 1, "only its own");
    // Who asked is in its own records, and nothing is in those of the other.
    let own = admin.records(owner, &stand.acme, Filter::default()).await.unwrap();
    assert!(own.iter().any(|record| record.outcome == "deny"));
    let others = admin.records(&gus, &there, Filter::default()).await.unwrap();
    assert!(others.iter().all(|record| record.actor.starts_with("org:globex/")), "{others:?}");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let stand = stand().await;
    let (admin, acme, boss) = (&stand.admin, &stand.acme, &stand.owner());
    let limited = &stand.member("admin");
    let beyond = |error: AdminError| matches!(&error, AdminError::Beyond(told) if told.contains("policies.own"));
    assert!(beyond(admin.add_user(limited, acme, NewMember::new("x@acme.example").role("owner")).await.unwrap_err()));
    let own = NewKey { roles: ["owner".to_owned()].into(), ..NewKey::default() };
    assert!(beyond(admin.create_key(limited, acme, own.clone()).await.unwrap_err()));
    let bob = admin.add_user(limited, acme, NewMember::new("bob@acme.example").role("admin")).await.unwrap();
    assert!(beyond(admin.change_user(limited, acme, &bob.id, role("owner")).await.unwrap_err()));
    // Nor does it take over, lock out or remove who has more.
    let ann = &stand.owner.id;
    let password = Some(Secret::new("a quite long pass phrase".to_owned()));
    let taken = MemberChange { password, ..MemberChange::default() };
    let off = MemberChange { enabled: Some(false), ..MemberChange::default() };
    assert!(beyond(admin.change_user(limited, acme, ann, taken.clone()).await.unwrap_err()));
    assert!(beyond(admin.change_user(limited, acme, ann, off).await.unwrap_err()));
    assert!(beyond(admin.remove_user(limited, acme, ann).await.unwrap_err()));
    assert!(beyond(admin.invite(limited, acme, ann).await.unwrap_err()));
    let (_, key) = admin.create_key(boss, acme, own).await.unwrap();
    assert!(beyond(admin.revoke_key(limited, acme, &key.id).await.unwrap_err()));
    // A permit that opens administration is the owner's to give, whenever it would come true.
    for text in [
        r#"@id("x") permit (principal, action == Platform::Action::"policies.own", resource) when { principal.id == "u-admin" };"#,
        r#"@id("x") permit (principal, action, resource is Platform::Organization) when { context.time > datetime("2100-01-01") };"#,
        r#"@id("x") permit (principal, action in Platform::Action::"members", resource) when { principal.mfa };"#,
    ] {
        assert_eq!(told(&stand.active(limited, acme, &cedar(text)).await), "no", "{text}");
    }
    assert_eq!(
        told(
            &stand
                .active(
                    limited,
                    acme,
                    &SetSource { baseline: Baseline::Replaced, ..rule("permit Platform.policies.*") }
                )
                .await
        ),
        "no"
    );
    // What only forbids is an admin's to add, and the owner's to take away where it is about administration.
    let careful = rule("forbid Platform.policies.activate when participant.roles contains 'developer'");
    let restricting = stand.active(limited, acme, &careful).await.unwrap();
    assert_eq!(told(&admin.activate(limited, acme, restricting, restricting).await), "yes");
    assert_eq!(told(&stand.active(limited, acme, &SetSource::default()).await), "no", "it would free developers");
    assert_eq!(told(&stand.active(boss, acme, &SetSource::default()).await), "yes");
    // Attributes that are built in stay what they are.
    let named = NewMember::new("y@acme.example").attribute("roles", policy_runtime::value::Value::text("owner"));
    assert!(matches!(admin.add_user(boss, acme, named).await, Err(AdminError::Invalid(_))));
    // The owner may do all of it.
    assert_eq!(told(&admin.change_user(boss, acme, &bob.id, role("owner")).await), "yes");
    assert_eq!(told(&admin.change_user(boss, acme, &bob.id, taken).await), "yes");
}

#[tokio::test]
async fn the_last_owner_cannot_lock_the_organization_out() {
    let stand = stand().await;
    let (admin, acme, boss, ann) = (&stand.admin, &stand.acme, &stand.owner(), &stand.owner.id);
    let locked = |error: AdminError| matches!(error, AdminError::LockedOut(_));
    let fewer = MemberChange { remove_roles: ["owner".to_owned()].into(), ..MemberChange::default() };
    let off = MemberChange { enabled: Some(false), ..MemberChange::default() };
    assert!(locked(admin.remove_user(boss, acme, ann).await.unwrap_err()));
    assert!(locked(admin.change_user(boss, acme, ann, fewer.clone()).await.unwrap_err()));
    assert!(locked(admin.change_user(boss, acme, ann, off).await.unwrap_err()));
    let empty = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
    assert!(locked(stand.active(boss, acme, &empty).await.unwrap_err()));
    assert!(locked(stand.active(boss, acme, &rule("forbid Platform.policies.activate")).await.unwrap_err()));
    assert_eq!(admin.versions(boss, acme).await.unwrap().1, 0, "nothing has changed");
    let second = admin.add_user(boss, acme, NewMember::new("zoe@acme.example").role("owner")).await.unwrap();
    assert_eq!(told(&admin.change_user(boss, acme, ann, fewer).await), "yes");
    let zoe = SecurityContext::new(&stand.policy, second.participant().build().into());
    assert!(locked(admin.remove_user(&zoe, acme, &second.id).await.unwrap_err()), "now she is the last");
}

#[tokio::test]
async fn no_method_or_provider_is_taken_away_without_which_no_owner_signs_in() {
    let stand = stand().await;
    let (admin, acme, boss) = (&stand.admin, &stand.acme, &stand.owner());
    let locked = |done: Result<(), AdminError>| matches!(done, Err(AdminError::LockedOut(_)));
    let password = Some(Secret::new("a quite long pass phrase".to_owned()));
    admin.change_user(boss, acme, &stand.owner.id, MemberChange { password, ..MemberChange::default() }).await.unwrap();
    let on = |method: &str| Some([method.to_owned()].into());
    assert!(locked(admin.set_methods(boss, acme, on("token").as_ref()).await));
    assert!(locked(admin.set_methods(boss, acme, on("pasword").as_ref()).await));
    assert!(locked(admin.set_methods(boss, acme, Some(&[].into())).await));
    admin.set_methods(boss, &stand.shop, Some(&[].into())).await.unwrap(); // An application may be retired.
    admin.set_methods(boss, acme, on("password").as_ref()).await.unwrap();
    let settings = ProviderSettings::of("oidc").issuer("https://idp.example").audience("desk").client("ours");
    let made = admin.put_provider(boss, acme, "idp", settings, None, None).await.unwrap();
    admin.use_provider(boss, acme, &made.name, ReferenceSettings::default()).await.unwrap();
    admin.set_methods(boss, acme, on("token").as_ref()).await.unwrap();
    assert!(locked(admin.leave_provider(boss, acme, &made.name).await));
    assert!(locked(admin.remove_provider(boss, acme, "idp").await));
    admin.set_methods(boss, acme, None).await.unwrap();
    admin.leave_provider(boss, acme, &made.name).await.unwrap();
}

#[tokio::test]
async fn who_could_not_undo_it_is_told_and_a_rollback_is_an_older_version() {
    let stand = stand().await;
    let (admin, acme) = (&stand.admin, &stand.acme);
    let limited = &stand.member("admin");
    let source = rule("forbid Platform.policies.activate when participant.roles contains 'admin'");
    let number = admin.draft(limited, acme, &source, "only owners", None).await.unwrap();
    let review = admin.validate(limited, acme, number).await.unwrap();
    assert!(review.warnings.iter().any(|warning| warning.message.starts_with("you could not undo this")));
    let done = admin.activate(limited, acme, number, 0).await.unwrap();
    assert!(done.warnings.iter().any(|warning| warning.message.starts_with("you could not undo this")));
    assert_eq!(told(&admin.activate(limited, acme, number, number).await), "no", "as it was told");
    let plain = admin.draft(&stand.owner(), acme, &SetSource::default(), "as shipped", None).await.unwrap();
    admin.validate(&stand.owner(), acme, plain).await.unwrap();
    let stale = admin.activate(&stand.owner(), acme, plain, 0).await.unwrap_err();
    assert_eq!(stale.code(), Code::Conflict, "{stale}");
    let second = admin.activate(&stand.owner(), acme, plain, number).await.unwrap();
    let back = admin.activate(&stand.owner(), acme, number, plain).await.unwrap();
    assert!(back.revision > second.revision && back.revision.hash == done.revision.hash);
    assert!(
        admin.draft(&stand.owner(), acme, &source, "", Some(plain)).await.is_err(),
        "the draft's author saw another"
    );
    // In an application only forbids.
    let open = stand.active(&stand.owner(), &stand.shop, &rule("permit Platform.service.host")).await.unwrap_err();
    assert!(matches!(open, AdminError::Refused(_)), "{open}");
}

#[tokio::test]
async fn an_organization_without_an_owner_never_comes_to_be() {
    let Stand { policy, admin, .. } = &stand().await;
    let operator = context(policy, Scope::System, "op", "operator");
    for bad in [NewMember::new("no address"), NewMember::new("a@b.example").password(Secret::new("short".into()))] {
        let refused = admin.create_organization(&operator, "initech", bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::BadArguments, "{refused}");
    }
    let all = admin.organizations(&operator).await.unwrap();
    assert!(all.iter().all(|one| one.id.as_str() != "initech"), "{all:?}");
    admin.create_organization(&operator, "initech", NewMember::new("a@b.example")).await.unwrap();
}

#[tokio::test]
async fn every_change_is_recorded_with_actor_scope_and_request() {
    let stand = stand().await;
    let (admin, acme) = (&stand.admin, &stand.acme);
    let facts = policy_core::Facts { request_id: Some("r-17".into()), ..policy_core::Facts::default() };
    let cx = &stand.owner().with_facts(facts);
    admin.add_user(cx, acme, NewMember::new("bob@acme.example").role("developer")).await.unwrap();
    let again = admin.add_user(cx, acme, NewMember::new("bob@acme.example")).await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    let (secret, _) = admin.create_key(cx, &stand.shop, NewKey::default()).await.unwrap();
    let all = admin.records(cx, acme, Filter::default()).await.unwrap();
    let mine: Vec<String> = all
        .iter()
        .filter(|record| record.body.contains("r-17") && record.kind != "end")
        .map(|record| format!("{} {} {} {}", record.kind, record.actor, record.action, record.outcome))
        .collect();
    let actor = format!("org:acme/{}", stand.owner.id);
    let line = |outcome: &str| format!("change {actor} Platform.members.invite {outcome}");
    assert_eq!(mine, [line("allow"), line("allow"), line("deny")]);
    let of_shop = admin.records(cx, &stand.shop, Filter::default()).await.unwrap();
    assert_eq!(of_shop.first().map(|record| record.action.as_str()), Some("Platform.keys.create"));
    assert!(!format!("{all:?}{of_shop:?}").contains(secret.expose().as_str()));
    admin.verify_records(cx, acme, None).await.unwrap();
}

#[tokio::test]
async fn a_provider_is_shared_within_its_organization_by_whoever_may() {
    let stand = stand().await;
    let (admin, boss, shop) = (&stand.admin, &stand.owner(), &stand.shop);
    let billing = &admin.create_application(boss, &stand.acme, "billing").await.unwrap();
    let settings = serde_json::json!({ "preset": "oidc", "issuer": "https://id.example", "audience": ["shop"] });
    let settings = serde_json::from_value(settings).unwrap();
    let made = admin.put_provider(boss, shop, "customers", settings, None, None).await.unwrap();
    let uses = || serde_json::from_value(serde_json::json!({})).unwrap();
    assert_eq!(told(&admin.use_provider(boss, billing, &made.name, uses()).await), "other", "it is another's");
    // Precisely that right: an owner to whom it is forbidden may do everything else.
    stand.active(boss, &stand.acme, &rule("forbid Platform.providers.share")).await.unwrap();
    assert_eq!(told(&admin.share_provider(boss, shop, "customers", billing, true).await), "no");
    stand.active(boss, &stand.acme, &SetSource::default()).await.unwrap();
    admin.share_provider(boss, shop, "customers", billing, true).await.unwrap();
    let shown = || async { admin.providers(boss, shop).await.unwrap().remove(0).shared_with };
    assert_eq!(shown().await, [billing.clone()].into());
    admin.use_provider(boss, billing, &made.name, uses()).await.unwrap();
    // Of an organization that is there nobody learns more than of one that is not.
    let say = |name: &str| {
        let with = Scope::organization(name).unwrap();
        async move { admin.share_provider(boss, shop, "customers", &with, true).await.unwrap_err().to_string() }
    };
    assert_eq!(say("globex").await, say("nowhere").await);
    assert!(matches!(
        admin.share_provider(boss, &stand.acme, "customers", billing, true).await,
        Err(AdminError::Missing { what: "provider", .. })
    ));
    admin.share_provider(boss, shop, "customers", billing, false).await.unwrap();
    assert!(shown().await.is_empty());
    assert!(admin.leave_provider(boss, billing, &made.name).await.is_err(), "its use ended with that");
}

#[tokio::test]
async fn whoever_updates_an_application_sets_its_methods_and_not_the_organizations() {
    let stand = stand().await;
    let (admin, boss, developer) = (&stand.admin, &stand.owner(), &stand.member("developer"));
    let on = ["password".to_owned()].into();
    assert_eq!(told(&admin.set_methods(developer, &stand.shop, Some(&on)).await), "no");
    assert_eq!(told(&admin.set_methods(boss, &stand.shop, Some(&on)).await), "yes");
    stand.active(boss, &stand.acme, &rule("forbid Platform.applications.update")).await.unwrap();
    assert_eq!(told(&admin.set_methods(boss, &stand.shop, Some(&on)).await), "no");
    assert_eq!(told(&admin.set_methods(boss, &stand.acme, Some(&on)).await), "yes");
}

/// What needs an action in a scope.
async fn operation(stand: &Stand, cx: &SecurityContext, scope: &Scope, action: &str) -> &'static str {
    let Stand { admin, shop, owner, .. } = stand;
    let activated = async |source: SetSource| {
        let number = admin.draft(cx, scope, &source, "", None).await.unwrap();
        told(&admin.activate(cx, scope, number, 0).await)
    };
    match action {
        "createOrganization" => told(&admin.create_organization(cx, "new", NewMember::new("new@new.example")).await),
        "suspendOrganization" => told(&admin.suspend_organization(cx, "globex", true).await),
        "resumeOrganization" => told(&admin.suspend_organization(cx, "globex", false).await),
        "listOrganizations" => told(&admin.organizations(cx).await),
        "manageInfrastructure" => told(&admin.retain_records(cx, scope, 0).await),
        "viewInfrastructure" | "organization.view" => told(&admin.shared_sessions(cx, scope).await),
        "changePlatformSettings" | "organization.update" => told(&admin.set_methods(cx, scope, None).await),
        "manageOperators" | "members.list" => told(&admin.users(cx, scope).await),
        "removeOperatorSecondFactor" | "members.removeSecondFactor" => {
            told(&admin.remove_second_factor(cx, scope, "u-1").await)
        }
        "manageSystemProviders" | "providers.list" => told(&admin.providers(cx, scope).await),
        "manageSystemKeys" | "keys.list" => told(&admin.keys(cx, scope).await),
        "viewSystemPolicies" | "policies.list" => told(&admin.versions(cx, scope).await),
        "tryPolicies" | "policies.evaluate" => told(&admin.shadowed(cx, scope).await),
        "changeSystemPolicies" | "policies.draft" => {
            told(&admin.draft(cx, scope, &SetSource::default(), "", None).await)
        }
        "policies.activate" => activated(SetSource::default()).await,
        "ownSystemPolicies" | "policies.own" => {
            activated(SetSource { baseline: Baseline::Replaced, ..rule("permit Platform.policies.*") }).await
        }
        "viewSystemAudit" | "audit.view" => told(&admin.records(cx, scope, Filter::default()).await),
        "exportSystemAudit" | "audit.export" => told(&admin.export_records(cx, scope, Filter::default()).await),
        "viewSystemObservability" | "observability.view" => told(&admin.counts(cx, scope, Filter::default()).await),
        "audit.verify" => told(&admin.verify_records(cx, scope, None).await),
        "applications.list" => told(&admin.applications(cx, scope).await),
        "applications.create" => told(&admin.create_application(cx, scope, "another").await),
        "applications.update" => told(&admin.set_methods(cx, shop, None).await),
        "applications.accept" => told(&admin.accept_manifest(cx, shop, "none").await),
        "providers.configure" => told(&admin.leave_provider(cx, shop, "none").await),
        "providers.share" => told(&admin.share_provider(cx, scope, "none", shop, true).await),
        "providers.delete" => told(&admin.remove_provider(cx, scope, "none").await),
        "members.invite" => told(&admin.add_user(cx, scope, NewMember::new("new@acme.example")).await),
        "members.update" => told(&admin.export_user(cx, scope, &owner.id).await),
        "members.remove" => told(&admin.remove_user(cx, scope, "u-1").await),
        "members.assignRoles" => told(&admin.change_user(cx, scope, &owner.id, role("auditor")).await),
        "policies.explain" => told(&admin.explain_decision(cx, scope, "d-1").await),
        "policies.search" => told(&admin.who(cx, scope, "Platform.keys.list").await),
        "keys.create" => told(&admin.create_key(cx, scope, NewKey::default()).await),
        "keys.revoke" => told(&admin.revoke_key(cx, scope, "none").await),
        "connections.list" => told(&admin.connections(cx, scope).await),
        "connections.close" => told(&admin.end_sessions(cx, scope, &owner.id, None).await),
        _ => "guards no operation that is known here",
    }
}

#[tokio::test]
async fn each_action_guards_an_operation() {
    let of = |groups: &[(&'static str, &'static [&'static str])]| -> Vec<&'static str> {
        groups.iter().flat_map(|(_, actions)| *actions).copied().collect()
    };
    let acme = Scope::organization("acme").unwrap();
    let system = of(&SYSTEM_ACTIONS).into_iter().map(|action| (Scope::System, action));
    for (scope, action) in system.chain(of(&ORGANIZATION_ACTIONS).into_iter().map(|action| (acme.clone(), action))) {
        let mut answers = Vec::new();
        for forbidden in [false, true] {
            let stand = stand().await;
            let cx = &if scope == Scope::System {
                context(&stand.policy, Scope::System, "boss", "administrator")
            } else {
                stand.owner()
            };
            if forbidden {
                let text = format!("forbid (principal, action == Platform::Action::\"{action}\", resource);");
                stand.policy.replace(&Scope::System, &cedar(&text)).unwrap();
            }
            answers.push(operation(&stand, cx, &scope, action).await);
        }
        assert!(matches!(answers[..], ["yes" | "other", "no"]), "`{action}` of `{scope}`: {answers:?}");
    }
}

#[tokio::test]
async fn who_may_not_assign_roles_opens_no_registration() {
    let open = Registering::Open(Registration { roles: ["customer".to_owned()].into() });
    for (registration, forbidden, refused) in
        [(&open, false, false), (&open, true, true), (&Registering::Closed, true, false)]
    {
        let stand = stand().await;
        if forbidden {
            let text = "forbid (principal, action == Platform::Action::\"members.assignRoles\", resource);";
            stand.policy.replace(&Scope::System, &cedar(text)).unwrap();
        }
        let rules = SignInRules { registration: registration.clone(), ..SignInRules::default() };
        let told = told(&stand.admin.set_sign_in_rules(&stand.owner(), &stand.shop, &rules).await);
        assert_eq!(told == "no", refused, "{registration:?} {told}");
    }
}
