//! How somebody becomes a user: by registering, by founding an organization, by an invitation.

use http::StatusCode;
use policy_core::{Scope, Slug};
use sha2::{Digest as _, Sha256};

use super::{Flows, No, WRONG, Whence, address, bad_link, name, no, refused};
use crate::authn::token::{Offered, name_in_addresses};
use crate::authn::{Authenticated, Outcome};
use crate::credential::Credentials;
use crate::identity::link::{Founder, Link, Purpose};
use crate::identity::{ExternalIdentity, NewUser, StoreError, User, slug_of};
use crate::secret::Secret;
use crate::signin::SignIn;
use crate::signin::clients::digest;
use crate::signin::errands::Browser;

/// Somebody who has just become a user, and whether they are signed in with it.
pub(in crate::signin) struct Joined {
    pub(in crate::signin) user: User,
    pub(in crate::signin) signed_in: Result<Box<Authenticated>, No>,
    /// The question of a client that is gone on with.
    pub(in crate::signin) back: Option<String>,
}

pub(in crate::signin) fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn organization_id(name: &str) -> Result<Slug, No> {
    slug_of(name)
        .or_else(|_| no(StatusCode::BAD_REQUEST, "the organization needs a name with letters or digits, not too long"))
}

impl SignIn {
    /// Sends whoever has an address a letter with which they become a user, or which says that they are one.
    pub(in crate::signin) async fn register(
        &self,
        flows: &Flows,
        scope: Scope,
        email: &str,
        display_name: Option<&str>,
        back: Option<String>,
    ) -> Result<(), No> {
        if flows.registration(&scope).is_none() {
            return no(StatusCode::FORBIDDEN, "nobody registers here by themselves");
        }
        let (key, to) = (address(email)?, email.trim().to_owned());
        let known = self.inner.users.user_by_email(&scope, &key).await?;
        let display_name = name(display_name)?;
        let link = Link { purpose: Purpose::Register, scope, email: to.clone(), user: None, display_name, back };
        let text = |token: &Secret<String>| {
            if known.is_some() {
                // The link in the letter's row is told to nobody, and could make nobody: the address is taken.
                "Somebody, perhaps you, wanted to register with this address. It is registered already: sign in with it. If you \
                 have forgotten your password, ask for a new one where you sign in.\n"
                    .to_owned()
            } else {
                format!(
                    "Somebody, perhaps you, wants to register with this address. To go on, choose a password here:\n\n{}\n\n\
                     If it was not you, do nothing.\n",
                    self.page_of("register/complete", token)
                )
            }
        };
        // To the address as it is stored: the two may be compared as one, and be delivered apart.
        let to = known.as_ref().map_or(Some(to), |user| user.email.clone());
        self.post(flows, link, to, "Your registration", text).await
    }

    /// Makes the user whose address a link proves, with the password that they choose now.
    pub(in crate::signin) async fn complete_registration(
        &self,
        flows: &Flows,
        from: &Whence,
        token: &str,
        password: Secret<String>,
        display_name: Option<&str>,
    ) -> Result<Joined, No> {
        let Some(link) = self.link(Purpose::Register, token).await? else { return bad_link() };
        let Some(rules) = flows.registration(&link.scope) else { return bad_link() };
        let display_name = name(display_name)?.or_else(|| link.display_name.clone());
        let mut known = vec![link.email.as_str()];
        known.extend(display_name.as_deref());
        let hashed = self.hashed(flows, &link.scope, &password, &known).await?;
        let new = NewUser::new(link.scope.clone(), &link.email).password_hash(hashed);
        let new = rules.roles.iter().fold(new, |new, role| new.role(role));
        let new = display_name.iter().fold(new, |new, name| new.display_name(name));
        let now = self.inner.stored.clock.now();
        let made = self.inner.stored.sql.register_by_link(&digest(token), now, &new).await?;
        let Some(user) = made else { return bad_link() };
        self.tell("user.create", &user, from.actor(&user)).await;
        let signed_in = self.by_password(&user, &password, None, from).await;
        Ok(Joined { user, signed_in, back: link.back })
    }

    /// Sends whoever has an address a letter with which they found an organization.
    pub(in crate::signin) async fn sign_up(
        &self,
        flows: &Flows,
        email: &str,
        display_name: Option<&str>,
    ) -> Result<(), No> {
        if !flows.people.founding {
            return no(StatusCode::FORBIDDEN, "nobody founds an organization here by themselves");
        }
        address(email)?;
        let (to, display_name) = (email.trim().to_owned(), name(display_name)?);
        let scope = Scope::System;
        let link = Link { purpose: Purpose::Found, scope, email: to.clone(), user: None, display_name, back: None };
        let text = |token: &Secret<String>| {
            format!(
                "Somebody, perhaps you, wants to found an organization with this address. To go on, name it here:\n\n{}\n\n\
                 If it was not you, do nothing.\n",
                self.page_of("signup/complete", token)
            )
        };
        self.post(flows, link, Some(to), "Your organization", text).await
    }

    /// Makes an organization and its owner, whose address a link proves.
    pub(in crate::signin) async fn found(
        &self,
        flows: &Flows,
        from: &Whence,
        token: &str,
        organization: &str,
        password: Secret<String>,
    ) -> Result<Joined, No> {
        let link = self.link(Purpose::Found, token).await?;
        let Some(link) = link.filter(|_| flows.people.founding) else { return bad_link() };
        let id = organization_id(organization)?;
        let scope = Scope::Organization(id.clone());
        let mut known = vec![link.email.as_str(), organization];
        known.extend(link.display_name.as_deref());
        // Its own rules are still to come; until then those of System hold.
        let hashed = self.hashed(flows, &scope, &password, &known).await?;
        let owner = NewUser::new(scope, &link.email).role("owner").password_hash(hashed);
        let user = self.founded(from, (token, &link), &id, owner, None).await?;
        let signed_in = self.by_password(&user, &password, None, from).await;
        Ok(Joined { user, signed_in, back: None })
    }

    /// Makes an organization and its owner, whom a provider vouches for.
    pub(in crate::signin) async fn found_with(
        &self,
        flows: &Flows,
        from: &Whence,
        token: &str,
        organization: &str,
    ) -> Result<Joined, No> {
        let Some(link) = self.link(Purpose::FoundWith, token).await? else { return bad_link() };
        let founder = link.back.as_deref().and_then(|back| serde_json::from_str::<Founder>(back).ok());
        let providers = self.providers_to_found_with(flows);
        let browser = Browser::of(&from.headers).map(|browser| browser.hash());
        let counts = |founder: &Founder| {
            let provider = name_in_addresses(&founder.identity.configuration);
            browser.as_ref() == Some(&founder.browser) && providers.contains(&provider)
        };
        let Some(founder) = founder.filter(counts) else { return bad_link() };
        let id = organization_id(organization)?;
        let scope = Scope::Organization(id.clone());
        // Nobody could sign in to it.
        if !founder.mfa && self.second_factors.as_ref().is_some_and(|all| all.requires(&scope, &["owner"])) {
            return no(StatusCode::FORBIDDEN, "your provider must ask you for a second factor");
        }
        let owner = NewUser::new(scope, &link.email).role("owner");
        let user = self.founded(from, (token, &link), &id, owner, Some(&founder.identity)).await?;
        let signed_in = self.by_founder(&user, &founder, from).await;
        Ok(Joined { user, signed_in, back: None })
    }

    /// Makes the organization of a link.
    async fn founded(
        &self,
        from: &Whence,
        (token, link): (&str, &Link),
        id: &Slug,
        owner: NewUser,
        with: Option<&ExternalIdentity>,
    ) -> Result<User, No> {
        let owner = link.display_name.iter().fold(owner, |owner, name| owner.display_name(name));
        let now = self.inner.stored.clock.now();
        let user = match self.inner.stored.sql.found_by_link(&digest(token), now, id, &owner, with).await {
            Err(StoreError::Exists { .. }) => return no(StatusCode::CONFLICT, "there is an organization of that name"),
            made => made?,
        };
        let Some(user) = user else { return bad_link() };
        self.tell("organization.found", &user, from.actor(&user)).await;
        Ok(user)
    }

    /// Signs a founder in by what the provider has said of them.
    async fn by_founder(&self, user: &User, founder: &Founder, from: &Whence) -> Result<Box<Authenticated>, No> {
        let wrong = || No::Told(StatusCode::UNAUTHORIZED, WRONG.to_owned());
        let pages = self.pages.as_ref().ok_or_else(wrong)?;
        let credentials = Credentials::default()
            .in_scope(user.scope.clone())
            .from_peer(from.arrival.address)
            .at("POST", &from.path)
            .on(pages.listener.clone());
        let participant = user.participant().auth_type("oidc").subject(&founder.identity.subject).mfa(founder.mfa);
        let found = Authenticated::new(participant.build(), Offered::METHOD).epoch(user.epoch);
        let found = if founder.mfa { found.amr(["mfa"]) } else { found };
        let proved = async { Ok(found) };
        match Box::pin(self.inner.chain.vouched((&user.scope, Offered::METHOD), proved, &credentials)).await {
            Outcome::Authenticated(found) => Ok(found),
            Outcome::Rejected(error) => Err(refused(error)),
            Outcome::NotPresented => Err(wrong()),
        }
    }

    /// Whom an invitation is for.
    pub(in crate::signin) async fn invited(&self, token: &str) -> Result<User, No> {
        let found = self.inner.stored.sql.invited(&hash_of(token), self.inner.stored.clock.now()).await?;
        found.map_or_else(bad_link, Ok)
    }

    /// Gives an invited user the password that they choose.
    pub(in crate::signin) async fn accept(
        &self,
        flows: &Flows,
        from: &Whence,
        token: &str,
        password: Secret<String>,
        display_name: Option<&str>,
    ) -> Result<Joined, No> {
        let invited = self.invited(token).await?;
        let display_name = name(display_name)?;
        let mut known = invited.known();
        known.extend(display_name.as_deref());
        let hashed = self.hashed(flows, &invited.scope, &password, &known).await?;
        let now = self.inner.stored.clock.now();
        let store = &self.inner.stored.sql;
        let user = store.accept_by_password(&hash_of(token), now, &hashed, display_name.as_deref()).await?;
        let Some(user) = user else { return bad_link() };
        self.tell("user.accept", &user, from.actor(&user)).await;
        let signed_in = self.by_password(&user, &password, None, from).await;
        Ok(Joined { user, signed_in, back: None })
    }
}
