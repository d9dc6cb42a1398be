//! What the end-to-end tests and the benchmark share: a repository and a client in one call, real mail, comparison with the
//! truth.

mod bed;
pub mod belongings;
mod corpus;
pub mod fleet;
mod import;
mod outdated;
mod plain;
pub mod properties;
pub mod round_trip;
mod store_requests;
pub mod truth;

pub use bed::Bed;
pub use belongings::Belongings;
pub use corpus::{Message, attachment, attachments, real_mail};
pub use import::{Importer, Letter};
pub use outdated::{envelopes, outdate};
pub use plain::Plain;
pub use store_requests::{StoreRequests, store_requests};
pub use testkit::seeds;
pub use truth::{assert_emails_equal, assert_is_now, assert_objects_equal, assert_was_once};
