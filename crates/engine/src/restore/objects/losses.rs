//! How people are told what did not come back of an object.

/// What the server did not take of an object.
pub(super) fn without(name: &str, members: &[&str]) -> String {
    format!("{name} came back without {}", members.join(", "))
}

/// What the server took of an object and keeps otherwise, or not at all.
pub(super) fn otherwise(name: &str, members: &[&str]) -> String {
    format!(
        "{name} came back, and the mail server keeps something else, or nothing, in {}",
        members.join(", ")
    )
}
