//! Every public item shows how it is used: its documentation holds an example, which rustdoc compiles and runs.
//!
//! One example on a type is enough for its fields, its variants and the methods that take nothing but `self`; any other
//! public method is named by an example, its own or one of the same crate's.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums are those of syn; what is not named here is nothing that users name"
)]

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, FnArg, ImplItem, Item, Lit, Meta, Type, UseTree, Visibility};

/// What no user names: code for expansions, and generators for the tests of this workspace.
const ABSENT: [&str; 3] = ["policy-core/src/testing", "policy-runtime/src/__private", "policy-runtime/src/proxy"];

#[test]
fn public_items_of_the_core_have_examples() {
    check("policy-core");
}

#[test]
fn public_items_of_the_runtime_have_examples() {
    check("policy-runtime");
}

#[test]
fn macros_have_examples_where_they_are_exported() {
    let macros = root().join("policy-macros/src/lib.rs");
    let runtime = root().join("policy-runtime/src/lib.rs");
    let exported = parsed(&runtime);
    let mut found = 0;
    for item in parsed(&macros).items {
        let Item::Fn(function) = item else { continue };
        let kind = |name: &str| function.attrs.iter().find(|a| a.path().is_ident(name));
        let name = match (kind("proc_macro_attribute"), kind("proc_macro_derive")) {
            (Some(_), _) => function.sig.ident.to_string(),
            (None, Some(derive)) => {
                let Meta::List(list) = &derive.meta else { continue };
                list.tokens.clone().into_iter().next().expect("a derive has a name").to_string()
            }
            (None, None) => continue,
        };
        found += 1;
        let shown = exported.items.iter().any(|item| match item {
            Item::Use(item) => last(&item.tree) == name && !examples(&item.attrs).is_empty(),
            _ => false,
        });
        assert!(shown, "the re-export of `{name}` in policy-runtime has no example");
    }
    assert!(found >= 4, "the macros were not found");
}

fn check(krate: &str) {
    let mut all = Found::default();
    let files = sources(&root().join(krate).join("src"));
    for path in &files {
        let file = parsed(path);
        let module = path.strip_prefix(root()).expect("it is below").to_string_lossy().into_owned();
        all.text.push_str(&examples(&file.attrs));
        all.items(&file.items, &module);
    }
    let readme = root().join(krate).join("README.md");
    all.text.push_str(&code_blocks(&fs::read_to_string(readme).unwrap_or_default()));
    let unnamed: Vec<&String> = all
        .methods
        .iter()
        .filter(|(name, _)| !all.text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name))
        .map(|(_, place)| place)
        .collect();
    assert!(files.len() > 10, "the sources of {krate} were not found");
    assert!(
        all.without.is_empty() && unnamed.is_empty(),
        "{} items without an example:\n{}\n{} methods that no example names:\n{}",
        all.without.len(),
        all.without.join("\n"),
        unnamed.len(),
        unnamed.iter().map(|place| place.as_str()).collect::<Vec<_>>().join("\n")
    );
}

#[derive(Default)]
struct Found {
    /// Items whose documentation has no example.
    without: Vec<String>,
    /// Methods that some example has to name.
    methods: Vec<(String, String)>,
    /// All examples.
    text: String,
}

impl Found {
    fn items(&mut self, items: &[Item], module: &str) {
        for item in items {
            match item {
                Item::Struct(it) => self.item(&it.vis, &it.attrs, &it.ident, module),
                Item::Enum(it) => self.item(&it.vis, &it.attrs, &it.ident, module),
                Item::Trait(it) => self.item(&it.vis, &it.attrs, &it.ident, module),
                Item::Fn(it) => self.item(&it.vis, &it.attrs, &it.sig.ident, module),
                Item::Type(it) => self.item(&it.vis, &it.attrs, &it.ident, module),
                Item::Macro(it) if exported(&it.attrs) && !hidden(&it.attrs) => {
                    let name = it.ident.as_ref().expect("an exported macro has a name");
                    self.item(&Visibility::Public(syn::token::Pub::default()), &it.attrs, name, module);
                }
                Item::Mod(it) if !test_only(&it.attrs) && !hidden(&it.attrs) => {
                    self.text.push_str(&examples(&it.attrs));
                    if let Some((_, items)) = &it.content {
                        self.items(items, module);
                    }
                }
                Item::Impl(it) if it.trait_.is_none() && !test_only(&it.attrs) => {
                    self.text.push_str(&examples(&it.attrs));
                    for member in &it.items {
                        self.method(member, &it.self_ty, module);
                    }
                }
                Item::Use(it) => self.text.push_str(&examples(&it.attrs)),
                _ => {}
            }
        }
    }

    fn item(&mut self, vis: &Visibility, attrs: &[Attribute], name: &syn::Ident, module: &str) {
        let shown = examples(attrs);
        self.text.push_str(&shown);
        if matches!(vis, Visibility::Public(_)) && !hidden(attrs) && !test_only(attrs) && shown.is_empty() {
            self.without.push(format!("{module}: `{name}`"));
        }
    }

    fn method(&mut self, member: &ImplItem, of: &Type, module: &str) {
        let ImplItem::Fn(method) = member else { return };
        self.text.push_str(&examples(&method.attrs));
        let public = matches!(method.vis, Visibility::Public(_)) && !hidden(&method.attrs) && !test_only(&method.attrs);
        let accessor = method.sig.inputs.len() == 1 && matches!(method.sig.inputs.first(), Some(FnArg::Receiver(_)));
        if public && !accessor && examples(&method.attrs).is_empty() {
            let name = method.sig.ident.to_string();
            let of = match of {
                Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
                _ => String::new(),
            };
            self.methods.push((name.clone(), format!("{module}: `{of}::{name}`")));
        }
    }
}

/// The code blocks of a documentation that rustdoc compiles.
fn examples(attrs: &[Attribute]) -> String {
    let lines: Vec<String> = attrs.iter().filter_map(doc_line).collect();
    code_blocks(&lines.join("\n"))
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(doc) = &attribute.meta else { return None };
    let Expr::Lit(value) = &doc.value else { return None };
    match (&value.lit, doc.path.is_ident("doc")) {
        (Lit::Str(text), true) => {
            Some(text.value().lines().map(|l| l.strip_prefix(' ').unwrap_or(l)).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

fn code_blocks(text: &str) -> String {
    let (mut out, mut open) = (String::new(), None::<bool>);
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            open = match open {
                Some(_) => None,
                None => Some(
                    !["text", "ignore", "json", "toml", "sh", "cedar", "console"]
                        .iter()
                        .any(|l| language.starts_with(l)),
                ),
            };
        } else if open == Some(true) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn exported(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|a| a.path().is_ident("macro_export"))
}

fn hidden(attrs: &[Attribute]) -> bool {
    attrs
        .iter()
        .any(|a| matches!(&a.meta, Meta::List(list) if a.path().is_ident("doc") && list.tokens.to_string() == "hidden"))
}

fn test_only(attrs: &[Attribute]) -> bool {
    attrs
        .iter()
        .any(|a| matches!(&a.meta, Meta::List(list) if a.path().is_ident("cfg") && list.tokens.to_string() == "test"))
}

fn last(tree: &UseTree) -> String {
    match tree {
        UseTree::Path(path) => last(&path.tree),
        UseTree::Name(name) => name.ident.to_string(),
        UseTree::Rename(name) => name.rename.to_string(),
        UseTree::Glob(_) | UseTree::Group(_) => String::new(),
    }
}

fn parsed(path: &Path) -> syn::File {
    let text = fs::read_to_string(path).expect("source is UTF-8");
    syn::parse_file(&text).expect("source is Rust")
}

/// The files of a crate that users can reach, without those of its tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let below = path.strip_prefix(root()).expect("it is below").to_string_lossy().into_owned();
        if ABSENT.iter().any(|absent| below.starts_with(absent)) {
            continue;
        }
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !name.starts_with("tests") && name != "testdata" {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}
