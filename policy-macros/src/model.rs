//! What is valid: made by `validate`, turned into code by `expand`.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Generics, Member, Path, Type};

use crate::attr::TierName;
use crate::path::Krate;
use crate::tokens::Rule;

/// One guarded function, method or entity operation.
pub(crate) struct Action {
    pub(crate) krate: Krate,
    /// The published namespace; `None` for the module's path.
    pub(crate) namespace: Option<String>,
    /// The id in the namespace.
    pub(crate) id: String,
    /// The function within its module, for the registry: `Orders::place`.
    pub(crate) function: String,
    /// The function's name, for places.
    pub(crate) at: Span,
    pub(crate) was: Vec<String>,
    pub(crate) tier: TierName,
    pub(crate) callers: Vec<TierName>,
    /// The parameter that names the organization, for callers of the System tier.
    pub(crate) organization: Option<u16>,
    pub(crate) must_audit: bool,
    pub(crate) participant: Option<Type>,
    pub(crate) resource: Resource,
    pub(crate) params: Vec<Param>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) authenticated: bool,
    /// In an implementation of a published trait: the trait's `(namespace, id, function)`.
    pub(crate) names: Option<TokenStream>,
}

/// What a request is about.
pub(crate) enum Resource {
    Scope,
    /// The service of this name.
    Service(String),
    /// The entity in a parameter: the parameter's wire name, its binding, the entity's type.
    Parameter(String, Ident, Type),
    /// A row of the type: `entity` is a root.
    Entity(Type),
}

/// A parameter, or a part of one, that has a name.
#[derive(Clone)]
pub(crate) struct Param {
    /// As policies and the wire spell it.
    pub(crate) wire: String,
    /// The binding.
    pub(crate) rust: Ident,
    /// Whether and how rules can read it.
    pub(crate) reads: Reads,
}

/// Whether and how rules can read a parameter.
#[derive(Clone)]
pub(crate) enum Reads {
    /// It has this type, all lifetimes `'static`.
    Value(Type),
    /// It is a borrowed slice of this type.
    Slice(Type),
    /// A mirror reads it, whose path this is; it has this type.
    Mirror(Path, Type),
    /// No rule can read it, and why.
    Not(&'static str),
}

/// What a rule can speak of.
pub(crate) struct Roots<'a> {
    pub(crate) params: &'a [Param],
    /// On an entity: its type.
    pub(crate) entity: Option<&'a Type>,
    /// The type that declares the participant's own attributes.
    pub(crate) participant: Option<&'a Type>,
}

impl Action {
    /// What its rules can speak of.
    pub(crate) fn roots(&self) -> Roots<'_> {
        let entity = match &self.resource {
            Resource::Entity(ty) => Some(ty),
            Resource::Scope | Resource::Service(_) | Resource::Parameter(..) => None,
        };
        Roots { params: &self.params, entity, participant: self.participant.as_ref() }
    }
}

/// A service that is callable by name.
pub(crate) struct Service {
    pub(crate) krate: Krate,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    /// Its name in the source, for places.
    pub(crate) at: Span,
    pub(crate) methods: Vec<Method>,
}

/// A method that is callable by name.
pub(crate) struct Method {
    /// `#[cfg(..)]` of the method, which hold for all that is made of it.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) ident: Ident,
    /// As the wire spells it.
    pub(crate) wire: String,
    /// The id of its action.
    pub(crate) action: String,
    pub(crate) arguments: Vec<Argument>,
    /// Whether what it returns is awaited.
    pub(crate) awaited: bool,
    pub(crate) reply: Reply,
}

/// A parameter of a method that is callable by name.
pub(crate) enum Argument {
    /// The caller's context, lent or given.
    Context { lent: bool },
    /// A value from the wire.
    Value(Box<Value>),
}

/// A value from the wire.
pub(crate) struct Value {
    /// As the wire spells it.
    pub(crate) wire: String,
    /// Its name in the proxy.
    pub(crate) rust: Ident,
    /// As the method takes it.
    pub(crate) ty: Type,
    /// As the proxy encodes it: without the `&` of what is lent.
    pub(crate) sent: Type,
    /// As it is decoded.
    pub(crate) decoded: Type,
    /// Whether it is decoded to be lent.
    pub(crate) lent: bool,
}

/// What a method answers with.
pub(crate) enum Reply {
    Nothing,
    Value(Type),
    /// Values in order, and whether each may be an error.
    Stream {
        item: Type,
        fallible: bool,
    },
}

/// A type that rules can read.
pub(crate) struct Readable {
    pub(crate) krate: Krate,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) form: Form,
    /// `remote = "path"`: the foreign type of which this one is the mirror.
    pub(crate) remote: Option<Type>,
}

/// What a type is made of.
pub(crate) enum Form {
    /// Named attributes.
    Record(Vec<AttributeField>),
    /// One value in a wrapper, which reads as the value does.
    Newtype(Box<Type>),
    /// Unit variants: Rust's names and serde's.
    Enum(Vec<(Ident, String)>),
}

/// One attribute of a record.
pub(crate) struct AttributeField {
    pub(crate) member: Member,
    /// As policies spell it.
    pub(crate) name: String,
    /// As Rust spells it.
    pub(crate) rust_name: String,
    pub(crate) ty: Type,
    /// Whether no log may show it.
    pub(crate) secret: bool,
    /// `with = Mirror`: what reads it.
    pub(crate) with: Option<Path>,
}

/// What an entity is beyond its attributes.
pub(crate) struct Identity {
    pub(crate) krate: Krate,
    pub(crate) ident: Ident,
    /// As rules and actions name it.
    pub(crate) name: String,
    /// `None` for the module's path.
    pub(crate) namespace: Option<String>,
    /// The field that is its id.
    pub(crate) id: Member,
    pub(crate) id_type: Type,
    pub(crate) actions: Vec<Action>,
    /// Where its rows are.
    pub(crate) table: Table,
}

/// Where the rows of an entity are.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The id, as rules spell it.
    pub(crate) id: String,
    /// The tenant's attribute, and the participant's that it equals.
    pub(crate) tenant: Option<(String, String)>,
    /// Attributes and their columns.
    pub(crate) columns: Vec<(String, String)>,
    /// Fields that no rule reads, as serde names them, and their columns.
    pub(crate) unread: Vec<(String, String)>,
    /// Attributes with rules of their own: the ids of the actions of reading and of changing them.
    pub(crate) fields: Vec<(String, Option<String>, Option<String>)>,
}
