use jmap::{Account, Client};
use repository::Repository;

use crate::error::Result;
use crate::options::Backup;
use crate::report::Report;

/// Makes one snapshot of one account: everything the server offers of it, incrementally where states can be trusted.
pub async fn backup(
    client: &Client,
    account: &Account,
    repository: &Repository,
    how: &Backup<'_>,
) -> Result<Report> {
    let _ = (client, account, repository, how);
    todo!()
}
