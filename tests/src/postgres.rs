//! A private PostgreSQL server for tests, with a fresh database for each.
//!
//! In: PostgreSQL's programs, on the PATH or where Debian keeps them; `POLICY_TEST_POSTGRES` names a folder with the server
//! (`initdb`, `postgres`) of another version. Out: URLs of empty databases. The server listens on a free port of this
//! machine, keeps its files in a temporary folder, and ends with the test's process, however that ends. Absent: anything of
//! the project.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Why there is no server.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The superuser of the server.
pub const USER: &str = "policy";
/// Its password.
pub const PASSWORD: &str = "a password of tests";

/// A server that runs as long as this process.
#[derive(Debug)]
pub struct Server {
    port: u16,
    /// Where the programs are that speak with it.
    clients: PathBuf,
    folder: PathBuf,
    /// When its input ends, and be it because this process was killed, it stops the server.
    _keeper: Child,
}

/// The server of this process, started by the first who asks.
///
/// # Errors
/// When PostgreSQL is not installed or does not start.
pub fn server() -> Result<&'static Server, Error> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let started = SERVER.get_or_init(|| Server::start().map_err(|error| error.to_string()));
    started.as_ref().map_err(|error| error.clone().into())
}

/// The URL of a new, empty database.
///
/// # Errors
/// As [`server`].
pub fn fresh_database() -> Result<String, Error> {
    let server = server()?;
    let name = server.fresh_name();
    server.psql("postgres", &format!("CREATE DATABASE {name}"))?;
    Ok(server.url(&name))
}

impl Server {
    fn start() -> Result<Self, Error> {
        let clients = programs()?;
        let programs = match std::env::var_os("POLICY_TEST_POSTGRES") {
            Some(folder) => fs::canonicalize(folder)?,
            None => clients.clone(),
        };
        let folder = std::env::temp_dir().join(format!("policy-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let secret = folder.join("secret");
        fs::write(&secret, PASSWORD)?;
        let owner = owner();
        if let Some((user, group)) = owner {
            chown(&folder, Some(user), Some(group))?;
            chown(&secret, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let mut initdb = as_owner(Command::new(programs.join("initdb")), owner);
        initdb.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"]);
        initdb.arg("--no-sync").arg("--pwfile").arg(&secret).arg("--pgdata").arg(&data);
        let done = initdb.current_dir(&folder).stdin(Stdio::null()).output()?;
        if !done.status.success() {
            return Err(format!("`initdb`: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        let script = r#""$@" >/dev/null 2>"$0/log" & server=$!; cat >/dev/null; kill -QUIT $server; wait; rm -rf "$0""#;
        let mut keeper = as_owner(Command::new("sh"), owner);
        keeper.arg("-c").arg(script).arg(&folder).arg(programs.join("postgres")).arg("-D").arg(&data);
        keeper.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        keeper.arg("-c").arg("unix_socket_directories=").args(["-c", "max_connections=200"]);
        keeper.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { port, clients, folder, _keeper: keeper.spawn()? };
        let until = Instant::now() + Duration::from_secs(30);
        while let Err(error) = server.psql("postgres", "SELECT 1") {
            if Instant::now() > until {
                let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL does not start: {error}\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// The URL of a database, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", PASSWORD.replace(' ', "%20"), self.port)
    }

    /// The URL of a database without user and password.
    pub fn bare_url(&self, database: &str) -> String {
        format!("postgres://127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A name that no database has yet.
    pub fn fresh_name(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs statements as the superuser and answers what they print.
    ///
    /// # Errors
    /// When one fails.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let url = self.url(database);
        let options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"];
        self.run("psql", &[&options[..], &["--dbname", &url, "--command", sql]].concat())
    }

    /// Runs one of PostgreSQL's programs and answers what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let done = Command::new(self.clients.join(program)).args(arguments).stdin(Stdio::null()).output()?;
        if done.status.success() {
            Ok(String::from_utf8(done.stdout)?)
        } else {
            Err(format!("`{program}`: {}", String::from_utf8_lossy(&done.stderr)).into())
        }
    }
}

/// Where PostgreSQL's programs are.
fn programs() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let mut found: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
        found.sort();
        folders.extend(found.into_iter().rev());
    }
    // Links are followed: `initdb` looks for `postgres` beside itself.
    let real = |folder: &Path| fs::canonicalize(folder.join("initdb")).ok()?.parent().map(Path::to_owned);
    let complete = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
    let found = folders.iter().filter_map(|folder| real(folder)).find(complete);
    found.ok_or_else(|| "PostgreSQL is not installed: neither on the PATH nor in /usr/lib/postgresql".into())
}

/// Whom the server runs as: PostgreSQL refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

fn as_owner(mut command: Command, owner: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}
