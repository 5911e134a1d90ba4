//! Policies as files: checked, formatted, tried and explained without a server.
//!
//! In: a folder of policies beside the manifest of the program that they are about. Out: [`Report`]s for people and for
//! programs. Absent: servers and databases; nothing here changes what any server decides.
//!
//! ```text
//! policies/
//!   manifest.json                 what the program declares: `Policy::manifest` writes it
//!   sys/*.cedar  sys/*.rule       the System set
//!   org/acme/*.cedar  *.rule      the set of the organization acme
//!   app/acme/orders/*.rule        the set of its application orders: forbids only
//!   tests/*.yaml                  tests of all of them
//! ```
//!
//! A `.cedar` file has any number of policies. A `.rule` file has one rule of the policy language, and its name is the rule's id;
//! lines before the rule that begin with `#` are comments. A file `baseline.cedar` in `sys` or in an organization's folder stands
//! instead of the shipped baseline. Files that end in `.md`, and those whose name begins with a dot, are passed over.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | nothing was found; the request is allowed; the sets do not differ |
//! | 1 | findings; a test failed; the request is denied; the sets differ |
//! | 2 | the command cannot be carried out: wrong arguments, a file that cannot be read |

mod check;
mod difference;
mod explain;
mod folder;
mod format;
mod hypothetical;
mod part;
mod plain;
mod report;
mod suite;
mod templates;
mod vocabulary;

pub use check::check;
pub use difference::diff;
pub use explain::{TryError, explain, may, who};
pub use folder::{Folder, FolderError, PolicyFile, PolicyFileKind};
pub use format::format;
pub use hypothetical::{Hypothetical, Supposed};
pub use plain::Wrong;
pub use report::{Report, Status};
pub use suite::{SuiteError, test};
pub use templates::{Template, TemplateError, templates};
pub use vocabulary::vocabulary;

#[cfg(feature = "admin")]
pub(crate) use {
    difference::difference,
    explain::{told, word},
};
