//! The rules against accidents broken on purpose, one at a time: the search must find what comes of it.

use crate::accident_scenarios as accidents;
use crate::rules::Flaw;
use crate::sanity::check;

#[test]
fn a_writer_that_goes_behind_noted_damage() {
    check(Flaw::BlindToDamaged, accidents::losses, "noted as damaged by entry");
}

#[test]
fn a_writer_that_goes_behind_an_accepted_history() {
    check(Flaw::BlindToReset, accidents::histories, "although it was begun before");
}

#[test]
fn a_writer_that_takes_what_is_damaged_for_held() {
    check(Flaw::DoesNotHeal, accidents::losses, "healed, and emails");
}

#[test]
fn a_writer_that_leaves_segments_which_name_lost_packs() {
    check(Flaw::HealsWithoutMerging, accidents::losses, "noted as damaged by entry");
}

#[test]
fn a_base_found_around_a_broken_entry_and_not_compared() {
    check(Flaw::DoubtsNothing, accidents::broken_logs, "noted as damaged by entry");
}

#[test]
fn a_note_of_damage_that_does_not_open_taken_for_none() {
    check(Flaw::NoLostNote, accidents::broken_logs, "noted as damaged by entry");
}

#[test]
fn another_entry_in_the_place_of_a_note_of_damage() {
    check(Flaw::StopsWithoutNote, accidents::histories, "stopped with");
}

#[test]
fn a_note_of_damage_that_forgets_earlier_ones() {
    check(Flaw::DamagedForgets, accidents::losses, "noted as damaged by entry");
}

#[test]
fn a_prune_around_a_broken_entry() {
    check(Flaw::PrunesTorn, accidents::broken_logs, "is missing and not lost");
}

#[test]
fn a_writer_that_does_not_compare_what_it_remembers() {
    check(Flaw::IgnoresMemory, accidents::histories, "no continuation of what it remembers");
}

#[test]
fn a_writer_that_does_not_compare_entries_with_the_one_before() {
    check(Flaw::IgnoresPrevious, accidents::histories, "no continuation of what it remembers");
}

#[test]
fn a_hole_in_the_log_taken_for_its_end() {
    check(Flaw::WalksIntoHoles, accidents::broken_logs, "no continuation of what it remembers");
}

#[test]
fn a_lost_answer_said_to_be_a_no() {
    check(Flaw::GivesUpAsNotDone, accidents::giving_up, "gave up and its snapshot is in the log");
}

#[test]
fn a_writer_that_goes_behind_an_entry_that_does_not_open() {
    check(Flaw::BlindToBroken, accidents::broken_logs, "noted as damaged by entry");
}

#[test]
fn a_base_found_around_a_broken_entry_whose_rows_are_trusted() {
    check(Flaw::TrustsRows, accidents::broken_logs, "no row tells where email");
}

#[test]
fn a_snapshot_that_names_an_older_base() {
    check(Flaw::NamesOldBase, accidents::broken_logs, "stopped with Some(Refused)");
}

#[test]
fn a_checkpoint_over_entries_that_cannot_be_read() {
    check(Flaw::CheckpointsTorn, accidents::broken_logs, "is not what the entries before add up to");
}

#[test]
fn a_remembered_entry_that_is_gone() {
    check(Flaw::IgnoresRollback, accidents::histories, "no continuation of what it remembers");
}

#[test]
fn another_entry_in_the_place_of_the_remembered_one() {
    check(Flaw::IgnoresFork, accidents::histories, "no continuation of what it remembers");
}
