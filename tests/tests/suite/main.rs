//! What a backup promises, shown against a real Stalwart and against the simulator by the same scenarios. What a snapshot should
//! be is read by plain JMAP calls of the tests, and from the real server by plain IMAP as well.

#![expect(clippy::print_stdout, reason = "how much was compared is part of what a test shows")]

mod alive;
mod dav;
mod dav_found;
mod dav_made;
mod dav_properties;
mod dav_requests;
mod exactly;
mod faithful;
mod giving_back;
mod imap;
mod letters;
mod live;
mod named;
mod place;
mod reader;
mod round_trip;
mod simulator;
mod stalwart;
mod timeline;
mod truth;
mod types;
mod written;

/// On the real server that the tests start.
macro_rules! on_the_real_server {
    ($($module:ident::$scenario:ident,)*) => {
        mod real {
            use crate::stalwart::Real;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    Box::pin(crate::$module::$scenario(Real::start().await)).await;
                }
            )*
        }
    };
}

/// On the simulator.
macro_rules! on_the_simulator {
    ($($module:ident::$scenario:ident,)*) => {
        mod simulated {
            use crate::simulator::Simulated;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    Box::pin(crate::$module::$scenario(Simulated::start().await)).await;
                }
            )*
        }
    };
}

/// On a Stalwart 0.16, where one is named (`named.rs`).
macro_rules! on_a_named_server {
    ($($module:ident::$scenario:ident,)*) => {
        mod named_016 {
            use crate::named::Named;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    if let Some(place) = Named::open().await {
                        Box::pin(crate::$module::$scenario(place)).await;
                    }
                }
            )*
        }
    };
}

/// Each scenario on a real server and on the simulator, so that none can be written for one of them alone. `by_jmap` asks nothing of a server
/// but JMAP: on each of them. `ours` needs one that can be stopped and put back, `dav` one that speaks CalDAV and CardDAV.
macro_rules! scenarios {
    (by_jmap { $($by_jmap:tt)* } ours { $($ours:tt)* } dav { $($dav:tt)* }) => {
        on_the_real_server! { $($by_jmap)* $($ours)* }
        on_the_simulator! { $($by_jmap)* $($ours)* $($dav)* }
        on_a_named_server! { $($by_jmap)* $($dav)* }
    };
}

scenarios! {
    by_jmap {
        faithful::real_mail_in_odd_folders_comes_back_byte_for_byte,
        types::every_other_type_comes_back_and_follows_its_changes,
        reader::an_administrator_reads_what_the_owner_reads_and_a_neighbour_nothing,
        timeline::an_account_deleted_and_made_again,
        live::mail_arrives_moves_and_vanishes_while_it_is_backed_up,
        giving_back::everything_comes_back_into_an_empty_account,
        exactly::random_edits_are_undone_and_the_undoing_too,
        exactly::filters_come_back_into_another_account,
        alive::an_exact_restore_loses_nothing_that_arrives,
    }
    ours {
        timeline::a_restarted_server_has_nothing_new,
        timeline::a_truncated_history,
        timeline::a_server_rolled_back_behind_the_last_backup,
        timeline::a_server_rolled_back_whose_states_repeat,
    }
    dav {
        dav::calendars_and_contacts_come_back_as_other_programs_see_them,
        dav_properties::what_programs_set_to_calendars_comes_back,
        dav_requests::properties_are_set_found_and_removed,
        dav_requests::properties_are_refused,
        dav_requests::live_properties_are_those_of_jmap,
        dav_requests::members_have_properties_too,
        dav_made::calendars_are_made_with_properties,
        dav_made::address_books_are_made_with_properties,
        dav_found::calendar_queries_match_uids,
        dav_found::answers_are_limited,
    }
}
