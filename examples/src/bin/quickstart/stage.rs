//! The stage: a gateway on a free port of this machine, its users, and clients that connect to it as anybody would.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use examples::orders::{Order, OrderError, OrderService, OrderServiceProxy};
use futures_util::StreamExt as _;
use policy_runtime::authn::Chain;
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::authn::token::Issuer;
use policy_runtime::client::{Client, ConnectError, ConnectOptions, Event, Headers};
use policy_runtime::clock::SystemClock;
use policy_runtime::gateway::{Gateway, Mount};
use policy_runtime::identity::{MemoryStore, NewUser, User};
use policy_runtime::secret::Secret;
use policy_runtime::service::CallError;
use policy_runtime::{Denied, Policy, Scope, SecurityContext};

use crate::http::{self, Answer};

/// Somebody who calls.
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) email: &'static str,
    role: &'static str,
    organization: &'static str,
    application: &'static str,
    sign_in: SignIn,
}

enum SignIn {
    /// Fixed headers: a password, no second factor.
    Password,
    /// An async closure that fetches a fresh token for every connection; its session used a second factor.
    Token,
}

const fn caller(
    name: &'static str,
    what: &'static str,
    email: &'static str,
    role: &'static str,
    sign_in: SignIn,
) -> Caller {
    Caller { name, what, email, role, organization: "acme", application: "orders", sign_in }
}

pub(crate) const ALICE: Caller = caller("alice", "finance, mfa", "alice@acme.example", "finance", SignIn::Token);
pub(crate) const BOB: Caller = caller("bob", "support", "bob@acme.example", "support", SignIn::Password);
pub(crate) const CAROL: Caller = caller("carol", "finance, no mfa", "carol@acme.example", "finance", SignIn::Password);
pub(crate) const DAVE: Caller = caller("dave", "finance, mfa", "dave@contractor.example", "finance", SignIn::Token);
pub(crate) const MALLORY: Caller = Caller {
    organization: "globex",
    application: "shop",
    ..caller("mallory", "of another org", "mallory@globex.example", "finance", SignIn::Password)
};
const EVERYBODY: [&Caller; 5] = [&ALICE, &BOB, &CAROL, &DAVE, &MALLORY];

/// The password of everybody in the demonstration.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The server and who is connected to it.
pub(crate) struct Stage {
    pub(crate) policy: Policy,
    pub(crate) gateway: Gateway,
    service: Arc<OrderService>,
    chain: Chain,
    issuer: Issuer,
    users: HashMap<&'static str, User>,
    clients: HashMap<&'static str, Client>,
    /// How often alice's closure was called.
    pub(crate) tokens: Arc<AtomicU32>,
}

impl Stage {
    /// Starts the gateway on an address; port 0 takes a free one.
    pub(crate) async fn start(address: &str) -> Result<Self> {
        let policy = Policy::builder().organization("acme").application("orders").also("globex", "shop").build()?;
        let store = Arc::new(MemoryStore::default());
        let mut users = HashMap::new();
        let hashed = hash(&Secret::new(PASSWORD.to_owned()))?;
        for who in EVERYBODY {
            store.create_organization(who.organization).ok();
            store.create_application(who.organization, who.application).ok();
            let scope = Scope::application(who.organization, who.application)?;
            let new =
                NewUser::new(scope, who.email).display_name(who.name).role(who.role).password_hash(hashed.clone());
            users.insert(who.name, store.create_user(new)?);
        }
        let clock = Arc::new(SystemClock);
        let issuer = Issuer::generate("http://localhost/quickstart", clock.clone(), store.clone())?;
        let chain = Chain::builder().with(PasswordAuthenticator::new(store, clock)).with(issuer.clone()).build();
        let service = Arc::new(OrderService::default());
        let mount = Mount::new(service.clone()).application("orders");
        let gateway = Gateway::builder(policy.clone(), chain.clone()).service(mount).bind(address).await?;
        Ok(Self { policy, gateway, service, chain, issuer, users, clients: HashMap::new(), tokens: Arc::default() })
    }

    fn options(&self) -> ConnectOptions {
        let soon = Duration::from_millis(20);
        ConnectOptions::new("127.0.0.1").port(self.gateway.local_addr().port()).retry(soon, soon)
    }

    async fn client(&mut self, who: &Caller) -> Result<Client> {
        if let Some(client) = self.clients.get(who.name) {
            return Ok(client.clone());
        }
        let options = match who.sign_in {
            SignIn::Password => self.options().connect_headers(
                Headers::basic(who.email, PASSWORD).for_application(who.organization, who.application),
            ),
            SignIn::Token => {
                let (issuer, tokens) = (self.issuer.clone(), Arc::clone(&self.tokens));
                let user = self.users.get(who.name).context("a user of the demonstration")?.clone();
                self.options().connect_headers(move || {
                    let (issuer, tokens, user) = (issuer.clone(), Arc::clone(&tokens), user.clone());
                    async move {
                        tokens.fetch_add(1, Ordering::Relaxed);
                        Ok(Headers::bearer(issuer.access_token(&user, &["pwd", "mfa"])?.expose()))
                    }
                })
            }
        };
        let client = Client::connect(options).await?;
        self.clients.insert(who.name, client.clone());
        Ok(client)
    }

    /// Calls the guarded method over the caller's own connection.
    pub(crate) async fn place(&mut self, who: &Caller, amount: i64) -> Result<Result<u64, CallError>> {
        let orders = OrderServiceProxy::new(Arc::new(self.client(who).await?));
        Ok(orders.place_order(Order { amount }).await.map(|receipt| receipt.number))
    }

    /// Calls the method as if the caller had got past the gateway: the guard stands in the method itself.
    pub(crate) async fn inside(&self, who: &Caller, amount: i64) -> Result<Denied> {
        let user = self.users.get(who.name).context("a user of the demonstration")?;
        let cx = SecurityContext::new(&self.policy, Arc::new(user.participant().build()));
        match cx.scope(self.service.place_order(Order { amount })).await {
            Ok(_) => anyhow::bail!("a foreigner was let in"),
            Err(OrderError::Denied(denied)) => Ok(denied),
        }
    }

    /// Connects with a wrong password.
    pub(crate) async fn intrude(&self) -> Result<ConnectError> {
        let headers = Headers::basic(ALICE.email, "password1").for_application("acme", "orders");
        match Client::connect(self.options().connect_headers(headers)).await {
            Ok(_) => anyhow::bail!("a wrong password was let in"),
            Err(refused) => Ok(refused),
        }
    }

    /// A token as the closure of a client fetches it.
    pub(crate) fn token(&self, who: &Caller) -> Result<String> {
        let user = self.users.get(who.name).context("a user of the demonstration")?;
        Ok(self.issuer.access_token(user, &["pwd", "mfa"])?.expose().clone())
    }

    /// Orders over plain HTTP, by password and by token.
    pub(crate) async fn over_http(&self) -> Result<Vec<Answer>> {
        let router = http::router(self.policy.clone(), self.chain.clone(), self.service.clone());
        let basic = STANDARD.encode(format!("{}:{PASSWORD}", CAROL.email));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let carol = [
            header("authorization", &format!("Basic {basic}")),
            header("organizationId", CAROL.organization),
            header("applicationId", CAROL.application),
        ];
        let alice = [header("authorization", &format!("Bearer {}", self.token(&ALICE)?))];
        Ok(vec![
            http::order(&router, "carol, by password", &carol, 4_200).await?,
            http::order(&router, "alice, by token", &alice, 4_200).await?,
            http::order(&router, "nobody", &[], 4_200).await?,
        ])
    }

    /// Cuts the caller's socket and waits until the client has come back by itself.
    pub(crate) async fn cut(&mut self, who: &Caller) -> Result<()> {
        let client = self.client(who).await?;
        let id = client.participant().context("connected")?.id;
        let mut events = client.events().skip_while(|event| std::future::ready(!matches!(event, Event::Lost { .. })));
        self.gateway.disconnect(&id);
        let back = async {
            while let Some(event) = events.next().await {
                if matches!(event, Event::Connected(_)) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), back).await.context("the client comes back")
    }

    /// Closes every connection, then the port.
    pub(crate) async fn end(self) {
        for client in self.clients.into_values() {
            client.close().await;
        }
        self.gateway.shutdown().await;
    }
}
