//! A real S3 server of our own: SeaweedFS from PyPI (`tests/seaweedfs.sh`).

use crate::service::{self, Service, free_ports, http};
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
    { trap '' HUP INT TERM; cat <&3 >/dev/null; kill -KILL $weed; } &
    wait $weed
    rm -f $SOCKETS
"#;

/// A running S3 server on private loopback ports, its data in a temporary directory; ends when dropped.
#[derive(Debug)]
pub struct SeaweedFs {
    endpoint: String,
    // Fields drop in order: the process ends before its directory goes.
    _service: Service,
    _dir: TempDir,
}

impl SeaweedFs {
    /// Returns once an object can be written.
    pub async fn start() -> io::Result<Self> {
        let weed = binary()?;
        for _ in 1..ATTEMPTS {
            match launch(&weed).await {
                // Another process may have taken one of our free ports in between; it ends then.
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                done => return done,
            }
        }
        launch(&weed).await
    }

    /// `http://127.0.0.1:PORT`; buckets are paths below it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

async fn launch(weed: &Path) -> io::Result<SeaweedFs> {
    let dir = TempDir::with_prefix("seaweedfs-")?;
    let ports = free_ports::<8>()?;
    let [.., filer, _, s3, _] = ports.map(|port| format!("127.0.0.1:{port}"));
    let mut service = Service::spawn(&mut command(weed, dir.path(), ports)?)?;
    ready(&mut service, &filer, &s3).await.map_err(|error| {
        let tail = service::tail(&dir.path().join("log"));
        io::Error::new(error.kind(), format!("seaweedfs did not start: {error}; {tail}"))
    })?;
    Ok(SeaweedFs { endpoint: format!("http://{s3}"), _service: service, _dir: dir })
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
    let log = fs::File::create(dir.join("log"))?;

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
async fn ready(service: &mut Service, filer: &str, s3: &str) -> io::Result<()> {
    let bucket = format!("POST /buckets/{BUCKET}/ HTTP/1.1");
    let probe = format!("PUT /buckets/{BUCKET}/.probe HTTP/1.1");
    let no_probe = format!("DELETE /buckets/{BUCKET}/.probe HTTP/1.1");
    service
        .until(START_LIMIT, || async {
            Ok(matches!(http(filer, &bucket, b"").await?.0, 201 | 409)
                && http(filer, &probe, b"probe").await?.0 == 201
                && http(filer, &no_probe, b"").await?.0 == 204
                && http(s3, "GET / HTTP/1.1", b"").await?.0 == 403)
        })
        .await
}
