//! Which situation makes which code, checked both ways: every code stands in
//! one of the two tables, and every situation of the lab in one of the lists.
//!
//! That a situation says the code it stands for is shown by its run: `cargo xtask
//! prove lab` compares [`MADE`] with what was said.

use std::collections::BTreeSet;
use std::process::Command;

use netloom_explain::catalogue::codes;

use crate::record;

/// Each code, and a situation that makes it: one of the lab, or with `it::` one
/// in the tests of the program as a whole.
const MADE: &str = "
accept.no-descriptors           it::descriptors::a_full_descriptor_table_neither_ends_the_server_nor_makes_it_spin
bind.denied.path                paths::a_folder_that_may_not_be_written_to
bind.denied.privileged-port     bind::a_low_port_needs_a_capability
bind.in-use.bound               bind::a_socket_that_does_not_listen_holds_the_port
bind.in-use.bound               datagrams::a_taken_port_names_its_holder
bind.in-use.connection          bind::a_connection_of_a_dead_listener_holds_the_port
bind.in-use.listener            bind::a_port_that_a_python_server_has_is_taken_by_pid_and_name
bind.in-use.overlap             bind::a_wildcard_overlaps_an_address_and_the_other_family
bind.in-use.socket-file         unix::a_socket_file_in_use_names_its_holder_and_a_left_over_one_is_told
bind.in-use.time-wait           bind::only_time_wait_holds_the_port
bind.no-device                  family::an_interface_that_is_not_there
bind.no-scope                   bind::a_link_local_address_needs_its_interface
bind.no-such-path               paths::a_folder_that_is_not_there
bind.not-local                  bind::an_address_of_another_host_is_not_local
connect.denied.local-firewall   connect::this_hosts_own_rules_drop_and_reject
connect.denied.local-firewall   talk::root_is_told_which_rule_it_is
connect.denied.path             paths::a_socket_that_this_user_may_not_use
connect.family-broken           family::one_family_hangs_and_the_other_answers
connect.no-local-port           connect::the_local_ports_are_used_up
connect.no-such-path            unix::a_socket_file_in_use_names_its_holder_and_a_left_over_one_is_told
connect.no-target               it::balance::a_list_in_a_file_is_followed_and_an_empty_one_is_told
connect.not-a-socket            paths::a_file_that_is_no_socket
connect.other                   paths::a_socket_that_takes_datagrams
connect.overtaken               family::one_family_hangs_and_the_other_answers
connect.refused.loopback-only   connect::it_listens_on_loopback_only
connect.refused.no-listener     connect::nothing_listens_and_the_port_beside_it_is_named
connect.refused.no-listener     network::a_host_that_rejects_by_rule_is_told_from_one_that_listens_not
connect.refused.no-listener     network::another_host_refuses_and_one_end_cannot_tell_why
connect.refused.other-family    connect::it_listens_on_the_other_family_only
connect.rejected.firewall       network::a_host_that_rejects_by_rule_is_told_from_one_that_listens_not
connect.rejected.firewall       network::a_router_that_prohibits_it_is_named
connect.rejected.firewall       network::a_router_that_says_it_once_has_been_heard
connect.self                    connect::a_client_meets_itself
connect.stale-socket            unix::a_socket_file_in_use_names_its_holder_and_a_left_over_one_is_told
connect.timeout.dropped         greet::port_25_is_dropped_and_another_port_answers
connect.timeout.dropped         network::silence_names_who_answered_last
connect.timeout.queue-full      connect::the_accept_queue_is_full
connect.timeout.queue-full      paths::the_accept_queue_of_a_path_is_full
connect.unreachable.neighbour   datagrams::another_host_and_a_router_are_told_apart
connect.unreachable.neighbour   network::a_router_that_finds_no_host_is_named
connect.unreachable.neighbour   network::the_neighbour_is_dead
connect.unreachable.no-route    datagrams::there_is_no_route_for_a_datagram
connect.unreachable.no-route    network::there_is_no_route
create.family-unsupported       family::a_sandbox_without_ipv6
create.no-descriptors           limits::the_descriptors_are_used_up
exec.denied                     talk::programs_that_cannot_be_run_are_told_apart
exec.failed                     talk::programs_that_end_badly_say_how
exec.not-found                  talk::programs_that_cannot_be_run_are_told_apart
fd.not-usable                   paths::a_descriptor_that_nobody_handed_over
ftp.data-unreachable            greet::a_firewall_closes_the_ports_for_data
ftp.data-unreachable            greet::an_ftp_server_names_its_inner_address
greet.closed-before-banner      greet::closed_and_reset_before_a_byte
greet.other                     greet::a_server_that_ends_in_the_middle_of_its_opening
greet.refused                   greet::a_broker_that_knows_nobody_refuses
greet.refused                   greet::a_mail_server_that_refuses_is_quoted
greet.refused                   greet::sshd_has_as_many_beginners_as_it_takes
greet.timeout                   greet::a_silent_server_is_healthy_for_bytes_and_late_for_mail
greet.upgrade-refused           http::nginx::it_drops_the_upgrade_header_until_it_is_told_to_pass_it_on
greet.upgrade-refused           http::wrong::an_ordinary_server_and_a_replayed_answer_are_no_websocket
greet.upgrade-refused           http::wrong::an_upgrade_is_refused
greet.wrong-protocol            greet::each_protocol_is_known_behind_the_wrong_scheme
greet.wrong-protocol            proxy::it_is_a_proxy_of_another_kind
host.not-sound                  it::doctor::a_machine_without_loopback_is_not_sound_until_it_is_mended
http.captive-portal             http::wrong::a_network_asks_for_a_sign_in
http.early-reply                http::wrong::the_server_answers_before_it_has_the_body
http.gateway                    http::nginx::nothing_is_behind_it
http.gateway                    http::wrong::a_gateway_answers_for_a_server_that_does_not
http.proxied                    http::wrong::a_proxy_answers
http.redirect-loop              http::wrong::redirects_in_circles
http.redirect-loop              http::wrong::redirects_without_end_over_two_endpoints_are_found_when_they_are_followed
http.wrong-host                 http::wrong::the_name_of_a_site_is_missing_in_the_request
http.wrong-host                 http::wrong::the_server_says_that_the_request_is_not_for_it
join.no-interface               datagrams::no_interface_carries_the_group
lan.multicast-silent            datagrams::a_group_is_silent_where_it_is_not_joined
lan.multicast-silent            groups::a_program_of_this_host_that_does_not_hear_itself_is_named
lan.multicast-silent            groups::a_router_between_passes_a_group_on_only_with_a_ttl
lan.multicast-silent            groups::a_sender_that_speaks_to_another_port_is_counted
lan.multicast-silent            groups::a_switch_that_snoops_without_a_querier_passes_nothing_on
lan.multicast-silent            groups::the_reverse_path_filter_eats_a_group_of_a_sender_elsewhere
lan.multicast-silent            groups::this_hosts_own_rules_eat_a_group
lan.multicast-silent            groups::who_asks_a_group_behind_a_router_is_told_of_the_ttl
limit.idle                      it::hostile::an_idle_connection_is_let_go_and_a_busy_one_is_kept
limit.lifetime                  it::hostile::a_lifetime_ends_even_the_busy
limit.queue-timeout             it::balance::a_line_before_a_full_target_has_an_end_and_a_limit
limit.reached                   it::limits::more_clients_than_may_wait_and_come_in_as_others_leave
limit.slow-reader               it::chat::who_does_not_read_is_dropped_with_its_reason_and_delays_nobody
parse.config                    it::contract::a_mistake_of_usage_is_a_diagnosis_too
parse.config                    it::plan::a_broken_file_is_told_all_its_mistakes_at_once
parse.endpoint                  it::contract::a_mistake_of_usage_is_a_diagnosis_too
parse.setting                   it::contract::a_mistake_of_usage_is_a_diagnosis_too
parse.usage                     it::contract::a_mistake_of_usage_is_a_diagnosis_too
proxy.denied                    proxy::the_proxy_wants_a_login_or_another
proxy.header-invalid            it::proxy_protocol::what_is_no_header_is_reset_and_told_with_its_code
proxy.header-missing            it::proxy_protocol::a_server_that_wants_a_header_and_one_that_wants_none_are_told_apart
proxy.header-missing            it::proxy_protocol::what_is_no_header_is_reset_and_told_with_its_code
proxy.header-refused            it::proxy_protocol::a_server_that_wants_a_header_and_one_that_wants_none_are_told_apart
proxy.header-untrusted          it::proxy_protocol::a_header_from_an_untrusted_source_is_refused_counted_and_told
proxy.refused                   proxy::nothing_listens_behind_the_proxy
recv.bad-frame                  it::framing::wrong::a_peer_that_speaks_otherwise_is_told
recv.dropped                    it::datagrams::drops_are_told_while_it_goes_on
recv.frame-too-large            http::wrong::the_head_of_the_answer_is_more_than_anybody_needs
recv.frame-too-large            it::hostile::a_line_without_an_end_is_cut_off
recv.partial                    http::wrong::the_server_ends_in_the_middle_of_its_answer
recv.reset                      talk::the_server_aborts_and_nothing_was_sent
recv.reset                      talk::the_server_closes_over_unread_bytes
recv.reset                      talk::the_server_is_gone_after_a_reset
recv.timeout                    it::contract::timeout_ends_a_client_with_a_diagnosis_and_a_server_in_order
recv.timeout                    talk::the_other_program_does_not_read
recv.timeout                    talk::the_other_program_read_all_and_does_not_answer
recv.truncated                  it::datagrams::what_is_cut_or_too_large_is_told
recv.unexpected                 http::wrong::the_head_of_the_answer_is_more_than_anybody_needs
recv.unexpected                 it::pipes::expect_ends_well_when_it_comes_and_badly_when_it_does_not
resolve.no-address              resolve::the_name_has_no_address
resolve.no-family               resolve::the_name_has_no_address_of_that_family
resolve.no-such-name            resolve::a_slip_is_found_in_the_hosts_file
resolve.no-such-name            resolve::single_words_and_reserved_names_are_told_apart
resolve.no-such-name            resolve::the_name_does_not_exist
resolve.server-failed           resolve::every_server_that_fails_is_named
resolve.slow                    resolve::a_dead_server_before_a_good_one_is_noted
resolve.timeout                 resolve::the_server_is_silent
send.denied.broadcast           datagrams::broadcast_is_denied_until_it_is_asked_for
send.denied.local-firewall      datagrams::this_hosts_own_rules_keep_a_datagram_in
send.peer-closed                datagrams::a_unix_receiver_that_is_gone_is_told
send.peer-closed                talk::the_peer_had_closed
send.refused.no-listener        datagrams::a_closed_port_is_told_by_its_host
send.rejected.firewall          datagrams::a_rule_of_the_host_itself_is_no_closed_port
send.too-large                  datagrams::what_does_not_fit_names_the_limit
send.unframeable                it::framing::wrong::what_cannot_be_sent_is_told_with_its_line
smtp.port-blocked               greet::port_25_is_dropped_and_another_port_answers
stopped                         it::signals::a_program_reads_that_its_conversation_was_stopped
stuck.both-reading              talk::the_other_program_waits_too
stuck.both-writing              it::stuck::servers_tell_who_does_not_read
stuck.both-writing              talk::both_programs_write
stuck.half-open                 talk::the_peer_is_gone_without_a_word
stuck.reader-stopped            it::stuck::servers_tell_who_does_not_read
stuck.reader-stopped            talk::the_other_program_is_stopped
tls.client-certificate-required tls::the_server_wants_a_certificate_of_the_client
tls.closed                      tls::the_server_closes_at_the_first_hello
tls.expired                     tls::a_certificate_is_out_of_its_time
tls.expires-soon                it::explain::a_certificate_that_expires_soon_fails_before_it_does
tls.missing-intermediate        tls::a_certificate_between_is_missing_and_can_be_fetched
tls.name-mismatch               tls::a_certificate_is_for_other_names
tls.name-mismatch               tls::the_right_certificate_is_shown_only_without_a_name
tls.no-common-alpn              tls::there_is_no_application_protocol_in_common
tls.no-common-cipher            tls::there_is_no_cipher_or_group_in_common
tls.no-common-version           tls::there_is_no_version_in_common
tls.not-yet-valid               tls::a_certificate_is_out_of_its_time
tls.other                       tls::the_server_has_a_fault_of_its_own
tls.peer-speaks-plain           tls::the_server_speaks_something_else
tls.peer-speaks-tls             greet::a_healthy_broker_over_tls_is_told
tls.peer-speaks-tls             greet::a_server_that_waits_for_tls_is_silent_or_answers_in_it
tls.peer-speaks-tls             http::nginx::it_wants_tls_on_this_port
tls.peer-speaks-tls             http::wrong::the_port_is_for_tls
tls.self-signed                 tls::a_certificate_signs_itself_until_it_is_trusted
tls.timeout                     tls::the_server_says_nothing
tls.truncated                   tls::the_stream_is_cut_without_a_goodbye
tls.unknown-name                tls::the_server_does_not_know_the_name
tls.untrusted-issuer            tls::a_client_that_does_not_trust_us_is_told_of
tls.untrusted-issuer            tls::an_authority_is_private_until_it_is_trusted
";

const NO_SUCH_ERRNO: &str =
    "the class of what has no name: no errno without a code of its own can be had there";

/// The codes that no situation makes, and why.
const NOT_MADE: &[(&str, &str)] = &[
    ("accept.other", NO_SUCH_ERRNO),
    ("bind.other", NO_SUCH_ERRNO),
    ("close.other", NO_SUCH_ERRNO),
    ("create.other", NO_SUCH_ERRNO),
    ("join.other", NO_SUCH_ERRNO),
    ("listen.other", NO_SUCH_ERRNO),
    (
        "parse.other",
        "every mistake of a person has a code of its own",
    ),
    ("recv.other", NO_SUCH_ERRNO),
    (
        "recv.reset.keep-alive-race",
        "only a connection that is used again meets it, and none is yet",
    ),
    (
        "resolve.other",
        "the resolver's answers all have codes of their own",
    ),
    ("send.other", NO_SUCH_ERRNO),
    (
        "slow.other",
        "nothing measures yet what makes a conversation slow",
    ),
    (
        "stuck.other",
        "only a simulated world can know that everybody waits",
    ),
];

/// Nothing is wrong, and nothing is said.
const HEALTHY: &str = "
datagrams::a_group_is_joined_on_every_interface_and_each_is_named
datagrams::a_group_is_sent_through_every_interface_without_a_route
datagrams::a_group_of_ipv6_is_reached_as_soon_as_an_address_may_be_used
datagrams::only_the_sender_that_was_asked_for_is_heard
bind::a_restarted_server_with_reuse_address_is_healthy
connect::a_server_that_answers_is_healthy
greet::a_healthy_broker_is_told
greet::a_healthy_broker_over_tls_is_told
greet::a_healthy_ftp_server_is_told_with_its_data_ports
greet::a_healthy_mail_server_is_told
greet::a_healthy_sshd_is_told
greet::a_server_with_a_banner_of_its_own_is_healthy
healthy::a_backlog_of_one_that_is_used
healthy::a_certificate_that_signs_itself_and_is_trusted
healthy::a_chain_with_its_intermediate
healthy::a_descriptor_table_that_is_nearly_full
healthy::a_firewall_that_only_counts
healthy::a_link_local_address_with_its_interface
healthy::a_name_in_the_hosts_file
healthy::a_peer_that_says_its_last_word_and_reads_on
healthy::a_program_that_answers_and_ends_well
healthy::a_server_of_our_own
healthy::a_server_that_answers_and_closes_first
healthy::a_server_that_says_nothing_first
healthy::a_server_that_takes_a_second_to_answer
healthy::a_server_that_wants_a_certificate_and_gets_it
healthy::a_session_that_is_taken_up_again
healthy::a_unix_socket_with_and_without_a_file
healthy::a_way_over_a_router_and_a_slow_cable
healthy::local_ports_that_are_nearly_used_up
healthy::names_with_one_family_or_a_search_domain
healthy::servers_of_either_version_and_protocol
healthy::sixty_four_mebibytes_there_and_back
http::healthy::a_site_over_tls_whose_authority_is_named
http::healthy::a_websocket_that_echoes
http::healthy::pages_that_are_there_or_not_and_redirects
network::a_host_that_answers_is_healthy
";

/// What is said beyond the code: causes, evidence and fixes.
const BESIDES: &str = "
proxy::the_proxy_itself_is_not_there
http::nginx::it_refuses_a_body_and_reads_it_all_the_same
resolve::no_name_server_runs_there
resolve::there_is_no_way_to_the_server
resolve::there_is_nobody_to_ask
talk::there_is_no_such_family
";

/// How many classes of what has no name are made at least.
const OTHERS: usize = 3;

/// The tests of the program that situations are taken from.
const PROGRAM: &[(&str, &str)] = &[
    ("chat", include_str!("../../../netloom/tests/it/chat.rs")),
    (
        "balance",
        include_str!("../../../netloom/tests/it/balance.rs"),
    ),
    (
        "contract",
        include_str!("../../../netloom/tests/it/contract.rs"),
    ),
    (
        "descriptors",
        include_str!("../../../netloom/tests/it/descriptors.rs"),
    ),
    (
        "doctor",
        include_str!("../../../netloom/tests/it/doctor.rs"),
    ),
    (
        "explain",
        include_str!("../../../netloom/tests/it/explain.rs"),
    ),
    (
        "datagrams",
        include_str!("../../../netloom/tests/it/datagrams.rs"),
    ),
    (
        "framing::wrong",
        include_str!("../../../netloom/tests/it/framing/wrong.rs"),
    ),
    (
        "hostile",
        include_str!("../../../netloom/tests/it/hostile.rs"),
    ),
    (
        "limits",
        include_str!("../../../netloom/tests/it/limits.rs"),
    ),
    ("pipes", include_str!("../../../netloom/tests/it/pipes.rs")),
    ("plan", include_str!("../../../netloom/tests/it/plan.rs")),
    (
        "proxy_protocol",
        include_str!("../../../netloom/tests/it/proxy_protocol.rs"),
    ),
    (
        "signals",
        include_str!("../../../netloom/tests/it/signals.rs"),
    ),
    ("stuck", include_str!("../../../netloom/tests/it/stuck.rs")),
];

/// Every situation of this program.
fn situations() -> BTreeSet<String> {
    let own = std::env::current_exe().unwrap();
    let listed = Command::new(own).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    tests.map(str::to_owned).collect()
}

/// The text of a test of the program, named `it::FILE::TEST`.
fn of_the_program(situation: &str) -> Option<&'static str> {
    let (file, test) = situation.strip_prefix("it::")?.rsplit_once("::")?;
    let (_, source) = PROGRAM.iter().find(|(name, _)| *name == file)?;
    let from = source.find(&format!("#[test]\nfn {test}() {{"))?;
    let to = source[from..].find("\n}\n")?;
    Some(&source[from..from + to])
}

/// Code and situation of each row.
fn made() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = MADE.lines().filter(|line| !line.is_empty());
    rows.map(|line| {
        let (code, situation) = line.split_once(' ').unwrap();
        (code, situation.trim_start())
    })
}

fn list(text: &'static str) -> BTreeSet<&'static str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_code_is_made_or_has_its_reason() {
    let known: BTreeSet<&str> = codes().map(|card| card.code).collect();
    let in_made: BTreeSet<&str> = made().map(|(code, _)| code).collect();
    let not: BTreeSet<&str> = NOT_MADE.iter().map(|(code, _)| *code).collect();
    assert_eq!(not.len(), NOT_MADE.len());
    let both: Vec<_> = in_made.intersection(&not).collect();
    assert!(both.is_empty(), "made and not made: {both:?}");
    let either: BTreeSet<&str> = in_made.union(&not).copied().collect();
    let missing: Vec<_> = known.difference(&either).collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");
    let unknown: Vec<_> = either.difference(&known).collect();
    assert!(unknown.is_empty(), "no such codes: {unknown:?}");
    let others = in_made
        .iter()
        .filter(|code| code.rsplit('.').next() == Some("other"));
    assert!(others.count() >= OTHERS);

    let all = situations();
    for (code, situation) in made() {
        if situation.starts_with("it::") {
            let text = of_the_program(situation);
            let text = text.unwrap_or_else(|| panic!("no such test: {situation}"));
            assert!(text.contains(code), "{situation} knows nothing of {code}");
        } else {
            assert!(all.contains(situation), "no such situation: {situation}");
        }
        record::made(situation, code);
        println!("{code:<32}{situation}");
    }
    for (code, why) in NOT_MADE {
        println!("{code:<32}not made: {why}");
    }
}

#[test]
fn every_situation_has_its_place() {
    let healthy = list(HEALTHY);
    assert!(healthy.len() >= 20, "{}", healthy.len());
    let making = made().map(|(_, situation)| situation);
    let own = making.filter(|situation| !situation.starts_with("it::"));
    let here = own.chain(healthy).chain(list(BESIDES));
    let placed: BTreeSet<String> = here.map(str::to_owned).collect();
    let all: BTreeSet<String> = situations()
        .into_iter()
        .filter(|situation| !situation.starts_with("coverage::"))
        .collect();
    let lost: Vec<_> = all.difference(&placed).collect();
    assert!(lost.is_empty(), "in no list: {lost:?}");
    let gone: Vec<_> = placed.difference(&all).collect();
    assert!(gone.is_empty(), "no such situations: {gone:?}");
}
