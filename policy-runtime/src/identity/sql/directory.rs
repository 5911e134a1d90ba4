//! What administrators change, in a database.

use std::collections::BTreeSet;

use policy_core::value::Millis;
use policy_core::{Scope, Slug};

use super::SqlStore;
use crate::identity::{
    ApiKeyRecord, Change, Changes, Configuration, Directory, ExternalIdentity, NewUser, Organization, PasswordRules,
    Reference, Stored, User,
};
use crate::secret::Secret;

impl Directory for SqlStore {
    fn add_organization<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        Box::pin(self.add_organization(id))
    }

    fn found_organization<'a>(&'a self, id: &'a str, founder: NewUser) -> Stored<'a, User> {
        Box::pin(async move { self.found_organization(id, &founder).await })
    }

    fn organizations(&self) -> Stored<'_, Vec<Organization>> {
        Box::pin(self.organizations())
    }

    fn set_suspended<'a>(&'a self, id: &'a str, suspended: bool) -> Stored<'a, ()> {
        Box::pin(self.set_suspended(id, suspended))
    }

    fn add_application<'a>(&'a self, organization: &'a str, id: &'a str) -> Stored<'a, ()> {
        Box::pin(self.add_application(organization, id))
    }

    fn applications<'a>(&'a self, organization: &'a str) -> Stored<'a, Vec<Slug>> {
        Box::pin(self.applications(organization))
    }

    fn scopes(&self) -> Stored<'_, Vec<Scope>> {
        Box::pin(self.scopes())
    }

    fn set_methods<'a>(&'a self, scope: &'a Scope, methods: Option<&'a BTreeSet<String>>) -> Stored<'a, ()> {
        Box::pin(self.set_methods(scope, methods))
    }

    fn methods(&self) -> Stored<'_, Vec<(Scope, BTreeSet<String>)>> {
        Box::pin(self.methods())
    }

    fn set_password_rules<'a>(&'a self, scope: &'a Scope, rules: Option<&'a PasswordRules>) -> Stored<'a, ()> {
        Box::pin(self.write_password_rules(scope, rules))
    }

    fn password_rules<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Option<PasswordRules>> {
        Box::pin(self.read_password_rules(scope))
    }

    fn add_user(&self, new: NewUser) -> Stored<'_, User> {
        Box::pin(self.insert_user(new))
    }

    fn personal<'a>(&'a self, id: &'a str) -> Stored<'a, serde_json::Map<String, serde_json::Value>> {
        Box::pin(self.personal_of(id))
    }

    fn users<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<User>> {
        Box::pin(self.users_of(scope))
    }

    fn change_user<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, User> {
        Box::pin(self.update_user(id, change))
    }

    fn change_user_and_password<'a>(
        &'a self,
        id: &'a str,
        change: &'a Change,
        hash: &'a Secret<String>,
    ) -> Stored<'a, User> {
        Box::pin(self.update_user_and_password(id, change, hash))
    }

    fn set_password<'a>(&'a self, id: &'a str, hash: Option<&'a Secret<String>>) -> Stored<'a, ()> {
        Box::pin(self.write_password(id, hash))
    }

    fn drop_user<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        Box::pin(self.delete_user(id))
    }

    fn invite<'a>(&'a self, user: &'a str, hash: &'a [u8; 32], until: Millis) -> Stored<'a, ()> {
        Box::pin(self.write_invitation(user, hash, until))
    }

    fn accept<'a>(
        &'a self,
        scope: &'a Scope,
        hash: &'a [u8; 32],
        identity: &'a ExternalIdentity,
        now: Millis,
    ) -> Stored<'a, Option<User>> {
        Box::pin(self.accept_invitation(scope, hash, identity, now))
    }

    fn add_key(&self, record: ApiKeyRecord) -> Stored<'_, ()> {
        Box::pin(self.insert_key(record))
    }

    fn keys<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<ApiKeyRecord>> {
        Box::pin(self.keys_of(scope))
    }

    fn change_key<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, ApiKeyRecord> {
        Box::pin(self.update_key(id, change))
    }

    fn drop_key<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        Box::pin(self.delete_key(id))
    }

    fn put_configuration<'a>(&'a self, configuration: &'a Configuration) -> Stored<'a, ()> {
        Box::pin(self.write_configuration(configuration))
    }

    fn configurations(&self) -> Stored<'_, Vec<Configuration>> {
        Box::pin(self.all_configurations())
    }

    fn drop_configuration<'a>(&'a self, name: &'a str) -> Stored<'a, ()> {
        Box::pin(self.delete_configuration(name))
    }

    fn share<'a>(&'a self, configuration: &'a str, scope: &'a Scope, shared: bool) -> Stored<'a, ()> {
        Box::pin(self.write_share(configuration, scope, shared))
    }

    fn put_reference<'a>(&'a self, reference: &'a Reference) -> Stored<'a, ()> {
        Box::pin(self.write_reference(reference))
    }

    fn references(&self) -> Stored<'_, Vec<Reference>> {
        Box::pin(self.all_references())
    }

    fn drop_reference<'a>(&'a self, configuration: &'a str, scope: &'a Scope) -> Stored<'a, ()> {
        Box::pin(self.delete_reference(configuration, scope))
    }

    fn use_once<'a>(&'a self, id: &'a str, until: Millis, now: Millis) -> Stored<'a, bool> {
        Box::pin(self.note_use(id, until, now))
    }

    fn offer_bootstrap<'a>(&'a self, hash: &'a [u8; 32], until: Millis) -> Stored<'a, bool> {
        Box::pin(self.write_bootstrap(hash, until))
    }

    fn bootstrap<'a>(&'a self, hash: &'a [u8; 32], operator: NewUser, now: Millis) -> Stored<'a, Option<User>> {
        Box::pin(async move { self.use_bootstrap(hash, &operator, now).await })
    }

    fn epoch(&self) -> Stored<'_, String> {
        Box::pin(self.read_epoch())
    }

    fn begin_epoch(&self) -> Stored<'_, String> {
        Box::pin(self.write_epoch())
    }

    fn changed_since(&self, number: Option<u64>) -> Stored<'_, Changes> {
        Box::pin(self.changed_since(number))
    }
}
