//! Mail servers whose certificate comes from an authority of one's own.

use sim_stalwart::{Simulator, Urls};

use crate::door::{Door, certify};
use crate::home::{ALICE, Home, alice, end};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_when_it_is_named_and_not_before() {
    let home = Home::without_store(Simulator::builder().account(alice()).urls(Urls::Relative)).await;
    let certified = certify(home.dir.path());
    let door =
        Door::open(&certified, home.sim.url().trim_start_matches("http://").trim_end_matches('/')).await;
    let url = format!("https://{}", door.address);
    let backup = ["backup", "--account", ALICE, "--server", &url];
    home.run(&backup).await.refused(5, &["certificate", "--ca-file", "SSL_CERT_FILE"]);
    assert!(!home.store().exists());
    home.run(&["init"]).await.good();

    let authority = certified.authority.to_str().expect("UTF-8");
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
