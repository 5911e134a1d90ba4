//! Letters in private files, for whoever writes a program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use futures_util::future::BoxFuture;

use super::{Letter, MailError, Mailer};
use crate::id::random_id;

type Tell = Box<dyn Fn(&Path) + Send + Sync>;

/// Writes each letter into a file that only its owner reads.
///
/// ```
/// use policy_runtime::mail::FileMailer;
/// let mailer = FileMailer::new("letters");
/// mailer.tell(|path| eprintln!("a letter: {}", path.display()));
/// ```
#[derive(Clone)]
pub struct FileMailer {
    folder: PathBuf,
    tell: Arc<OnceLock<Tell>>,
}

impl fmt::Debug for FileMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMailer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FileMailer {
    /// Writes into a folder, which is made with the first letter.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), tell: Arc::default() }
    }

    /// Says who is told the path of each letter; only the first who asks is. The path belongs on a terminal, not in a log.
    pub fn tell(&self, tell: impl Fn(&Path) + Send + Sync + 'static) {
        let _ = self.tell.set(Box::new(tell));
    }

    fn write(&self, letter: &Letter) -> Result<(), io::Error> {
        let mut folder = std::fs::DirBuilder::new();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        match folder.create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = self.folder.join(format!("letter-{}.txt", random_id().map_err(io::Error::other)?));
        let mut file = options.open(&path)?;
        write!(file, "To: {}\nSubject: {}\n\n{}\n", letter.to, letter.subject, letter.text.expose())?;
        if let Some(tell) = self.tell.get() {
            tell(&path);
        }
        Ok(())
    }
}

impl Mailer for FileMailer {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move { self.write(letter).map_err(|error| MailError::new(error.to_string())) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::secret::Secret;

    #[cfg(unix)]
    #[tokio::test]
    async fn a_letter_is_for_its_owner_alone_and_its_path_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(random_id().unwrap());
        let mailer = FileMailer::new(&folder);
        let told: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let heard = told.clone();
        mailer.tell(move |path| heard.lock().unwrap().push(path.to_owned()));
        let letter = Letter::new("alice@example.com", "Hello", Secret::new("a link".to_owned())).unwrap();
        mailer.send(&letter).await.unwrap();
        let path = told.lock().unwrap().pop().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "To: alice@example.com\nSubject: Hello\n\na link\n");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
