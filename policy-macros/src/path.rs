//! The way to the façade from the user's crate: `crate = path`, a rename in `Cargo.toml`, or `::policy_runtime`.
//!
//! In: the option and the manifest of the crate that is compiled. Out: [`Krate`], with which every generated path starts.

use std::path::{Path, PathBuf};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

const PACKAGE: &str = "policy-runtime";

/// The façade's path.
#[derive(Debug, Clone)]
pub(crate) struct Krate(TokenStream);

impl Krate {
    /// Takes the given path or finds the crate's name in the manifest.
    pub(crate) fn resolve(given: Option<&syn::Path>) -> Self {
        if let Some(path) = given {
            return Self(quote!(#path));
        }
        let name = renamed().unwrap_or_else(|| "policy_runtime".to_owned());
        let name = Ident::new(&name, Span::call_site());
        Self(quote!(::#name))
    }

    /// What generated code may name.
    pub(crate) fn private(&self) -> TokenStream {
        let path = &self.0;
        quote!(#path::__private)
    }

    /// The façade's services.
    pub(crate) fn service(&self) -> TokenStream {
        let path = &self.0;
        quote!(#path::service)
    }
}

/// The name under which the manifest of the crate that is being compiled depends on the façade.
fn renamed() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "Cargo tells macros by the environment which crate they expand in")]
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").ok()?);
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let keys = dependencies(&manifest, "dependencies");
    let direct = keys.iter().find(|d| d.package.as_deref() == Some(PACKAGE));
    let key = match direct {
        Some(found) => Some(found.key.clone()),
        None => inherited(&folder, &keys),
    }?;
    let name = key.replace('-', "_");
    syn::parse_str::<Ident>(&name).ok().map(|_| name)
}

/// A dependency that the workspace's manifest renames.
fn inherited(folder: &Path, keys: &[Dependency]) -> Option<String> {
    let root = folder.ancestors().skip(1).find_map(|above| {
        let text = std::fs::read_to_string(above.join("Cargo.toml")).ok()?;
        text.lines().any(|line| line.trim_start().starts_with("[workspace")).then_some(text)
    })?;
    let shared = dependencies(&root, "workspace.dependencies");
    let renamed = shared.into_iter().find(|d| d.package.as_deref() == Some(PACKAGE))?;
    keys.iter().any(|d| d.key == renamed.key).then_some(renamed.key)
}

/// One entry of a dependency table.
#[derive(Debug, PartialEq)]
struct Dependency {
    key: String,
    package: Option<String>,
}

/// Reads the dependencies of a manifest line by line: enough of TOML for what Cargo and people write there.
fn dependencies(manifest: &str, table: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut add = |key: &str, package: Option<String>| {
        let key = unquoted(key);
        match found.iter_mut().find(|d| d.key == key) {
            Some(known) => known.package = known.package.take().or(package),
            None => found.push(Dependency { key, package }),
        }
    };
    let mut header = String::new();
    for line in manifest.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            rest.split(']').next().unwrap_or_default().clone_into(&mut header);
            // A `[target.'cfg(..)'.dependencies]` ends as the plain table does.
            if let Some(key) = own_table(&header, table) {
                add(key, None);
            }
        } else if let Some(key) = own_table(&header, table) {
            if let Some(package) = value_of(line, "package") {
                add(key, Some(package));
            }
        } else if is_table(&header, table)
            && let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let key = key.trim();
            let (key, inline) = key.split_once('.').map_or((key, None), |(key, rest)| (key, Some(rest)));
            let package = match inline {
                Some("package") => Some(unquoted(value)),
                Some(_) => None,
                None => value.split(['{', ',', '}']).find_map(|part| value_of(part.trim(), "package")),
            };
            add(key, package);
        }
    }
    found
}

fn is_table(header: &str, table: &str) -> bool {
    header == table
        || table == "dependencies"
            && (header.ends_with(".dependencies") || header.ends_with("dev-dependencies"))
            && !header.starts_with("workspace")
}

/// The key of a table of its own: `orders` in `[dependencies.orders]`.
fn own_table<'a>(header: &'a str, table: &str) -> Option<&'a str> {
    let (above, key) = header.rsplit_once('.')?;
    is_table(above, table).then_some(key)
}

fn value_of(text: &str, key: &str) -> Option<String> {
    let value = text.strip_prefix(key)?.trim_start().strip_prefix('=')?;
    Some(unquoted(value))
}

fn unquoted(text: &str) -> String {
    text.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str, key: &str) {
        let found = dependencies(manifest, "dependencies");
        let found: Vec<_> = found.iter().filter(|d| d.package.as_deref() == Some(PACKAGE)).map(|d| &*d.key).collect();
        assert_eq!(found, [key], "{manifest}");
    }

    #[test]
    fn a_rename_is_found_wherever_cargo_takes_it() {
        check("[dependencies]\nguard = { package = \"policy-runtime\", version = \"1\" }", "guard");
        check("[dependencies]\n\"guard\" = { version = \"1\", package = 'policy-runtime' } # why", "guard");
        check("[dependencies.guard]\nversion = \"1\"\npackage = \"policy-runtime\"", "guard");
        check("[dev-dependencies]\nguard.path = \"x\"\nguard.package = \"policy-runtime\"", "guard");
        check("[target.'cfg(unix)'.dependencies]\nguard = { package = \"policy-runtime\" }", "guard");
        check("[target.'cfg(unix)'.dependencies.guard]\npackage = \"policy-runtime\"", "guard");
    }

    #[test]
    fn other_packages_are_not_it() {
        let manifest =
            "[package]\nname = \"x\"\n[dependencies]\npolicy-runtime = \"1\"\nother = { package = \"policy-core\" }";
        assert!(dependencies(manifest, "dependencies").iter().all(|d| d.package.as_deref() != Some(PACKAGE)));
    }

    #[test]
    fn a_workspace_renames_for_its_members() {
        let shared = dependencies(
            "[workspace.dependencies]\nguard = { package = \"policy-runtime\" }",
            "workspace.dependencies",
        );
        assert_eq!(shared, [Dependency { key: "guard".into(), package: Some(PACKAGE.into()) }]);
        assert_eq!(
            dependencies("[dependencies]\nguard.workspace = true", "dependencies"),
            [Dependency { key: "guard".into(), package: None }]
        );
    }
}
