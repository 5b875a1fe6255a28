//! The store's contract: every scenario runs on SQLite, and on a PostgreSQL that the test starts for itself.
//!
//! Where PostgreSQL is not installed its half is skipped, and says so; `cargo xtask test` tells at its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clusters;
mod fixture;
mod gateways;
mod journal;
mod leases;
mod pairing;
mod people;
mod postgres;
mod sealing;
mod sqlite;
#[path = "../../../../xtask/shared/tier.rs"]
mod tier;

use fixture::Fixture;

/// Lists the scenarios once and makes a test of each for SQLite, and a table of them for PostgreSQL.
macro_rules! contract {
    ($($module:ident :: $name:ident,)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let folder = tempfile::tempdir().unwrap();
                    let fixture = crate::Fixture::open(folder.path().join("plane.db").display().to_string()).await;
                    crate::$module::$name(&fixture).await;
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_contract_holds_on_postgresql() {
            let Some(server) = postgres::Server::start() else { return };
            $({
                let fixture = Fixture::open(server.new_database(stringify!($name))).await;
                // Tells which one failed: the output is shown only then.
                eprintln!("on PostgreSQL: {}", stringify!($name));
                $module::$name(&fixture).await;
                fixture.store.close().await;
            })*
            postgres::is_reached_over_tls(&server).await;
        }
    };
}

contract! {
    people::a_tenant_and_its_users_are_read_back,
    people::an_email_address_is_taken_once_in_any_case,
    people::a_user_is_changed_in_part,
    people::a_session_is_found_by_its_token_until_it_ends,
    people::a_token_is_good_until_it_expires_or_is_revoked,
    people::what_a_credential_made_is_revoked_with_it,
    people::who_locks_a_user_waits_for_who_did_before,
    people::every_page_of_a_list_is_given_once,
    pairing::a_pairing_code_is_used_by_exactly_one_of_many,
    pairing::a_pairing_code_says_why_it_is_refused,
    pairing::a_used_code_is_forgotten_with_its_gateway_and_not_before,
    pairing::a_code_given_back_by_a_rollback_is_good_again,
    pairing::an_enrolment_token_is_used_by_exactly_one_of_many,
    pairing::a_newer_enrolment_token_ends_the_older_of_its_node,
    gateways::a_gateway_is_read_back_with_its_secrets,
    gateways::a_gateways_name_is_free_again_once_it_is_deleted,
    gateways::of_many_gateways_of_one_name_one_is_made,
    gateways::a_gateway_moves_only_from_the_state_that_was_seen,
    gateways::a_replaced_node_loses_its_key,
    gateways::a_lost_node_is_not_taken_from_the_replica_it_moved_to,
    gateways::an_account_in_use_is_not_deleted,
    gateways::the_account_of_a_gateway_is_deleted_after_it,
    gateways::what_was_left_behind_outlives_its_gateway,
    gateways::nothing_of_a_transaction_remains_when_a_step_fails,
    clusters::a_cluster_is_read_back_whole,
    clusters::a_change_made_to_an_old_generation_is_refused,
    clusters::what_a_pass_found_is_not_written_over_a_deletion,
    clusters::states_follow_their_rules,
    clusters::clusters_are_filtered_by_everything,
    clusters::machines_are_what_the_last_pass_saw,
    clusters::an_operation_and_its_steps_keep_their_times,
    clusters::deleted_things_are_forgotten_in_their_order,
    journal::events_written_by_many_are_streamed_without_a_gap,
    journal::a_stream_goes_on_after_a_forgotten_event,
    journal::events_are_listed_newest_first_by_page,
    journal::the_audit_is_filtered_and_forgotten_by_age,
    leases::a_lease_is_held_by_exactly_one_of_many,
    leases::a_lease_ends_by_itself_and_is_not_renewed_afterwards,
    sealing::no_secret_is_in_the_database_in_the_clear,
    sealing::a_changed_secret_is_named_by_table_column_and_row,
    sealing::a_secret_moved_to_another_row_is_noticed,
    sealing::the_key_of_another_plane_is_refused_at_once,
    sealing::a_setting_is_set_once_by_one_of_many,
}
