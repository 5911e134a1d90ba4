//! Commands on a folder of policies: no server is asked.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::offline::{self, Folder, FolderError, Supposed};

use crate::Failure;
use crate::told::Told;

/// Where the policies are, and how to answer.
#[derive(Args)]
pub(crate) struct Place {
    /// The folder of policies
    #[arg(long, default_value = "policies", value_name = "FOLDER")]
    dir: PathBuf,
    /// What the program declares; `manifest.json` in the folder, if not said
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Place {
    fn folder(&self) -> Result<Folder, FolderError> {
        Folder::read(&self.dir, self.manifest.as_deref())
    }
}

#[derive(Args)]
pub(crate) struct Check {
    /// Tells findings of these files alone; all are checked
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Says what is wrong with a configuration instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "dir", "manifest"])]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Fmt {
    /// Formats these files alone
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Writes nothing; says what is not formatted
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub(crate) struct Schema {
    /// Lists the actions whose name has this in it, the platform's too
    action: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Test {
    /// Runs the tests of these files; all of the folder's `tests`, if not said
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Explain {
    /// A request as YAML or JSON; `-` reads it from the input
    request: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The action that is asked for
    #[arg(long)]
    action: Option<String>,
    /// What is asked about, such as `app:acme/orders`
    #[arg(long)]
    scope: Option<String>,
    /// The participant's id
    #[arg(long)]
    id: Option<String>,
    /// A role of the participant; may be given again
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Supposes that a second factor was used
    #[arg(long)]
    mfa: bool,
    /// An argument, such as `order={amount: 72000}`; may be given again
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = argument)]
    arguments: Vec<(String, String)>,
    /// Says of each participant of a list whether it may
    #[arg(long, value_name = "FILE", conflicts_with = "may")]
    who: Option<PathBuf>,
    /// Lists what the participant may do
    #[arg(long)]
    may: bool,
}

fn argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write `name=value`")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn test(arguments: &Test) -> Result<Told, Failure> {
    let report = offline::test(&arguments.place.folder()?, &arguments.files)?;
    Ok(report.into())
}

pub(crate) fn explain(arguments: &Explain) -> Result<Told, Failure> {
    let text = arguments.request.as_deref().map(read).transpose()?.unwrap_or_default();
    let supposed = Supposed {
        action: arguments.action.clone(),
        scope: arguments.scope.clone(),
        id: arguments.id.clone(),
        roles: arguments.roles.clone(),
        mfa: arguments.mfa,
        arguments: arguments.arguments.clone(),
    };
    let (asked, folder, now) = (supposed.over(&text)?, arguments.place.folder()?, SystemClock.now());
    let report = match &arguments.who {
        Some(list) => offline::who(&folder, &asked, &read(list)?, now)?,
        None if arguments.may => offline::may(&folder, &asked, now)?,
        None => offline::explain(&folder, &asked, now)?,
    };
    Ok(report.into())
}

/// A file, or with `-` the input; no more of it than is read anyway.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    const MOST: u64 = 16 << 20;
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).map_err(|why| format!("`{}` cannot be read: {why}", path.display()))?;
        file.take(MOST).read_to_string(&mut text)?;
    }
    Ok(text)
}

pub(crate) fn check(arguments: &Check) -> Result<Told, Failure> {
    let folder = arguments.place.folder()?;
    known(&folder, &arguments.files)?;
    Ok(offline::check(&folder, &arguments.files).into())
}

pub(crate) fn fmt(arguments: &Fmt) -> Result<Told, Failure> {
    let folder = arguments.place.folder()?;
    known(&folder, &arguments.files)?;
    let report = offline::format(&folder, &arguments.files, arguments.check)?;
    Ok(report.into())
}

pub(crate) fn schema(arguments: &Schema) -> Result<Told, Failure> {
    let registry = arguments.place.folder()?.registry().clone();
    Ok(offline::vocabulary(&registry, arguments.action.as_deref()).into())
}

/// A file that is not in the folder would be passed over, and look as if it were in order.
fn known(folder: &Folder, files: &[PathBuf]) -> Result<(), Failure> {
    match files.iter().find(|file| folder.files().iter().all(|known| known.path != **file)) {
        Some(file) => Err(format!(
            "`{}` is no policy file of `{}`\nhelp: name the folder with `--dir`, and files with it before them",
            file.display(),
            folder.root().display()
        )
        .into()),
        None => Ok(()),
    }
}

#[derive(Args)]
pub(crate) struct Diff {
    /// The folder as it was
    before: PathBuf,
    /// The folder as it is to be
    #[arg(default_value = "policies")]
    after: PathBuf,
    /// What the program declares; `manifest.json` in the folder as it is to be, if not said
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Requests, one in a line, that are decided by both
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn diff(arguments: &Diff) -> Result<Told, Failure> {
    let after = Folder::read(&arguments.after, arguments.manifest.as_deref())?;
    let before = after.beside(&arguments.before)?;
    let requests = arguments.requests.as_deref().map(read).transpose()?;
    let report = offline::diff(&before, &after, requests.as_deref(), SystemClock.now())?;
    Ok(report.into())
}
