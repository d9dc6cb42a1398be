//! TLS before something that speaks none, with a certificate of an authority of our own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Files in PEM.
pub(crate) struct Certified {
    /// Of the authority.
    pub(crate) authority: PathBuf,
    /// For 127.0.0.1.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where something is reached through TLS.
pub(crate) struct Door {
    pub(crate) address: String,
    _serving: AbortOnDropHandle<()>,
}

fn openssl(dir: &Path, args: &[&str], input: &str) {
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it listens");
    assert!(child.wait().expect("it ends").success(), "openssl {args:?}");
}

/// A new authority, and a certificate of its.
pub(crate) fn certify(dir: &Path) -> Certified {
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = ["req", "-x509", "-days", "2", "-subj", "/CN=our own", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(dir, &[&ca[..], &new].concat(), "");
    let request = ["req", "-subj", "/CN=mail", "-keyout", "key.pem", "-out", "request.pem"];
    openssl(dir, &[&request[..], &new].concat(), "");
    let sign = ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    let how = ["-days", "2", "-out", "cert.pem", "-extfile", "/dev/stdin"];
    openssl(dir, &[&sign[..], &how].concat(), "subjectAltName=IP:127.0.0.1\n");
    Certified { authority: dir.join("ca.pem"), certificate: dir.join("cert.pem"), key: dir.join("key.pem") }
}

impl Door {
    pub(crate) async fn open(certified: &Certified, behind: &str) -> Door {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = CertificateDer::from_pem_file(&certified.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&certified.key).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, acceptor, behind.to_owned())));
        Door { address, _serving: serving }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let mut server = TcpStream::connect(behind).await.expect("it listens");
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
