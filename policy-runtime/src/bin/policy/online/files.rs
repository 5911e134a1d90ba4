//! Policies of a server as files, and files as drafts.

use std::path::{Path, PathBuf};

use clap::Args;
use policy_runtime::offline::Folder;
use policy_runtime::{Baseline, Scope};
use serde_json::{Value, json};

use super::policies::{save, warnings};
use super::{As, At, Done, Trouble, encoded};
use crate::told::{Told, cell};

#[derive(Args)]
pub(crate) struct Files {
    /// The folder of policies
    #[arg(long, default_value = "policies", value_name = "FOLDER")]
    dir: PathBuf,
    /// `export`: removes policy files of the scopes that are on the server no more
    #[arg(long)]
    prune: bool,
    /// Why
    #[arg(long, default_value = "", hide = true)]
    comment: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

impl Files {
    /// The scope that is meant, and with an organization its applications.
    async fn scopes(&self) -> Result<Vec<Scope>, Trouble> {
        let wrong = |error: policy_core::name::NameError| Trouble::Cannot(error.to_string());
        let first: Scope = self.at.scope().parse().map_err(wrong)?;
        let mut all = vec![first.clone()];
        if let (Some(organization), None) = (first.organization_id(), first.application_id()) {
            let path = format!("/api/v1/organizations/{}/applications", encoded(organization.as_str()));
            for one in self.who.all(&path).await? {
                all.push(cell(&one, "scope").parse().map_err(wrong)?);
            }
        }
        Ok(all)
    }
}

fn folder_of(scope: &Scope) -> PathBuf {
    match scope {
        Scope::System => PathBuf::from("sys"),
        Scope::Organization(organization) => Path::new("org").join(organization.as_str()),
        Scope::Application { organization, application } => {
            Path::new("app").join(organization.as_str()).join(application.as_str())
        }
    }
}

fn path_of(scope: &Scope, rest: &str) -> String {
    format!("/api/v1/scopes/{}{rest}", encoded(&scope.to_string()))
}

/// A policy's name as a file's; what a server says must not lead out of the folder.
fn file_name(name: &str, ending: &str) -> Result<String, Trouble> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(&format!(".{ending}")).unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(plain) {
        return Err(Trouble::Cannot(format!("`{name}` is no name of a file: letters, digits, `.`, `_` and `-`")));
    }
    Ok(format!("{name}.{ending}"))
}

/// The files of a set, as the server has it.
fn files_of(set: &Value) -> Result<Vec<(String, String)>, Trouble> {
    let list = |name: &str| set.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut files = Vec::new();
    let mut cedar = list("cedar").into_iter();
    if cell(set, "baseline") == "replaced" {
        let baseline = cedar.next().map_or_else(|| "// Nothing is permitted.\n".to_owned(), |one| cell(&one, "text"));
        files.push(("baseline.cedar".to_owned(), baseline));
    }
    for one in cedar {
        files.push((file_name(&cell(&one, "name"), "cedar")?, cell(&one, "text")));
    }
    for one in list("rules") {
        files.push((file_name(&cell(&one, "id"), "rule")?, cell(&one, "text").trim().to_owned() + "\n"));
    }
    match files.iter().enumerate().find(|(at, (name, _))| files.iter().take(*at).any(|(other, _)| other == name)) {
        Some((_, (name, _))) => Err(Trouble::Cannot(format!("two policies would both be in `{name}`"))),
        None => Ok(files),
    }
}

pub(super) async fn export(asked: &Files) -> Done {
    let manifest = asked.who.get(&asked.at.path("/manifest")).await?.body;
    let mut sets = Vec::new();
    for scope in asked.scopes().await? {
        let listed = asked.who.get(&path_of(&scope, "/policies?limit=1")).await?.body;
        let number = listed.get("active").and_then(Value::as_i64).unwrap_or(0);
        let files = match number {
            0 => Vec::new(),
            number => files_of(&asked.who.get(&path_of(&scope, &format!("/policies/{number}"))).await?.body)?,
        };
        crate::output::progress(&format!("{scope}"));
        sets.push((scope, number, files));
    }
    // Nothing is written before all is known.
    let mut stale = Vec::new();
    for (scope, _, files) in &sets {
        for path in policies_in(&asked.dir.join(folder_of(scope))) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if files.iter().all(|(known, _)| *known != name) {
                stale.push(path);
            }
        }
    }
    if let (false, Some(path)) = (asked.prune, stale.first()) {
        return Err(Trouble::Cannot(format!(
            "`{}` is not on the server, and would be there still\nnext: policy export {} --prune, which removes such files",
            path.display(),
            asked.at.flag()
        )));
    }
    let failed = |path: &Path, error: &std::io::Error| Trouble::Cannot(format!("`{}`: {error}", path.display()));
    let write = |path: &Path, text: &str| {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|error| failed(path, &error))
    };
    let manifest = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
    write(&asked.dir.join("manifest.json"), &manifest)?;
    let mut text = String::new();
    let mut told = Vec::new();
    for (scope, number, files) in &sets {
        for (name, content) in files {
            write(&asked.dir.join(folder_of(scope)).join(name), content)?;
        }
        text.extend([&format!("{scope}: version {number}, {} files", files.len()), "\n"]);
        told.push(json!({ "scope": scope.to_string(), "version": number, "files": files.len() }));
    }
    for path in stale {
        std::fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    }
    Ok(Told::new(text, json!({ "scopes": told }), format!("policy check --dir {}", asked.dir.display())))
}

fn policies_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "rule" || ending == "cedar")).collect()
}

pub(super) async fn import(asked: &Files) -> Done {
    let folder = Folder::read(&asked.dir, None).map_err(|error| Trouble::Cannot(error.to_string()))?;
    let sets = folder.sets();
    let (mut text, mut told, mut next) = (String::new(), Vec::new(), None);
    for scope in asked.scopes().await? {
        let set = sets.get(&scope).cloned().unwrap_or_default();
        let listed = asked.who.get(&path_of(&scope, "/policies?limit=1")).await?;
        let active = listed.body.get("active").and_then(Value::as_i64).unwrap_or(0);
        let mut new = json!({
            "baseline": if set.baseline == Baseline::Replaced { "replaced" } else { "shipped" },
            "rules": set.rules.iter().map(|(id, text)| json!({ "id": id, "text": text.trim() })).collect::<Vec<_>>(),
            "cedar": set.cedar.iter().map(|(path, text)| {
                json!({ "name": path.rsplit(['/', '\\']).next().unwrap_or(path), "text": text })
            }).collect::<Vec<_>>(),
        });
        let same = match active {
            0 => set.rules.is_empty() && set.cedar.is_empty() && set.baseline == Baseline::Shipped,
            number => {
                let there = asked.who.get(&path_of(&scope, &format!("/policies/{number}"))).await?.body;
                files_of(&there)? == files_of(&new)?
            }
        };
        if same {
            text.extend([&scope.to_string(), ": as it is on the server\n"]);
            continue;
        }
        if let Some(new) = new.as_object_mut() {
            let comment = if asked.comment.is_empty() { "imported" } else { &asked.comment };
            new.insert("comment".into(), comment.into());
        }
        let at = At::of(&scope);
        let (number, review) = save(&asked.who, &at, &new, listed.etag).await?;
        text.extend([&format!("{scope}: version {number}, checked and not active"), "\n", &warnings(&review)]);
        told.push(json!({ "scope": scope.to_string(), "version": number }));
        next.get_or_insert(format!("policy policies diff {number} {}", at.flag()));
    }
    let next = next.unwrap_or_else(|| format!("policy policies list {}", asked.at.flag()));
    Ok(Told::new(text, json!({ "drafts": told }), next))
}
