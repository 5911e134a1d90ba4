//! `policy fmt`: policy files in their canonical form.

use std::path::PathBuf;

use policy_core::cedar;
use policy_core::registry::Finding;
use policy_core::syntax::rule::{format_rule, parse_rule};
use serde_json::json;

use super::folder::{Folder, FolderError, PolicyFile, PolicyFileKind};
use super::report::{Report, Status, count};

/// Formats the files of a folder, or only some of them; with `check`, writes nothing and says which are not formatted.
///
/// ```
/// use policy_runtime::offline::{Folder, Status, format};
/// # let folder = std::env::temp_dir().join(format!("policy-fmt-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("sys")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// # let file = folder.join("sys/mfa.rule");
/// std::fs::write(&file, "# why\nFORBID Platform.organizations.*  UNLESS participant.mfa").unwrap();
/// assert_eq!(format(&Folder::read(&folder, None).unwrap(), &[], true).unwrap().status, Status::Findings);
/// format(&Folder::read(&folder, None).unwrap(), &[], false).unwrap();
/// assert_eq!(std::fs::read_to_string(&file).unwrap(), "# why\nforbid Platform.organizations.* unless participant.mfa\n");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # Errors
/// When a file cannot be written. A file that cannot be parsed is a finding, and is left as it is.
pub fn format(folder: &Folder, only: &[PathBuf], check: bool) -> Result<Report, FolderError> {
    let (mut changed, mut failed) = (Vec::new(), Vec::new());
    let wanted = folder.files().iter().filter(|file| only.is_empty() || only.contains(&file.path));
    for file in wanted {
        match formatted(file) {
            Ok(text) if text != file.text => {
                if !check {
                    std::fs::write(&file.path, text)
                        .map_err(|why| FolderError::Read { path: file.path.clone(), why })?;
                }
                changed.push(file.shown());
            }
            Ok(_) => {}
            Err(findings) => failed.extend(findings),
        }
    }
    let what = if check { "not formatted" } else { "formatted" };
    let status = Status::of(failed.is_empty() && (!check || changed.is_empty()));
    let mut lines: Vec<String> = failed.iter().map(|f: &Finding| format!("error: {f}\n")).collect();
    lines.extend(changed.iter().map(|path| format!("{what}: {path}")));
    let is = if changed.len() == 1 { "is" } else { "are" };
    lines.push(match changed.len() {
        0 => "nothing to format".to_owned(),
        n => format!("{} {is} {what}", count(n, "file")),
    });
    let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let json = json!({ "changed": changed, "failed": failed, "written": !check });
    let next = if check && status == Status::Findings { "policy fmt" } else { "policy check" };
    Ok(Report::new(status, lines.join("\n"), json).next(next))
}

fn formatted(file: &PolicyFile) -> Result<String, Vec<Finding>> {
    match file.kind {
        PolicyFileKind::Rule => {
            let text = file.rule();
            let at = |d: &_| Finding::in_rule(file.shown(), &text, d);
            let rule = parse_rule(&text).map_err(|all| all.0.iter().map(at).collect::<Vec<_>>())?;
            Ok(format!("{}{}\n", file.parts().0, format_rule(&rule)))
        }
        PolicyFileKind::Cedar | PolicyFileKind::Baseline => {
            let at = |d: &_| Finding::in_rule(file.shown(), &file.text, d);
            cedar::format(&file.text).map_err(|all| all.0.iter().map(at).collect())
        }
    }
}
