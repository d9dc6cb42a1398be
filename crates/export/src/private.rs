use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, TempDir};

/// A directory that only its owner may look into, gone when dropped. Without being told, `tempfile` leaves that to the umask.
pub(crate) fn private_directory(prefix: &str, below: &Path) -> io::Result<TempDir> {
    Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_looks_into_it() {
        let above = tempfile::tempdir().unwrap();
        let private = private_directory("x-", above.path()).unwrap();
        assert_eq!(private.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
