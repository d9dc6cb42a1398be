//! A real S3 server of our own: SeaweedFS from PyPI (`tests/seaweedfs.sh`).

use crate::service::{self, Service, http, ports};
use serde_json::json;
use std::{env, fs, io, path::Path, path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

/// The only identity; it may do everything.
pub const ACCESS_KEY: &str = "malle-test-access";
/// Its secret.
pub const SECRET_KEY: &str = "malle-test-secret";
/// The bucket that is there from the start.
pub const BUCKET: &str = "malle-test";
/// Any region does; the signature needs one.
pub const REGION: &str = "us-east-1";

const START_LIMIT: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3;

/// SeaweedFS does not end with its stdin, and leaves sockets in /tmp; this shell sees to both.
const ENDS_WITH_STDIN: &str = r#"
    exec 3<&0
    "$0" "$@" 3<&- &
    weed=$!
    echo $weed >"$HOME/pid"
    { trap '' HUP INT TERM; cat <&3 >/dev/null; kill -KILL $weed; } &
    wait $weed
    rm -f $SOCKETS
"#;

/// A running S3 server on private loopback ports, its data in a temporary directory; ends when dropped.
#[derive(Debug)]
pub struct SeaweedFs {
    endpoint: String,
    ports: [u16; 8],
    // Fields drop in order: the process ends before its directory goes.
    service: Option<Service>,
    dir: TempDir,
}

impl SeaweedFs {
    /// Returns once an object can be written.
    pub async fn start() -> io::Result<Self> {
        for _ in 1..ATTEMPTS {
            match Self::launch().await {
                // Another process may have taken one of our free ports in between; it ends then.
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                done => return done,
            }
        }
        Self::launch().await
    }

    async fn launch() -> io::Result<Self> {
        let dir = TempDir::with_prefix("seaweedfs-")?;
        let ports = ports::<8>()?;
        let endpoint = format!("http://{}", s3(ports));
        let mut seaweed = Self { endpoint, ports, service: None, dir };
        seaweed.restart().await?;
        Ok(seaweed)
    }

    /// `http://127.0.0.1:PORT`, the same after a restart; buckets are paths below it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends it at once (SIGKILL); its ports refuse connections from then on. What it acknowledged stays.
    pub fn stop(&mut self) {
        self.service = None;
    }

    /// Starts it again on the same ports and data; stops it first if it runs.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let mut service = Service::spawn(&mut command(&binary()?, self.dir.path(), self.ports)?)?;
        ready(&mut service, self.ports).await.map_err(|error| {
            let tail = service::tail(&self.dir.path().join("log"));
            io::Error::new(error.kind(), format!("seaweedfs did not start: {error}; {tail}"))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// Stops it where it is (SIGSTOP): connections stay open, nothing answers.
    pub fn freeze(&self) -> io::Result<()> {
        service::signal(&self.dir.path().join("pid"), "-STOP")
    }

    /// Lets it go on after [`SeaweedFs::freeze`].
    pub fn thaw(&self) -> io::Result<()> {
        service::signal(&self.dir.path().join("pid"), "-CONT")
    }
}

fn s3([.., s3, _]: [u16; 8]) -> String {
    format!("127.0.0.1:{s3}")
}

fn binary() -> io::Result<PathBuf> {
    match env::var_os("MALLE_TEST_WEED") {
        Some(path) => Ok(path.into()),
        None => service::installed("seaweedfs.sh"),
    }
}

fn command(weed: &Path, dir: &Path, ports: [u16; 8]) -> io::Result<Command> {
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports;
    let identities = dir.join("identities.json");
    let keys = json!([{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]);
    let admin = json!({"name": "malle", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]});
    fs::write(&identities, json!({ "identities": [admin] }).to_string())?;
    let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;

    let mut command = Command::new("sh");
    command.args(["-c", ENDS_WITH_STDIN]).arg(weed).args(["-logtostderr=true", "server"]);
    command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false"]);
    command.args(["-volume.max=200", "-master.volumeSizeLimitMB=512"]);
    command.arg(format!("-dir={}", dir.display()));
    command.arg(format!("-s3.config={}", identities.display()));
    for (name, port) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
        command.arg(format!("-{name}.port={port}"));
    }
    let mut sockets = String::new();
    let grpc = [("master", master_grpc), ("volume", volume_grpc), ("filer", filer_grpc), ("s3", s3_grpc)];
    for (name, port) in grpc {
        command.arg(format!("-{name}.port.grpc={port}"));
        sockets += &format!(" /tmp/seaweedfs-{name}-grpc-{port}.sock");
    }
    for name in ["filer", "s3"] {
        command.arg(format!("-{name}.localSocket={}/{name}.sock", dir.display()));
    }
    command.env("HOME", dir).env("SOCKETS", sockets).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// The filer (not reachable from outside) needs no signature: it makes the bucket, and an object in it that needs a
/// volume; then the S3 door has to stand open.
async fn ready(service: &mut Service, ports: [u16; 8]) -> io::Result<()> {
    let (filer, s3) = (format!("127.0.0.1:{}", ports[4]), s3(ports));
    let bucket = format!("POST /buckets/{BUCKET}/ HTTP/1.1");
    let probe = format!("PUT /buckets/{BUCKET}/.probe HTTP/1.1");
    let no_probe = format!("DELETE /buckets/{BUCKET}/.probe HTTP/1.1");
    service
        .until(START_LIMIT, || async {
            Ok(matches!(http(&filer, &bucket, b"").await?.0, 201 | 409)
                && http(&filer, &probe, b"probe").await?.0 == 201
                && http(&filer, &no_probe, b"").await?.0 == 204
                && http(&s3, "GET / HTTP/1.1", b"").await?.0 == 403)
        })
        .await
}
