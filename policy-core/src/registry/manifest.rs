//! What a program declares, as text: Cedar policies, Cedar schema, JSON.

use serde_json::{Value, json};

use super::Registry;
use crate::cedar;
use crate::diagnostic::Diagnostics;
use crate::kind::Described;

impl Registry {
    /// Every permit that the annotations make, as formatted Cedar.
    pub fn export_cedar(&self) -> String {
        let mut out = String::new();
        for permit in self.actions.iter().filter(|a| !a.places.is_empty()).filter_map(|a| a.permit.as_ref()) {
            if let Ok(text) = cedar::render(&permit.policy) {
                out.push_str(&text);
                out.push_str("\n\n");
            }
        }
        out
    }

    /// The schema that all policies are validated against, in Cedar's schema syntax.
    ///
    /// # Errors
    /// When Cedar refuses it, which the registry has ruled out.
    pub fn export_schema(&self) -> Result<String, Diagnostics> {
        cedar::schema_text(&self.model)
    }

    /// The manifest: actions, services, rules, kinds and places, as JSON.
    pub fn manifest(&self) -> Value {
        let described =
            |d: &Option<Described>| d.as_ref().map(|d| json!({ "kind": d.kind.to_string(), "optional": d.optional }));
        let actions: Vec<Value> = self
            .actions
            .iter()
            .filter(|a| !a.places.is_empty())
            .map(|a| {
                json!({
                    "action": a.name.to_string(),
                    "tier": a.tier.as_str(),
                    "callers": a.callers.iter().map(|t| t.as_str()).collect::<Vec<_>>(),
                    "participant": &*a.participant,
                    "resource": &*a.resource,
                    "mustAudit": a.must_audit,
                    "rule": a.permit.as_ref().and_then(|p| p.policy.annotation("rule")),
                    "source": a.permit.as_ref().and_then(|p| p.policy.annotation("source")),
                    "parameters": a.params.iter().map(|(name, d)| json!({ "name": &**name, "type": described(d) })).collect::<Vec<_>>(),
                })
            })
            .collect();
        let services: Vec<Value> = self
            .services
            .iter()
            .map(|s| {
                json!({
                    "service": format!("{}.{}", s.namespace, s.name),
                    "version": s.version,
                    "methods": s.methods.iter().map(|m| json!({
                        "name": m.name, "arguments": m.arguments, "streaming": m.streaming,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({ "actions": actions, "services": services })
    }
}
