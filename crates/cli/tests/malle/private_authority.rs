//! Mail servers whose certificate comes from an authority of one's own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sim_stalwart::{Simulator, Urls};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::home::{ALICE, Home, alice, end};

/// The simulator behind TLS.
struct Door {
    url: String,
    authority: PathBuf,
    _serving: AbortOnDropHandle<()>,
}

fn openssl(dir: &Path, args: &[&str], input: &str) {
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it listens");
    assert!(child.wait().expect("it ends").success(), "openssl {args:?}");
}

/// `ca.pem`, and `cert.pem` with `key.pem` for 127.0.0.1.
fn certify(dir: &Path) {
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = ["req", "-x509", "-days", "2", "-subj", "/CN=our own", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(dir, &[&ca[..], &new].concat(), "");
    let request = ["req", "-subj", "/CN=mail", "-keyout", "key.pem", "-out", "request.pem"];
    openssl(dir, &[&request[..], &new].concat(), "");
    let sign = ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    let how = ["-days", "2", "-out", "cert.pem", "-extfile", "/dev/stdin"];
    openssl(dir, &[&sign[..], &how].concat(), "subjectAltName=IP:127.0.0.1\n");
}

impl Door {
    async fn open(home: &Home) -> Door {
        let _ = rustls::crypto::ring::default_provider().install_default();
        certify(home.dir.path());
        let certificate = CertificateDer::from_pem_file(home.path("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(home.path("key.pem")).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("bound"));
        let behind = home.sim.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, acceptor, behind)));
        Door { url, authority: home.path("ca.pem"), _serving: serving }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let mut server = TcpStream::connect(behind).await.expect("the simulator listens");
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_when_it_is_named_and_not_before() {
    let home = Home::with(Simulator::builder().account(alice()).urls(Urls::Relative)).await;
    let door = Door::open(&home).await;
    let backup = ["backup", "--account", ALICE, "--server", &door.url];
    home.run(&backup).await.refused(5, &["certificate", "--ca-file", "SSL_CERT_FILE"]);
    assert!(!home.store().exists());

    let authority = door.authority.to_str().expect("UTF-8");
    home.run(&[&backup[..], &["--ca-file", authority]].concat()).await.good();
    for variable in ["MALLE_CA_FILE", "SSL_CERT_FILE"] {
        let mut command = home.malle(&backup);
        command.env(variable, authority);
        end(command.spawn().expect("malle runs")).await.good();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_certificates_is_refused() {
    let home = Home::new().await;
    std::fs::write(home.path("text"), "no certificate\n").expect("writable");
    for (file, says) in [("text", "holds no certificate"), ("missing", "No such file")] {
        let path = home.path(file);
        let args = ["backup", "--account", ALICE, "--ca-file", path.to_str().expect("UTF-8")];
        home.run(&args).await.refused(2, &[says, "PEM"]);
    }
}
