//! What is asked, as it was sent: objects that have what the specification requires of them.

use crate::json::Json;

/// A request that is not answered with a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into() }
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self { status: 404, message: message.into() }
    }

    /// The log has why.
    pub(super) fn internal() -> Self {
        Self { status: 500, message: "the request cannot be decided now".to_owned() }
    }
}

/// A subject or a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) properties: Option<&'a Json>,
}

/// An action.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verb<'a> {
    pub(super) name: &'a str,
    pub(super) properties: Option<&'a Json>,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) subject: Named<'a>,
    pub(super) action: Verb<'a>,
    pub(super) resource: Named<'a>,
    pub(super) context: Option<&'a Json>,
}

/// The members of a request, with defaults under them: a member that is there replaces the whole default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Members<'a> {
    own: &'a Json,
    defaults: Option<&'a Json>,
}

impl<'a> Members<'a> {
    pub(super) fn of(own: &'a Json) -> Result<Self, Refused> {
        match own {
            Json::Object(_) => Ok(Self { own, defaults: None }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
                Err(Refused::malformed("the body is not an object"))
            }
        }
    }

    pub(super) const fn under(item: &'a Json, defaults: &'a Json) -> Self {
        Self { own: item, defaults: Some(defaults) }
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Json> {
        let own = self.own.get(name).filter(|value| **value != Json::Null);
        own.or_else(|| self.defaults?.get(name).filter(|value| **value != Json::Null))
    }

    fn object(self, name: &str) -> Result<&'a Json, Refused> {
        let found = self.get(name).ok_or_else(|| Refused::malformed(format!("`{name}` is missing")))?;
        object(found, name)
    }

    pub(super) fn optional_object(self, name: &str) -> Result<Option<&'a Json>, Refused> {
        self.get(name).map(|found| object(found, name)).transpose()
    }

    pub(super) fn named(self, name: &str) -> Result<Named<'a>, Refused> {
        let found = self.object(name)?;
        Ok(Named { id: text(found, name, "id")?, ..kind_of(found, name)? })
    }

    /// One that is searched for: an id, if there is one, counts for nothing.
    pub(super) fn searched(self, name: &str) -> Result<Named<'a>, Refused> {
        kind_of(self.object(name)?, name)
    }

    pub(super) fn verb(self) -> Result<Verb<'a>, Refused> {
        let found = self.object("action")?;
        Ok(Verb { name: text(found, "action", "name")?, properties: properties(found, "action")? })
    }

    pub(super) fn ask(self) -> Result<Ask<'a>, Refused> {
        Ok(Ask {
            subject: self.named("subject")?,
            action: self.verb()?,
            resource: self.named("resource")?,
            context: self.optional_object("context")?,
        })
    }
}

fn kind_of<'a>(found: &'a Json, name: &str) -> Result<Named<'a>, Refused> {
    Ok(Named { kind: text(found, name, "type")?, id: "", properties: properties(found, name)? })
}

fn properties<'a>(found: &'a Json, name: &str) -> Result<Option<&'a Json>, Refused> {
    let properties = found.get("properties").filter(|value| **value != Json::Null);
    properties.map(|p| object(p, &format!("{name}.properties"))).transpose()
}

fn object<'a>(found: &'a Json, name: &str) -> Result<&'a Json, Refused> {
    match found {
        Json::Object(_) => Ok(found),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
            Err(Refused::malformed(format!("`{name}` is not an object")))
        }
    }
}

fn text<'a>(found: &'a Json, name: &str, member: &str) -> Result<&'a str, Refused> {
    match found.get(member) {
        Some(Json::Text(text)) => Ok(text),
        None => Err(Refused::malformed(format!("`{name}.{member}` is missing"))),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
            Err(Refused::malformed(format!("`{name}.{member}` is not a string")))
        }
    }
}
