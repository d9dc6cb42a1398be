//! Every format in every container: what is written comes back, others can read it, and nothing hostile gets out.

mod conformance;
mod hostile;
mod hostile_names;
mod mailbox;
mod memory;
mod others;
mod place;
