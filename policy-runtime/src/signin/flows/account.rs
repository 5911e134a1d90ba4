//! What users see and change of themselves, and how an address signs in.

use std::collections::BTreeMap;

use http::StatusCode;
use policy_core::Scope;
use policy_core::value::Value;

use super::{Flows, No, Whence, address, name, no};
use crate::identity::{Change, User};
use crate::signin::SignIn;

impl SignIn {
    /// Changes what users may change of themselves: their name, and the attributes that their scope lists.
    pub(in crate::signin) async fn change_profile(
        &self,
        flows: &Flows,
        from: &Whence,
        display_name: Option<&str>,
        attributes: BTreeMap<String, Option<String>>,
    ) -> Result<User, No> {
        let (user, _) = self.signed_in_user(from).await?;
        let own = flows.people.rules.get(&user.scope).map(|rules| &rules.own_attributes);
        let mut change = Change::default();
        if display_name.is_some() {
            change = change.display_name(name(display_name)?.as_deref());
        }
        for (attribute, value) in attributes {
            if !own.is_some_and(|own| own.contains(&attribute)) {
                return no(StatusCode::FORBIDDEN, "that attribute is not yours to change");
            }
            if value.as_ref().is_some_and(|value| value.len() > 1_000 || value.contains('\0')) {
                return no(StatusCode::BAD_REQUEST, "an attribute has 1000 bytes at most");
            }
            change = change.attribute(&attribute, value.as_deref().map(Value::text));
        }
        Ok(from.actor(&user).scope(flows.passwords.store().change_user(&user.id, &change)).await?)
    }

    /// Where an address signs in: by its domain alone, so that nobody learns whether it is somebody's.
    pub(in crate::signin) async fn looked_up(
        &self,
        flows: &Flows,
        scope: &Scope,
        email: &str,
    ) -> Result<Option<String>, No> {
        let email = address(email)?;
        let references = flows.passwords.store().references().await?;
        let of = references.into_iter().filter(|reference| reference.scope == *scope);
        let mut of = of.filter(|reference| reference.settings.provisioning.has_say(email.domain()));
        Ok(of.next().map(|reference| reference.configuration))
    }
}
