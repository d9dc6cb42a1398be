//! What a repository promises, met from outside: crashes, races, wrong use, damage, cost.

mod checkpoint;
mod chunks;
mod compaction;
mod costs;
mod crash;
mod damage;
mod heal;
mod history;
mod keys;
mod log_end;
mod mended;
mod race;
mod support;
mod wrong_use;
