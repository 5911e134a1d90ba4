//! A folder of policies: which file belongs to which scope's set.
//!
//! In: a path. Out: [`Folder`], every file read and bounded. Absent: what the files say.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy_core::pdp::{Baseline, Engine, SetError, SetSource};
use policy_core::registry::{Finding, ManifestError, Registry};
use policy_core::{Scope, Tier};

/// How long a file may be.
const BYTES: u64 = 16 << 20;
/// How many files a folder may have.
const FILES: usize = 100_000;

/// Why a folder cannot be used.
///
/// ```
/// use policy_runtime::offline::{Folder, FolderError};
/// let error = Folder::read("no/such/folder".as_ref(), None).unwrap_err();
/// assert!(matches!(error, FolderError::NoManifest(_)), "{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or a folder cannot be read.
    #[error("`{}` cannot be read: {why}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// A file is longer than policy files may be.
    #[error("`{}` is longer than {BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// There are more files than a folder may have.
    #[error("`{}` has more than {FILES} files", .0.display())]
    TooMany(PathBuf),
    /// There is no manifest.
    #[error(
        "there is no manifest at `{}`\nhelp: let the program write `Policy::manifest()` there, or name it with `--manifest FILE`",
        .0.display()
    )]
    NoManifest(PathBuf),
    /// The manifest cannot be used.
    #[error("`{}`: {why}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: ManifestError,
    },
    /// A file or a folder stands where none is looked for.
    #[error("`{}` is {what}\nhelp: {help}", path.display())]
    Misplaced {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Where it should be.
        help: &'static str,
    },
    /// The sets of the folder are refused, where a command needs them in order.
    #[error("the policies of `{scope}` are not in order\nhelp: `policy check` shows each place\n\n{}", .why.findings().first().map(ToString::to_string).unwrap_or_default())]
    Refused {
        /// Whose set.
        scope: Scope,
        /// Why.
        why: SetError,
    },
}

/// What a policy file has.
///
/// ```
/// use policy_runtime::offline::PolicyFileKind;
/// assert_ne!(PolicyFileKind::Rule, PolicyFileKind::Cedar);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the layout is documented")]
pub enum PolicyFileKind {
    /// Cedar policies.
    Cedar,
    /// Cedar policies instead of the shipped baseline.
    Baseline,
    /// One rule of the policy language.
    Rule,
}

/// A file of policies.
///
/// ```
/// # use policy_runtime::offline::Folder;
/// # let folder = std::env::temp_dir().join(format!("policy-file-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("sys")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// std::fs::write(folder.join("sys/mfa.rule"), "# everywhere\nforbid Platform.organizations.* unless participant.mfa").unwrap();
/// let folder = Folder::read(&folder, None).unwrap();
/// assert_eq!(folder.files()[0].id(), "mfa");
/// # std::fs::remove_dir_all(folder.root()).unwrap();
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PolicyFile {
    /// Where it is, with the folder before it.
    pub path: PathBuf,
    /// Whose set it belongs to.
    pub scope: Scope,
    /// What it has.
    pub kind: PolicyFileKind,
    /// All of it.
    pub text: String,
}

impl PolicyFile {
    /// The file's name without its ending: of a rule its id.
    pub fn id(&self) -> &str {
        self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// The path as messages show it.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The comment lines of a rule, and the rest.
    pub(super) fn parts(&self) -> (&str, &str) {
        let is_comment = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let header: usize = self.text.split_inclusive('\n').take_while(is_comment).map(str::len).sum();
        self.text.split_at_checked(header).unwrap_or(("", &self.text))
    }

    /// The rule, with empty lines instead of the comments, so that places stay.
    pub(super) fn rule(&self) -> String {
        let (header, rest) = self.parts();
        let lines = header.matches('\n').count();
        format!("{}{}", "\n".repeat(lines), rest.trim_end())
    }
}

/// The policies of a program's scopes, and the program's manifest.
///
/// ```
/// # use policy_runtime::offline::Folder;
/// # use policy_core::Scope;
/// # let folder = std::env::temp_dir().join(format!("policy-folder-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("org/acme")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// # std::fs::write(folder.join("org/acme/mfa.rule"), "forbid Platform.members.* unless participant.mfa").unwrap();
/// let folder = Folder::read(&folder, None).unwrap();
/// assert_eq!(folder.sets().keys().map(Scope::to_string).collect::<Vec<_>>(), ["org:acme"]);
/// assert!(folder.engine().is_ok());
/// # std::fs::remove_dir_all(folder.root()).unwrap();
/// ```
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    registry: Arc<Registry>,
    files: Vec<PolicyFile>,
}

impl Folder {
    /// Reads a folder. Its manifest is `manifest.json` in it, or the one that is named.
    ///
    /// # Errors
    /// When something cannot be read, is too large, or stands where nothing is looked for.
    pub fn read(root: &Path, manifest: Option<&Path>) -> Result<Self, FolderError> {
        let path = manifest.map_or_else(|| root.join("manifest.json"), Path::to_owned);
        let registry = manifest_at(&path)?;
        Ok(Self { root: root.to_owned(), registry, files: policy_files(root)? })
    }

    /// Another folder of policies for the same program.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn beside(&self, root: &Path) -> Result<Self, FolderError> {
        Ok(Self { root: root.to_owned(), registry: self.registry.clone(), files: policy_files(root)? })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the program declares.
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The files, in the order of scopes and names.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// The set of each scope that has files.
    pub fn sets(&self) -> BTreeMap<Scope, SetSource> {
        let mut sets: BTreeMap<Scope, SetSource> = BTreeMap::new();
        for file in &self.files {
            let set = sets.entry(file.scope.clone()).or_default();
            match file.kind {
                PolicyFileKind::Rule => set.rules.push((file.id().to_owned(), file.rule())),
                PolicyFileKind::Cedar => set.cedar.push((file.shown(), file.text.clone())),
                PolicyFileKind::Baseline => {
                    set.baseline = Baseline::Replaced;
                    set.cedar.insert(0, (file.shown(), file.text.clone()));
                }
            }
        }
        sets
    }

    /// An engine with all sets.
    ///
    /// # Errors
    /// When a set is refused.
    pub fn engine(&self) -> Result<Engine, FolderError> {
        let refused = |scope: &Scope| {
            let scope = scope.clone();
            move |why| FolderError::Refused { scope, why }
        };
        let engine = Engine::new(self.registry.clone()).map_err(refused(&Scope::System))?;
        for (scope, set) in &self.sets() {
            if scope.tier() == Tier::Application {
                engine.add_application(scope).map_err(refused(scope))?;
            }
            engine.replace(scope, set).map_err(refused(scope))?;
        }
        Ok(engine)
    }

    /// The file that a finding is about, and the finding with that file's place.
    pub(super) fn placed(&self, scope: &Scope, finding: &Finding) -> (Option<&PolicyFile>, Finding) {
        let own = self.files.iter().filter(|file| file.scope == *scope);
        let file = own.into_iter().find(|file| match file.kind {
            PolicyFileKind::Rule => file.id() == &*finding.place,
            PolicyFileKind::Cedar | PolicyFileKind::Baseline => file.shown() == *finding.place,
        });
        let mut finding = finding.clone();
        if let Some(file) = file {
            // What is wrong with a whole rule is told at its first line.
            let first = file.parts().0.matches('\n').count() + 1;
            let is_rule = file.kind == PolicyFileKind::Rule;
            finding.at = finding.at.or_else(|| is_rule.then_some((first, 1)));
            finding.place = file.shown().into();
        }
        (file, finding)
    }
}

fn manifest_at(path: &Path) -> Result<Arc<Registry>, FolderError> {
    if !path.exists() {
        return Err(FolderError::NoManifest(path.to_owned()));
    }
    let manifest = |why| FolderError::Manifest { path: path.to_owned(), why };
    Ok(Arc::new(Registry::from_manifest(&text_of(path)?).map_err(manifest)?))
}

/// A file's text, never more than the bound.
pub(super) fn text_of(path: &Path) -> Result<String, FolderError> {
    let failed = |why| FolderError::Read { path: path.to_owned(), why };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file.take(BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > BYTES { Err(FolderError::TooLarge(path.to_owned())) } else { Ok(text) }
}

/// What a folder has, by name, without what is passed over.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |why| FolderError::Read { path: folder.to_owned(), why };
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') || has_ending(&entry.path(), "md");
        if entry.file_type().map_err(failed)?.is_symlink() {
            return Err(FolderError::Misplaced {
                path: entry.path(),
                what: "a link, and links are not followed",
                help: "put the file itself here",
            });
        }
        if !hidden {
            out.push(entry.path());
        }
        if out.len() > FILES {
            return Err(FolderError::TooMany(folder.to_owned()));
        }
    }
    out.sort();
    Ok(out)
}

pub(super) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

fn policy_files(root: &Path) -> Result<Vec<PolicyFile>, FolderError> {
    let mut out = Vec::new();
    for path in entries(root)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        match (name.as_str(), path.is_dir()) {
            ("sys", true) => of_scope(&path, &Scope::System, &mut out)?,
            ("org", true) => {
                for folder in entries(&path)? {
                    let scope = named(&folder, Scope::organization)?;
                    of_scope(&folder, &scope, &mut out)?;
                }
            }
            ("app", true) => {
                for organization in entries(&path)? {
                    for folder in entries(&organization)? {
                        let above = organization.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                        let scope = named(&folder, |id| Scope::application(above, id))?;
                        of_scope(&folder, &scope, &mut out)?;
                    }
                }
            }
            ("tests", true) | (_, false) if !has_ending(&path, "cedar") && !has_ending(&path, "rule") => {}
            _ => {
                return Err(FolderError::Misplaced {
                    path,
                    what: "in no scope's folder",
                    help: "policies are in `sys`, `org/<organization>` or `app/<organization>/<application>`",
                });
            }
        }
        if out.len() > FILES {
            return Err(FolderError::TooMany(root.to_owned()));
        }
    }
    Ok(out)
}

fn named<E>(folder: &Path, scope: impl FnOnce(&str) -> Result<Scope, E>) -> Result<Scope, FolderError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    scope(name).ok().filter(|_| folder.is_dir()).ok_or_else(|| FolderError::Misplaced {
        path: folder.to_owned(),
        what: "no scope's folder",
        help: "a folder here has the id of an organization or an application: small letters, digits and `-`",
    })
}

fn of_scope(folder: &Path, scope: &Scope, out: &mut Vec<PolicyFile>) -> Result<(), FolderError> {
    for path in entries(folder)? {
        let baseline =
            path.file_name().is_some_and(|name| name == "baseline.cedar") && scope.tier() != Tier::Application;
        let kind = match () {
            () if baseline => PolicyFileKind::Baseline,
            () if has_ending(&path, "cedar") => PolicyFileKind::Cedar,
            () if has_ending(&path, "rule") => PolicyFileKind::Rule,
            () => {
                return Err(FolderError::Misplaced {
                    path,
                    what: "no policy file",
                    help: "a policy file ends in `.cedar` or `.rule`, notes in `.md`",
                });
            }
        };
        out.push(PolicyFile { text: text_of(&path)?, path, scope: scope.clone(), kind });
    }
    Ok(())
}
