"""Other endpoints, connections, the cache, and the server's life. Sections 6 to 8."""

from __future__ import annotations

from .row import Row, met, unmet

__all__ = ["SERVERS"]

_ADMIN = "for those who run the server, not for its clients"

SERVERS: tuple[Row, ...] = (
    met(
        "6.1",
        "/health, /health_generate, /ready, /ping",
        "endpoint: /health",
        "endpoint: /health_generate",
        "endpoint: /ready",
        "endpoint: /ping",
    ),
    met("6.1", "/server_info and its alias", "endpoint: /server_info", "later: /get_server_info"),
    met("6.1", "/model_info and its alias", "endpoint: /model_info", "endpoint: /get_model_info"),
    met(
        "6.1", "/v1/loads, /get_load", "endpoint: /v1/loads", "endpoint: /get_load", "later: /v1/loads of unknown parts"
    ),
    met(
        "6.1",
        "/flush_cache",
        "endpoint: /flush_cache",
        "later: /flush_cache by GET",
        "testing/http::a_flush_waits_for_idleness_as_long_as_it_may",
        "live/client_live::flush_cache_makes_the_next_expand_compute_its_prefix_again",
    ),
    met(
        "6.1",
        "/abort_request is always 200",
        "endpoint: /abort_request of nobody",
        "later: /abort_request of an empty id",
    ),
    met("6.1", "/v1/models", "endpoint: /v1/models", "later: an unknown model"),
    met(
        "6.1",
        "/tokenize",
        "endpoint: /tokenize*",
        "later: /v1/tokenize",
        "contract/prefix::a_chat_is_rendered_by_the_server_when_the_profile_says_so",
    ),
    met("6.1", "/detokenize", "endpoint: /detokenize", "later: /v1/detokenize", "later: /detokenize of two"),
    met(
        "6.1",
        "/classify and /encode of a generation model",
        "endpoint: /classify of a generation model",
        "endpoint: /encode of a generation model",
    ),
    met("6.1", "/classify and /encode of a reward model", "reward: *"),
    met("6.1", "/v1/score", "testing/generate::label_probabilities_of_generate_and_of_score_agree"),
    met("6.1", "/metrics", "endpoint: /metrics"),
    met(
        "6.1",
        "/pause_generation, /continue_generation of others",
        "testing/http::a_pause_aborts_what_runs_and_keeps_what_comes",
    ),
    met("6.1", "endpoints of some versions", "testing/http::each_version_has_its_own_endpoints"),
    unmet("6.1", "/open_session, /close_session", "see 6.3"),
    unmet("6.1", "weight updates, LoRA, profiling, logging, HiCache, roles", _ADMIN),
    met(
        "6.2",
        "an abort needs a known id and reaches all that begin so",
        "testing/aborts::an_abort_reaches_all_ids_that_begin_so_but_only_through_a_known_one",
        "testing/scheduler::an_abort_matches_by_prefix_and_a_running_sample_gets_one_more_token",
    ),
    met(
        "6.2",
        "ids of the client stop nobody else",
        "live/streams_live::eight_samples_can_be_aborted_one_by_one_and_the_others_finish",
        "server_calls::an_id_that_could_stop_everybody_is_refused",
    ),
    met(
        "6.2",
        "it needs the admin key where there is one",
        "server_calls::samples_that_are_given_up_are_stopped_with_the_admin_key",
    ),
    unmet("6.3", "sessions", "they save bytes, not work, and tie a tree to one conversation"),
    met(
        "6.4",
        "which key opens what",
        "testing/http::keys_open_what_sglang_opens_with_them",
        "server_calls::the_admin_key_is_for_flushes_and_aborts_and_not_for_generation",
        "contract/first_contact::the_key_goes_in_the_header_and_nowhere_else",
    ),
    met(
        "6.5",
        "an idle connection is closed after 5 s",
        "testing/http::an_idle_connection_is_closed_after_5_seconds",
        "transport/pool::an_idle_connection_is_closed_at_sixty_percent_of_the_servers_time",
    ),
    met(
        "6.5",
        "a 500 closes the connection",
        "testing/faults::replies_on_purpose",
        "transport/pool_breaks::a_used_connection_that_breaks_before_the_first_byte_was_idle",
    ),
    met("6.5", "TLS", "survival/bad_replies::tls_to_a_plain_server_is_a_typed_error_at_once"),
    unmet("6.5", "HTTP/2, gRPC, the Rust front end", "off by default; the client speaks HTTP/1.1 to the Python one"),
    unmet("6.5", "CORS", "for browsers"),
    met(
        "6.6",
        "names of counters",
        "endpoint: /metrics",
        "wire/info::counters_are_summed_over_workers_and_counted_once_a_tensor_parallel_group",
    ),
    met(
        "7.1",
        "when tokens become matchable",
        "testing/scheduler::a_prompt_is_matchable_after_its_prefill_and_output_only_at_the_end",
        "live/client_live::a_child_computes_only_the_last_token_of_its_prompt",
    ),
    met(
        "7.2",
        "at most all but the last token, whole pages",
        "testing/scheduler::all_but_the_last_prompt_token_match",
        "testing/scheduler::matches_are_rounded_down_to_pages",
        "request: *",
        "rid: *",
    ),
    met(
        "7.2",
        "namespaces share nothing",
        "later: a namespace shares nothing with another",
        "testing/radix::namespaces_share_nothing",
    ),
    met("7.2", "no radix cache", "testing/scheduler::without_a_radix_cache_nothing_is_reused"),
    unmet(
        "7.2",
        "pages of 64 and 128 forced by a GPU's attention backend",
        "the suite's servers run on CPUs; the page size is read from /server_info",
    ),
    met(
        "7.3",
        "fcfs, lpm up to 128 waiting",
        "testing/scheduler::lpm_begins_with_the_longest_match_up_to_128_waiting",
        "testing/scheduler::lpm_keeps_siblings_of_a_cold_prefix_back_for_one_step",
    ),
    met(
        "7.3",
        "cold siblings are all computed",
        "testing/scheduler::cold_siblings_of_one_step_are_all_computed",
        "live/client_live::concurrent_expands_of_one_cold_root_compute_it_once",
    ),
    met("7.3", "chunks", "testing/scheduler::a_long_prompt_is_computed_in_chunks"),
    unmet(
        "7.3",
        "random, dfs-weight, lof, routing-key, hrrn, shortest-prefill-first",
        "they change the order, not the replies",
    ),
    met(
        "7.4",
        "the least recently used leaf goes first",
        "testing/radix::the_least_recently_used_leaf_goes_first",
        "live/shadow_live::a_search_that_overflows_the_cache_is_predicted_to_the_token",
    ),
    met("7.4", "retraction", "testing/scheduler::samples_that_do_not_fit_lose_their_place_and_end_all_the_same"),
    unmet("7.4", "HiCache, other policies of eviction", "flags that change how much is cached, which the replies tell"),
    unmet("7.5", "priority scheduling", "the client sends no priority"),
    unmet("7.6", "data parallelism", "it needs several GPUs; the ranks are told in capabilities.dp_size"),
    met(
        "7.7",
        "what is seen from outside",
        "wire/info::three_replies_make_the_facts",
        "wire/admin::each_worker_has_its_load",
        "engine/branches::usage_is_what_the_server_counted",
    ),
    met(
        "8",
        "a server that is not ready",
        "server_calls::no_answer_in_time_is_a_no",
        "testing/http::health_takes_a_second_and_a_draining_server_is_unhealthy",
    ),
    met(
        "8",
        "a server that goes and comes",
        "testing/http::a_killed_server_resets_its_clients_and_loses_its_cache",
        "contract/failures::a_server_that_was_gone_makes_every_prefix_cold",
    ),
    unmet("8", "flags, readiness of the process, signals", "the server tool's: server/tests"),
    met(
        "8.1",
        "what routers take and drop",
        "contract/router_recorded::the_imitation_answers_as_the_recorded_router",
        "router::what_a_router_cannot_do_is_refused_by_name_before_anything_is_generated",
    ),
    met("8.1", "what routers tell", "contract/router_recorded::what_a_real_router_tells_is_read"),
    unmet("8.1", "policies, circuit breakers and queues inside a router", "they are set where it is started"),
)
