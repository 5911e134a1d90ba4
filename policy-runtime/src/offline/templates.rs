//! Common rules, to be written by name.
//!
//! In: a template's name, what it is to be about, and its values. Out: a rule of the policy language. Absent: whether it fits what
//! a program declares; that is checked with the set that it becomes part of.

use std::collections::BTreeMap;

use policy_core::name::nearest;
use policy_core::syntax::rule::parse_rule;

/// A common rule.
///
/// ```
/// use policy_runtime::offline::{Template, templates};
/// let mfa: &Template = templates().iter().find(|template| template.name == "mfa").unwrap();
/// let rule = mfa.rule("com.example.OrderService.placeOrder", &[].into()).unwrap();
/// assert_eq!(rule, "forbid com.example.OrderService.placeOrder unless participant.mfa == true");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// The values that it needs: a name, and an example.
    pub values: &'static [(&'static str, &'static str)],
    condition: &'static str,
}

/// Why a template makes no rule.
///
/// ```
/// use policy_runtime::offline::{Template, TemplateError};
/// assert_eq!(Template::find("mfs").unwrap_err().to_string(), "there is no template `mfs`: did you mean `mfa`?");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no such template.
    #[error("there is no template `{name}`{}", .near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default())]
    Missing {
        /// The name.
        name: String,
        /// A name that is like it.
        near: Option<&'static str>,
    },
    /// A value that it needs is not given.
    #[error("`{template}` needs `{value}`, such as `{example}`")]
    Needs {
        /// The template.
        template: &'static str,
        /// The value.
        value: &'static str,
        /// One that could stand there.
        example: &'static str,
    },
    /// A value that it has no place for.
    #[error("`{template}` has no value `{value}`")]
    Unknown {
        /// The template.
        template: &'static str,
        /// The value.
        value: String,
    },
    /// A value with a character that would end the text it stands in.
    #[error("`{0}` has a quote, a backslash, a star or a control character")]
    Value(String),
    /// What it is to be about is no name.
    #[error("`{0}` is no name of an action, a service or a group")]
    Target(String),
}

const ALL: &[Template] = &[
    Template {
        name: "mfa",
        summary: "only with a second factor",
        values: &[],
        condition: " unless participant.mfa == true",
    },
    Template {
        name: "role",
        summary: "only for those who have a role",
        values: &[("role", "finance")],
        condition: " unless participant.roles contains '<role>'",
    },
    Template {
        name: "network",
        summary: "only from some addresses",
        values: &[("range", "10.0.0.0/8")],
        condition: " unless context.ip in '<range>'",
    },
    Template {
        name: "method",
        summary: "only for those who signed in by one method: password, oidc, jwt, token, api-key",
        values: &[("method", "oidc")],
        condition: " unless participant.authType == '<method>'",
    },
    Template {
        name: "people",
        summary: "not by API key",
        values: &[],
        condition: " when participant.authType == 'api-key'",
    },
    Template {
        name: "no-operators",
        summary: "not for operators of the platform",
        values: &[],
        condition: " when participant.tier == 'system'",
    },
    Template {
        name: "domain",
        summary: "only for addresses of one domain",
        values: &[("domain", "example.com")],
        condition: " unless participant.email like '*@<domain>'",
    },
    Template {
        name: "tenant",
        summary: "only for those who belong to a tenant",
        values: &[],
        condition: " unless participant.tenant exists",
    },
    Template {
        name: "from",
        summary: "only from some time on",
        values: &[("time", "2027-01-01T00:00:00Z")],
        condition: " unless context.time >= '<time>'",
    },
    Template {
        name: "until",
        summary: "only until some time",
        values: &[("time", "2027-01-01T00:00:00Z")],
        condition: " unless context.time < '<time>'",
    },
    Template { name: "freeze", summary: "for nobody", values: &[], condition: "" },
];

/// All templates.
///
/// ```
/// assert!(policy_runtime::offline::templates().iter().any(|template| template.name == "freeze"));
/// ```
pub const fn templates() -> &'static [Template] {
    ALL
}

impl Template {
    /// A template by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn find(name: &str) -> Result<&'static Self, TemplateError> {
        let found = ALL.iter().find(|template| template.name == name);
        let names = ALL.iter().map(|template| template.name);
        found.ok_or_else(|| TemplateError::Missing { name: name.to_owned(), near: nearest(name, names) })
    }

    /// The rule about a target: an action, a service as `com.example.OrderService.*`, or a group.
    ///
    /// # Errors
    /// When a value is missing, unknown or not fit to stand in a rule, or the target is none.
    pub fn rule(&self, target: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
        if let Some(unknown) = values.keys().find(|name| self.values.iter().all(|(known, _)| known != name)) {
            return Err(TemplateError::Unknown { template: self.name, value: unknown.clone() });
        }
        let mut condition = self.condition.to_owned();
        for (name, example) in self.values {
            let missing = TemplateError::Needs { template: self.name, value: name, example };
            let value = values.get(*name).ok_or(missing)?;
            if value.chars().any(|c| c.is_control() || matches!(c, '\'' | '\\' | '*')) {
                return Err(TemplateError::Value(value.clone()));
            }
            condition = condition.replace(&format!("<{name}>"), value);
        }
        let rule = format!("forbid {target}{condition}");
        let parsed = parse_rule(&rule).ok().filter(|parsed| parsed.target.to_string() == target);
        parsed.map(|_| rule).ok_or_else(|| TemplateError::Target(target.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use policy_core::Scope;
    use policy_core::pdp::{Engine, SetSource};
    use policy_core::registry::Registry;

    use super::*;

    fn given(template: &Template) -> BTreeMap<String, String> {
        template.values.iter().map(|(name, example)| ((*name).to_owned(), (*example).to_owned())).collect()
    }

    #[test]
    fn each_checks_against_a_schema() {
        let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
        let acme = Scope::organization("acme").unwrap();
        engine.add_organization(acme.organization_id().unwrap()).unwrap();
        for (template, target) in
            ALL.iter().flat_map(|template| ["Platform.keys.create", "Platform.keys.*"].map(|target| (template, target)))
        {
            let rule = template.rule(target, &given(template)).unwrap();
            let source = SetSource { rules: vec![("t".to_owned(), rule.clone())], ..SetSource::default() };
            engine.check(&acme, &source).unwrap_or_else(|error| panic!("{rule}: {error}"));
        }
    }

    #[test]
    fn nothing_that_is_given_becomes_a_part_of_the_rule() {
        let role = Template::find("role").unwrap();
        let with = |value: &str| role.rule("Platform.keys.create", &[("role".to_owned(), value.to_owned())].into());
        for value in ["a' or participant.mfa or 'a", "a\\", "a\nb", "*"] {
            assert_eq!(with(value), Err(TemplateError::Value(value.to_owned())));
        }
        for target in
            ["", "Platform.keys.create when true", "a; permit b", "Platform.keys.create unless context.mfa or"]
        {
            assert_eq!(role.rule(target, &given(role)), Err(TemplateError::Target(target.to_owned())), "{target}");
        }
        let needs = role.rule("Platform.keys.create", &BTreeMap::new()).unwrap_err();
        assert_eq!(needs.to_string(), "`role` needs `role`, such as `finance`");
        let mfa = Template::find("mfa").unwrap();
        assert_eq!(mfa.rule("a.b", &given(role)).unwrap_err().to_string(), "`mfa` has no value `role`");
    }
}
