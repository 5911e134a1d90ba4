//! Addresses: `scheme://[scope@][zone~]resourceName[/path][#version]`.

use std::fmt;

/// An address that was read; compared exactly, case kept.
///
/// ```
/// use policy_runtime::wire::Cri;
/// let cri = Cri::parse("srv://app-api~org.x.Service/call").unwrap();
/// assert_eq!((cri.zone(), cri.name(), cri.path()), (Some("app-api"), "org.x.Service", Some("call")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cri {
    text: Box<str>,
    scheme: Part,
    scope: Option<Part>,
    zone: Option<Part>,
    name: Part,
    path: Option<Part>,
    version: Option<Part>,
}

/// Where a part begins and ends in the text, so that an address is one piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    from: usize,
    to: usize,
}

impl Part {
    /// The next `length` octets, and what stands after them.
    const fn next(at: &mut usize, length: usize, after: usize) -> Self {
        let part = Self { from: *at, to: *at + length };
        *at = part.to + after;
        part
    }
}

/// A text that is no address.
///
/// ```
/// use policy_runtime::wire::{Cri, CriError};
/// let error: CriError = Cri::parse("no address").unwrap_err();
/// assert!(!error.to_string().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed address: {0}")]
pub struct CriError(&'static str);

impl Cri {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, CriError> {
        if text.chars().any(char::is_control) {
            return Err(CriError("it contains a control character"));
        }
        let (scheme, rest) = text.split_once("://").ok_or(CriError("it has no `://`"))?;
        if scheme.is_empty() || scheme.contains([':', '/', '@', '#']) {
            return Err(CriError("its scheme is malformed"));
        }
        let (scope, rest) = match rest.split_once('@') {
            Some((scope, rest)) => (Some(scope), rest),
            None => (None, rest),
        };
        if scope.is_some_and(|scope| scope.is_empty() || scope.contains(['/', '#', '~'])) {
            return Err(CriError("its scope is malformed"));
        }
        if rest.contains('@') {
            return Err(CriError("it contains more than one `@`"));
        }
        let (rest, version) = match rest.split_once('#') {
            Some((rest, version)) => (rest, Some(version)),
            None => (rest, None),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (zone, name) = match authority.split_once('~') {
            Some((zone, name)) => (Some(zone), name),
            None => (None, authority),
        };
        if zone.is_some_and(|zone| !is_zone(zone)) {
            return Err(CriError("its zone is malformed"));
        }
        if name.is_empty() || name.contains('~') {
            return Err(CriError("its name is malformed"));
        }
        if version.is_some_and(str::is_empty) {
            return Err(CriError("its version is empty"));
        }
        let mut at = 0;
        Ok(Self {
            scheme: Part::next(&mut at, scheme.len(), "://".len()),
            scope: scope.map(|scope| Part::next(&mut at, scope.len(), "@".len())),
            zone: zone.map(|zone| Part::next(&mut at, zone.len(), "~".len())),
            name: Part::next(&mut at, name.len(), "/".len()),
            path: path.map(|path| Part::next(&mut at, path.len(), "#".len())),
            version: version.map(|version| Part::next(&mut at, version.len(), 0)),
            text: text.into(),
        })
    }

    fn part(&self, part: Part) -> &str {
        self.text.get(part.from..part.to).unwrap_or_default()
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `srv`, `reply`, `stream`.
    pub fn scheme(&self) -> &str {
        self.part(self.scheme)
    }

    /// What stands before the `@`: an instance, or a reply id with its sub-scope.
    pub fn scope(&self) -> Option<&str> {
        self.scope.map(|scope| self.part(scope))
    }

    /// The scope up to its first `:`, the reply id in a reply address.
    pub fn scope_id(&self) -> Option<&str> {
        self.scope().map(|scope| scope.split_once(':').map_or(scope, |(id, _)| id))
    }

    /// What stands before the `~`.
    pub fn zone(&self) -> Option<&str> {
        self.zone.map(|zone| self.part(zone))
    }

    /// The resource, namespace included.
    pub fn name(&self) -> &str {
        self.part(self.name)
    }

    /// What follows the first `/`: the method of a service.
    pub fn path(&self) -> Option<&str> {
        self.path.map(|path| self.part(path))
    }

    /// What follows the `#`.
    pub fn version(&self) -> Option<&str> {
        self.version.map(|version| self.part(version))
    }

    /// The address without method and version, as services are registered.
    pub fn base(&self) -> &str {
        self.text.get(..self.name.to).unwrap_or_default()
    }
}

fn is_zone(zone: &str) -> bool {
    zone.split('.').all(|label| {
        let alnum = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = label.as_bytes();
        alnum(bytes.first()) && alnum(bytes.last()) && bytes.iter().all(|b| alnum(Some(b)) || *b == b'-')
    })
}

impl fmt::Display for Cri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
