//! A throwaway PostgreSQL for tests: one server for the whole test process, a database for each test. It is found
//! on the machine, or `TIEOUT_TEST_PG=postgres://user:password@host:port/database` names one on which the user may
//! do everything; then tests that need a server of their own making say so and end.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub const PASSWORD: &str = "canary-pg-5f3a9c";

pub struct Cluster {
    admin: PgConnectOptions,
    /// The authority of the server's certificate; none where the server is not ours.
    pub ca: Option<PathBuf>,
}

/// A database of its own, with a role that may log in and nothing else.
pub struct Database {
    pub cluster: &'static Cluster,
    pub name: String,
    pub role: String,
    pub password: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match std::env::var("TIEOUT_TEST_PG") {
        Ok(url) => Cluster { admin: PgConnectOptions::from_str(&url).expect("TIEOUT_TEST_PG"), ca: None },
        Err(_) => start(),
    })
}

fn programs() -> PathBuf {
    let debian = glob::glob("/usr/lib/postgresql/*/bin").unwrap().filter_map(Result::ok);
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = debian.chain(path.split(':').map(PathBuf::from));
    folders
        .filter(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .last()
        .expect("no PostgreSQL server is installed: install the package postgresql, or set TIEOUT_TEST_PG to a server for tests")
}

/// Makes and starts a server that ends with this process: a shell waits for the end of its standard input.
fn start() -> Cluster {
    let folder = tempfile::Builder::new().prefix("tieout-pg-").tempdir().unwrap().keep();
    let is_root = std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    let shown = folder.display().to_string();
    let (ca, tls) = certificates(&folder);
    // A server does not run as root.
    let user = if is_root { "nobody" } else { "" };
    if is_root {
        run(Command::new("chown").args(["-R", user, &shown]));
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!(
        "cd / && '{bin}/initdb' -D '{shown}/data' -U postgres -A scram-sha-256 --auth-local=trust -E UTF8 --locale=C \
           --pwfile='{shown}/password' >'{shown}/log' 2>&1 || exit 1
         '{bin}/postgres' -D '{shown}/data' -c listen_addresses=localhost -c port={port} -c max_connections=60 \
           -c unix_socket_directories='{shown}' -c fsync=off -c full_page_writes=off -c max_wal_senders=0 \
           -c wal_level=minimal -c autovacuum=off {tls} >>'{shown}/log' 2>&1 &
         server=$!
         cat >/dev/null
         kill -INT $server; wait $server
         rm -rf '{shown}'",
        bin = programs().display(),
    );
    std::fs::write(folder.join("password"), "postgres\n").unwrap();
    let mut command = match is_root {
        true => Command::new("runuser"),
        false => Command::new("bash"),
    };
    if is_root {
        command.args(["-u", user, "--", "bash"]);
    }
    let mut shell = command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // Closed when this process ends, however it ends.
    std::mem::forget(shell.stdin.take());
    let admin = PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .port(port)
        .username("postgres")
        .password("postgres")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    let mut started = false;
    for _ in 0..600 {
        started = runtime().block_on(admin.connect()).is_ok();
        if started || shell.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if started {
        // The shell ends after this process: nobody is left to wait for it.
        std::thread::spawn(move || shell.wait());
        return Cluster { admin, ca: Some(ca) };
    }
    panic!("PostgreSQL does not start: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// An authority that nobody trusts.
pub fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, rcgen::Certificate) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    (rcgen::Issuer::new(authority, key), certificate)
}

/// An authority that nobody trusts and a certificate of it for `localhost`; the settings that make the server use it.
fn certificates(folder: &Path) -> (PathBuf, String) {
    let (issuer, certificate) = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_string()]).unwrap().signed_by(&key, &issuer).unwrap();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
    let private = folder.join("server.key");
    std::fs::write(&private, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    let shown = folder.display();
    (ca, format!("-c ssl=on -c ssl_cert_file='{shown}/server.pem' -c ssl_key_file='{shown}/server.key'"))
}

impl Cluster {
    /// A new database after a script; the role has no right to anything in it yet.
    pub fn database(&'static self, script: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tieout_{}_{number}", std::process::id());
        let role = format!("{name}_role");
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let made = runtime().block_on(async {
            let mut admin = self.admin.connect().await?;
            admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await?;
            let role = format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'");
            admin.execute(sqlx::raw_sql(AssertSqlSafe(role))).await
        });
        made.unwrap();
        let database = Database { cluster: self, name, role, password, _folder: folder };
        database.execute(script);
        database
    }
}

impl Database {
    /// A connection that may do everything.
    pub async fn admin(&self) -> PgConnection {
        self.cluster.admin.clone().database(&self.name).connect().await.unwrap()
    }

    /// A connection of the role.
    pub async fn as_role(&self) -> PgConnection {
        let options = self.cluster.admin.clone().database(&self.name).username(&self.role).password(PASSWORD);
        options.connect().await.unwrap()
    }

    /// Runs a script as the owner.
    pub fn execute(&self, script: &str) {
        runtime().block_on(async {
            let mut admin = self.admin().await;
            admin.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap_or_else(|error| panic!("{error}: {script}"));
        });
    }

    /// Lets the role read a table or view, as `sql/native.postgres.grants.sql` does.
    pub fn grant(&self, table: &str) {
        self.execute(&format!("GRANT SELECT ON {table} TO {}", self.role));
    }

    pub fn port(&self) -> u16 {
        self.cluster.admin.get_port()
    }

    /// `postgres = { … }` of a job file; `more` begins with a comma.
    pub fn place(&self, more: &str) -> String {
        let (host, port) = (self.cluster.admin.get_host(), self.port());
        let tls = if more.contains("tls") { "" } else { ", tls = \"disable\"" };
        format!(
            "postgres = {{ host = \"{host}\", port = {port}, database = \"{}\", user = \"{}\", password = \"file:{}\"{tls}{more} }}",
            self.name,
            self.role,
            self.password.display(),
        )
    }
}
