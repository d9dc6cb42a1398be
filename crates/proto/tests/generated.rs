//! The shapes in `src/generated` are those of `/proto`. They stand in the source so that nobody who builds Malle builds a compiler of
//! `.proto` files first.

use std::fs;
use std::path::Path;

/// `MALLE_WRITE_PROTO=1 cargo test -p proto --test generated` writes them.
#[test]
fn the_shapes_are_those_of_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.join("../../proto");
    let files = protox::compile(["repository.proto", "ticket.proto"], [&proto]).expect("they compile");
    let made = tempfile::tempdir().expect("a directory");
    prost_build::Config::new().bytes(["."]).out_dir(made.path()).compile_fds(files).expect("shapes are made");
    for name in ["malle.repository.v1.rs", "malle.ticket.v1.rs"] {
        let (made, kept) = (made.path().join(name), root.join("src/generated").join(name));
        let made = fs::read_to_string(made).expect("it was made");
        if std::env::var_os("MALLE_WRITE_PROTO").is_some() {
            fs::write(&kept, &made).expect("it is written");
        }
        let kept = fs::read_to_string(kept).expect("it is there");
        assert!(
            made == kept,
            "{name} is not what /proto says: MALLE_WRITE_PROTO=1 cargo test -p proto --test generated"
        );
    }
}
