//! What expansions may name; no promise to anyone else.

pub use policy_core::name::Tier;
pub use policy_core::source::Place;
pub use policy_core::{contract, decl, kind, shape, table, value};
pub use serde_json;

use policy_core::contract::AttributeValue;
use policy_core::kind::Described;
use policy_core::value::ValueRef;
use std::marker::PhantomData;

pub use crate::denied::Denied;
pub use crate::proxy::{Received, Sent, Values, decode_nothing, encode_all, values};
pub use crate::service::{Arguments, CallError, CallFuture, Invoke, Reply};

#[cfg(feature = "engine")]
pub use {
    crate::guard::{Guard, Opened, Permit},
    crate::proxy::in_context,
    crate::security::SecurityContext,
    crate::service::Service,
    inventory,
    policy_core::registry::{RegisteredAction, RegisteredService, RequiredPackage},
};

/// The result of a guarded function.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns `Result<_, E>` with `E: From<Denied>`, not `{Self}`",
    label = "a refusal has no way out of this function",
    note = "return a Result whose error type has `impl From<policy_runtime::Denied>`",
    note = "a policy on an impl holds for all its methods; a helper that needs none stands in an impl of its own"
)]
pub trait GuardedReturn {
    fn refused(denied: Denied) -> Self;
}

impl<T, E: From<Denied>> GuardedReturn for Result<T, E> {
    fn refused(denied: Denied) -> Self {
        Err(E::from(denied))
    }
}

/// Reads a value if its type has a kind, by autoref specialisation: `(&&Probe(&x)).read_or_absent()`.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

pub trait ViaKind<'a> {
    fn read_or_absent(&self) -> ValueRef<'a>;
}

impl<'a, T: AttributeValue + ?Sized> ViaKind<'a> for &Probe<'a, T> {
    fn read_or_absent(&self) -> ValueRef<'a> {
        self.0.read()
    }
}

pub trait ViaNothing {
    fn read_or_absent(&self) -> ValueRef<'static>;
}

impl<T: ?Sized> ViaNothing for Probe<'_, T> {
    fn read_or_absent(&self) -> ValueRef<'static> {
        ValueRef::Absent
    }
}

/// Describes a type if it has a kind: `(&&DescribeProbe::<T>::new()).describe()`.
#[derive(Debug)]
pub struct DescribeProbe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> DescribeProbe<T> {
    #[expect(clippy::new_without_default, reason = "only generated code makes it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

pub trait DescribeViaKind {
    fn describe(&self) -> Option<Described>;
}

impl<T: AttributeValue + ?Sized> DescribeViaKind for &DescribeProbe<T> {
    fn describe(&self) -> Option<Described> {
        Some(T::describe())
    }
}

pub trait DescribeViaNothing {
    fn describe(&self) -> Option<Described>;
}

impl<T: ?Sized> DescribeViaNothing for DescribeProbe<T> {
    fn describe(&self) -> Option<Described> {
        None
    }
}

macro_rules! root_shape {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[expect(non_snake_case, reason = "fields are named as rules name them")]
        pub struct $name {
            $(pub $field: contract::Of<$ty>),*
        }

        impl $name {
            pub const SHAPE: Self = Self { $($field: contract::Of::SHAPE),* };
            pub const FORM: &'static shape::Form = &shape::Form::Record(&[$(shape::FormField {
                name: stringify!($field),
                rust_name: stringify!($field),
                form: <$ty as AttributeValue>::FORM,
            }),*]);
        }
    };
}

root_shape! {
    /// The attributes that every participant has, for rustc.
    ParticipantShape {
        id: str,
        email: str,
        displayName: str,
        roles: Vec<String>,
        tier: Tier,
        organization: str,
        application: str,
        tenant: str,
        authType: str,
        mfa: bool,
        subject: str,
    }
}

root_shape! {
    /// The attributes that every context has, for rustc.
    ContextShape {
        time: value::Millis,
        ip: std::net::IpAddr,
        mfa: bool,
        connection: str,
        requestId: str,
    }
}

/// Turns a method's error into what the caller of a service is told: a refusal stays one, however it was wrapped.
#[cfg(feature = "engine")]
pub fn call_error<E: std::fmt::Display>(context: &SecurityContext, error: &E, inside: Option<&Denied>) -> CallError {
    match inside.cloned().or_else(|| context.refusal()) {
        Some(denied) => denied.into(),
        None => CallError::failed(error),
    }
}

/// Finds a refusal in an error or behind it: `(&&ErrorProbe(&e)).denied()`.
#[derive(Debug)]
pub struct ErrorProbe<'a, E: ?Sized>(pub &'a E);

pub trait DeniedInError<'a> {
    fn denied(&self) -> Option<&'a Denied>;
}

impl<'a, E: std::error::Error + 'static> DeniedInError<'a> for &ErrorProbe<'a, E> {
    fn denied(&self) -> Option<&'a Denied> {
        let mut next: Option<&'a (dyn std::error::Error + 'static)> = Some(self.0);
        while let Some(error) = next {
            if let Some(denied) = error.downcast_ref::<Denied>() {
                return Some(denied);
            }
            next = error.source();
        }
        None
    }
}

pub trait NoDeniedInError<'a> {
    fn denied(&self) -> Option<&'a Denied>;
}

impl<'a, E: ?Sized> NoDeniedInError<'a> for ErrorProbe<'a, E> {
    fn denied(&self) -> Option<&'a Denied> {
        None
    }
}

/// Registers a declaration at link time; nothing without the engine.
#[doc(hidden)]
#[cfg(feature = "engine")]
#[macro_export]
macro_rules! __register {
    (action $declaration:expr) => {
        $crate::__private::inventory::submit! { $crate::__private::RegisteredAction($declaration) }
    };
    (service $declaration:expr) => {
        $crate::__private::inventory::submit! { $crate::__private::RegisteredService($declaration) }
    };
}

#[doc(hidden)]
#[cfg(not(feature = "engine"))]
#[macro_export]
macro_rules! __register {
    ($($ignored:tt)*) => {};
}

/// Passes its tokens through where there is an engine.
#[doc(hidden)]
#[cfg(feature = "engine")]
#[macro_export]
macro_rules! __engine {
    ($($tokens:tt)*) => { $($tokens)* };
}

#[doc(hidden)]
#[cfg(not(feature = "engine"))]
#[macro_export]
macro_rules! __engine {
    ($($tokens:tt)*) => {};
}

pub use crate::{__engine as engine, __register as register};
