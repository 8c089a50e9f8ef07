/* The counters of dataplane: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_DATAPLANE \
	X(DATAPLANE_STARTS, "fabric_dataplane_start_generation", "", "Generation of the running worker") \
	X(DATAPLANE_HEAP, "fabric_dataplane_heap_bytes", "", "Bytes of memory that are in use, of what the process has") \
	X(DP_UDP_READS, "fabric_udp_reads_total", "", "Messages that the kernel gave, each one datagram or several put together") \
	X(DP_UDP_DATAGRAMS_IN, "fabric_udp_datagrams_total", "direction=\"in\"", "UDP datagrams") \
	X(DP_UDP_DATAGRAMS_OUT, "fabric_udp_datagrams_total", "direction=\"out\"", "UDP datagrams") \
	X(DP_UDP_WRITES, "fabric_udp_writes_total", "", "Messages that the kernel took, each one datagram or several to be cut") \
	X(DP_UDP_BLOCKED, "fabric_udp_blocked_total", "", "Times that a socket took no more") \
	X(DP_UDP_TRUNCATED, "fabric_udp_truncated_total", "", "Datagrams longer than the buffer") \
	X(DP_UDP_RECV_ERRORS, "fabric_udp_errors_total", "direction=\"in\"", "Errors of a socket") \
	X(DP_UDP_SEND_ERRORS, "fabric_udp_errors_total", "direction=\"out\"", "Errors of a socket") \
	X(DP_UDP_TOO_BIG, "fabric_udp_too_big_total", "", "Path MTU probes that the own device cannot send") \
	X(DP_UDP_GSO_OFF, "fabric_udp_gso_off_total", "", "Times that segmentation offload was found broken and turned off") \
	X(DP_PACKETS_IGNORED, "fabric_quic_ignored_total", "", "Packets that are no QUIC of ours") \
	X(DP_UNKNOWN_CID, "fabric_quic_unknown_connection_total", "", "Short header packets for no connection") \
	X(DP_RESETS_SENT, "fabric_quic_stateless_resets_total", "direction=\"out\"", "Stateless resets") \
	X(DP_RESETS_RECEIVED, "fabric_quic_stateless_resets_total", "direction=\"in\"", "Stateless resets") \
	X(DP_RETRY_SENT, "fabric_quic_retries_total", "", "Retry packets sent because many connections were half open") \
	X(DP_TOKENS_BAD, "fabric_quic_bad_tokens_total", "", "Initial packets with a token that is not ours, not theirs or too old") \
	X(DP_ACCEPTED, "fabric_quic_accepted_total", "", "Connections begun by a peer") \
	X(DP_ACCEPT_REFUSED, "fabric_quic_refused_total", "", "Connections refused before anything was kept") \
	X(DP_ACCEPT_AUTH_RATE, "fabric_quic_refused_prefix_total", "", "Of those, for failed authentications from their address prefix") \
	X(DP_ACCEPT_FULL, "fabric_quic_dropped_full_total", "", "First packets dropped because there were too many connections") \
	X(DP_HANDSHAKES, "fabric_quic_handshakes_total", "", "TLS handshakes that were completed") \
	X(DP_TLS_FAILURES, "fabric_quic_tls_failures_total", "", "TLS handshakes that failed") \
	X(DP_KEY_UPDATES, "fabric_quic_key_updates_total", "", "Key updates that were begun here") \
	X(DP_DIALS, "fabric_dials_total", "", "Connections dialled") \
	X(DP_DIALS_FAILED, "fabric_dials_failed_total", "", "Connections dialled that did not become a session") \
	X(DP_CONNS, "fabric_quic_connections", "", "Connections") \
	X(DP_HALF_OPEN, "fabric_quic_half_open", "", "Connections that are not authenticated") \
	X(DP_SESSIONS, "fabric_sessions", "", "Sessions that are up") \
	X(DP_SESSIONS_STARTED, "fabric_sessions_started_total", "", "Sessions that came up") \
	X(DP_SESSIONS_REPLACED, "fabric_sessions_replaced_total", "", "Sessions that a newer one of the same pair replaced") \
	X(DP_SILENT_NEW, "fabric_session_auth_timeout_total", "waiting=\"handshake\"", "Sessions that ran out of time, by what they waited for") \
	X(DP_SILENT_HELLO, "fabric_session_auth_timeout_total", "waiting=\"hello\"", "Sessions that ran out of time, by what they waited for") \
	X(DP_SILENT_AUTH, "fabric_session_auth_timeout_total", "waiting=\"auth\"", "Sessions that ran out of time, by what they waited for") \
	X(DP_SILENT_READY, "fabric_session_auth_timeout_total", "waiting=\"ready\"", "Sessions that ran out of time, by what they waited for") \
	X(DP_END_NONE, "fabric_sessions_ended_total", "by=\"us\",reason=\"none\"", "Connections that ended, by whose word and reason") \
	X(DP_END_INTERNAL, "fabric_sessions_ended_total", "by=\"us\",reason=\"internal\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PROTOCOL, "fabric_sessions_ended_total", "by=\"us\",reason=\"protocol\"", "Connections that ended, by whose word and reason") \
	X(DP_END_VERSION, "fabric_sessions_ended_total", "by=\"us\",reason=\"version\"", "Connections that ended, by whose word and reason") \
	X(DP_END_LIMIT, "fabric_sessions_ended_total", "by=\"us\",reason=\"limit\"", "Connections that ended, by whose word and reason") \
	X(DP_END_TIMEOUT, "fabric_sessions_ended_total", "by=\"us\",reason=\"timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_SHUTDOWN, "fabric_sessions_ended_total", "by=\"us\",reason=\"shutdown\"", "Connections that ended, by whose word and reason") \
	X(DP_END_DUPLICATE, "fabric_sessions_ended_total", "by=\"us\",reason=\"duplicate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_UNREACHABLE, "fabric_sessions_ended_total", "by=\"us\",reason=\"unreachable\"", "Connections that ended, by whose word and reason") \
	X(DP_END_NO_SERVICE, "fabric_sessions_ended_total", "by=\"us\",reason=\"no-service\"", "Connections that ended, by whose word and reason") \
	X(DP_END_REFUSED, "fabric_sessions_ended_total", "by=\"us\",reason=\"refused\"", "Connections that ended, by whose word and reason") \
	X(DP_END_IDLE, "fabric_sessions_ended_total", "by=\"us\",reason=\"idle\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_GONE, "fabric_sessions_ended_total", "by=\"us\",reason=\"peer-gone\"", "Connections that ended, by whose word and reason") \
	X(DP_END_UNSUPPORTED, "fabric_sessions_ended_total", "by=\"us\",reason=\"unsupported\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_RECORD, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-record\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_EXPIRED, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-expired\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_NOT_YET, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-not-yet\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_TENANT, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-tenant\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_AUTHORITY, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-authority\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_NODE, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-node\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_DELEGATION, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-delegation\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_PROOF, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-proof\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_SELF, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-self\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_POLICY, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-policy\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_TIMEOUT, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_AUTH_RATE, "fabric_sessions_ended_total", "by=\"us\",reason=\"auth-rate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_TAMPERED, "fabric_sessions_ended_total", "by=\"us\",reason=\"tampered\"", "Connections that ended, by whose word and reason") \
	X(DP_END_TARGET_DOWN, "fabric_sessions_ended_total", "by=\"us\",reason=\"target-down\"", "Connections that ended, by whose word and reason") \
	X(DP_END_TARGET_TIMEOUT, "fabric_sessions_ended_total", "by=\"us\",reason=\"target-timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_NOT_ALLOWED, "fabric_sessions_ended_total", "by=\"us\",reason=\"not-allowed\"", "Connections that ended, by whose word and reason") \
	X(DP_END_CONNECTION_RESET, "fabric_sessions_ended_total", "by=\"us\",reason=\"connection-reset\"", "Connections that ended, by whose word and reason") \
	X(DP_END_NO_KEY, "fabric_sessions_ended_total", "by=\"us\",reason=\"no-key\"", "Connections that ended, by whose word and reason") \
	X(DP_END_MOVED, "fabric_sessions_ended_total", "by=\"us\",reason=\"moved\"", "Connections that ended, by whose word and reason") \
	X(DP_END_NO_ROUTE, "fabric_sessions_ended_total", "by=\"us\",reason=\"no-route\"", "Connections that ended, by whose word and reason") \
	X(DP_END_ROUTE_EXPIRED, "fabric_sessions_ended_total", "by=\"us\",reason=\"route-expired\"", "Connections that ended, by whose word and reason") \
	X(DP_END_ROUTE_CLASS, "fabric_sessions_ended_total", "by=\"us\",reason=\"route-class\"", "Connections that ended, by whose word and reason") \
	X(DP_END_ROUTE_LIMIT, "fabric_sessions_ended_total", "by=\"us\",reason=\"route-limit\"", "Connections that ended, by whose word and reason") \
	X(DP_END_ROUTE_RATE, "fabric_sessions_ended_total", "by=\"us\",reason=\"route-rate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_HOP_GONE, "fabric_sessions_ended_total", "by=\"us\",reason=\"hop-gone\"", "Connections that ended, by whose word and reason") \
	X(DP_END_FENCED, "fabric_sessions_ended_total", "by=\"us\",reason=\"fenced\"", "Connections that ended, by whose word and reason") \
	X(DP_END_REVOKED, "fabric_sessions_ended_total", "by=\"us\",reason=\"revoked\"", "Connections that ended, by whose word and reason") \
	X(DP_END_BETTER, "fabric_sessions_ended_total", "by=\"us\",reason=\"better\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_NONE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"none\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_INTERNAL, "fabric_sessions_ended_total", "by=\"peer\",reason=\"internal\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_PROTOCOL, "fabric_sessions_ended_total", "by=\"peer\",reason=\"protocol\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_VERSION, "fabric_sessions_ended_total", "by=\"peer\",reason=\"version\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_LIMIT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"limit\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_TIMEOUT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_SHUTDOWN, "fabric_sessions_ended_total", "by=\"peer\",reason=\"shutdown\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_DUPLICATE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"duplicate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_UNREACHABLE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"unreachable\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_NO_SERVICE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"no-service\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_REFUSED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"refused\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_IDLE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"idle\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_PEER_GONE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"peer-gone\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_UNSUPPORTED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"unsupported\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_RECORD, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-record\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_EXPIRED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-expired\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_NOT_YET, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-not-yet\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_TENANT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-tenant\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_AUTHORITY, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-authority\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_NODE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-node\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_DELEGATION, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-delegation\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_PROOF, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-proof\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_SELF, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-self\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_POLICY, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-policy\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_TIMEOUT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_AUTH_RATE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"auth-rate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_TAMPERED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"tampered\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_TARGET_DOWN, "fabric_sessions_ended_total", "by=\"peer\",reason=\"target-down\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_TARGET_TIMEOUT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"target-timeout\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_NOT_ALLOWED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"not-allowed\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_CONNECTION_RESET, "fabric_sessions_ended_total", "by=\"peer\",reason=\"connection-reset\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_NO_KEY, "fabric_sessions_ended_total", "by=\"peer\",reason=\"no-key\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_MOVED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"moved\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_NO_ROUTE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"no-route\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_ROUTE_EXPIRED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"route-expired\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_ROUTE_CLASS, "fabric_sessions_ended_total", "by=\"peer\",reason=\"route-class\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_ROUTE_LIMIT, "fabric_sessions_ended_total", "by=\"peer\",reason=\"route-limit\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_ROUTE_RATE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"route-rate\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_HOP_GONE, "fabric_sessions_ended_total", "by=\"peer\",reason=\"hop-gone\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_FENCED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"fenced\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_REVOKED, "fabric_sessions_ended_total", "by=\"peer\",reason=\"revoked\"", "Connections that ended, by whose word and reason") \
	X(DP_END_PEER_BETTER, "fabric_sessions_ended_total", "by=\"peer\",reason=\"better\"", "Connections that ended, by whose word and reason") \
	X(DP_MTU_LOST, "fabric_sessions_path_smaller_total", "", "Sessions begun anew because their path carried no large packets any more") \
	X(DP_STREAMS, "fabric_streams", "", "Streams that are open") \
	X(DP_STREAMS_OPENED, "fabric_streams_opened_total", "", "Streams opened through this node") \
	X(DP_STREAMS_CLOSED, "fabric_streams_ended_total", "how=\"close\"", "Streams that ended") \
	X(DP_STREAMS_RESET, "fabric_streams_ended_total", "how=\"reset\"", "Streams that ended") \
	X(DP_STREAMS_REFUSED, "fabric_streams_refused_total", "", "Streams that could not be opened") \
	X(DP_STREAMS_MOVED, "fabric_streams_moved_total", "", "Streams of this node that were moved from one way to another") \
	X(DP_RECOVERED_CONTROL_100MS, "fabric_streams_recovered_total", "class=\"control\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_CONTROL_300MS, "fabric_streams_recovered_total", "class=\"control\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_CONTROL_1S, "fabric_streams_recovered_total", "class=\"control\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_CONTROL_3S, "fabric_streams_recovered_total", "class=\"control\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_CONTROL_LONGER, "fabric_streams_recovered_total", "class=\"control\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DNS_100MS, "fabric_streams_recovered_total", "class=\"dns\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DNS_300MS, "fabric_streams_recovered_total", "class=\"dns\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DNS_1S, "fabric_streams_recovered_total", "class=\"dns\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DNS_3S, "fabric_streams_recovered_total", "class=\"dns\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DNS_LONGER, "fabric_streams_recovered_total", "class=\"dns\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_INTERACTIVE_100MS, "fabric_streams_recovered_total", "class=\"interactive\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_INTERACTIVE_300MS, "fabric_streams_recovered_total", "class=\"interactive\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_INTERACTIVE_1S, "fabric_streams_recovered_total", "class=\"interactive\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_INTERACTIVE_3S, "fabric_streams_recovered_total", "class=\"interactive\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_INTERACTIVE_LONGER, "fabric_streams_recovered_total", "class=\"interactive\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_RELIABLE_100MS, "fabric_streams_recovered_total", "class=\"reliable\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_RELIABLE_300MS, "fabric_streams_recovered_total", "class=\"reliable\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_RELIABLE_1S, "fabric_streams_recovered_total", "class=\"reliable\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_RELIABLE_3S, "fabric_streams_recovered_total", "class=\"reliable\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_RELIABLE_LONGER, "fabric_streams_recovered_total", "class=\"reliable\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_BULK_100MS, "fabric_streams_recovered_total", "class=\"bulk\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_BULK_300MS, "fabric_streams_recovered_total", "class=\"bulk\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_BULK_1S, "fabric_streams_recovered_total", "class=\"bulk\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_BULK_3S, "fabric_streams_recovered_total", "class=\"bulk\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_BULK_LONGER, "fabric_streams_recovered_total", "class=\"bulk\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DROPPABLE_100MS, "fabric_streams_recovered_total", "class=\"droppable\",within=\"0.1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DROPPABLE_300MS, "fabric_streams_recovered_total", "class=\"droppable\",within=\"0.3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DROPPABLE_1S, "fabric_streams_recovered_total", "class=\"droppable\",within=\"1\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DROPPABLE_3S, "fabric_streams_recovered_total", "class=\"droppable\",within=\"3\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVERED_DROPPABLE_LONGER, "fabric_streams_recovered_total", "class=\"droppable\",within=\"+Inf\"", "Streams of this node that went on after a move, by the seconds since the way before last answered; each in the least that holds it") \
	X(DP_RECOVER_US_CONTROL, "fabric_streams_recover_microseconds_total", "class=\"control\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVER_US_DNS, "fabric_streams_recover_microseconds_total", "class=\"dns\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVER_US_INTERACTIVE, "fabric_streams_recover_microseconds_total", "class=\"interactive\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVER_US_RELIABLE, "fabric_streams_recover_microseconds_total", "class=\"reliable\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVER_US_BULK, "fabric_streams_recover_microseconds_total", "class=\"bulk\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVER_US_DROPPABLE, "fabric_streams_recover_microseconds_total", "class=\"droppable\"", "Sum of the times that streams of this node took to go on after a move") \
	X(DP_RECOVERED_UNTOLD, "fabric_streams_recovered_untold_total", "", "Of those that went on, that the history does not have as there were too many at once") \
	X(DP_WAYS_SILENT, "fabric_ways_silent_total", "", "Times that a way to a node was found not to work any more") \
	X(DP_PROBES, "fabric_probes_total", "", "Probes of ways that were sent") \
	X(DP_PROBES_REFUSED, "fabric_probes_refused_total", "", "Probes of other nodes that were not answered, as they came too fast") \
	X(DP_ROUTES, "fabric_route_entries", "", "Entries of the table of routes") \
	X(DP_ROUTE_FRAMES, "fabric_route_frames_total", "", "DATA that passed by an entry of the table of routes") \
	X(DP_ROUTE_NO_ROUTE, "fabric_route_refused_total", "reason=\"no-route\"", "Streams over routes that were refused") \
	X(DP_ROUTE_EXPIRED, "fabric_route_refused_total", "reason=\"route-expired\"", "Streams over routes that were refused") \
	X(DP_ROUTE_CLASS, "fabric_route_refused_total", "reason=\"route-class\"", "Streams over routes that were refused") \
	X(DP_ROUTE_LIMIT, "fabric_route_refused_total", "reason=\"route-limit\"", "Streams over routes that were refused") \
	X(DP_ROUTE_RATE, "fabric_route_refused_total", "reason=\"route-rate\"", "Streams over routes that were refused") \
	X(DP_ROUTE_HOP_GONE, "fabric_route_refused_total", "reason=\"hop-gone\"", "Streams over routes that were refused") \
	X(DP_ROUTE_OVER_RATE, "fabric_route_dropped_total", "", "Packets dropped as their route had carried what it may") \
	X(DP_ROUTE_HELD, "fabric_route_held_total", "", "Times that the reliable streams of a route had to wait as it had carried what it may") \
	X(DP_OPENS_NOT_ALLOWED, "fabric_opens_refused_total", "reason=\"not-allowed\"", "Streams of other nodes to services here that were refused") \
	X(DP_OPENS_REVOKED, "fabric_opens_refused_total", "reason=\"revoked\"", "Streams of other nodes to services here that were refused") \
	X(DP_OPENS_FAST_NODE, "fabric_opens_too_fast_total", "of=\"node\"", "Streams that were refused as they were opened too fast, by whose account") \
	X(DP_OPENS_FAST_NEIGHBOUR, "fabric_opens_too_fast_total", "of=\"neighbour\"", "Streams that were refused as they were opened too fast, by whose account") \
	X(DP_OPENS_FAST_TENANT, "fabric_opens_too_fast_total", "of=\"tenant\"", "Streams that were refused as they were opened too fast, by whose account") \
	X(DP_STREAMS_NOT_ALLOWED, "fabric_streams_taken_back_total", "", "Streams of other nodes to services here that were reset as a newer policy does not permit them") \
	X(DP_OPENS_WAITED, "fabric_opens_waited_total", "", "Streams of other nodes that waited for what routed says of them") \
	X(DP_REVOKED_SESSIONS, "fabric_sessions_revoked_total", "", "Sessions that were ended as the node was revoked") \
	X(DP_RECORDS_IN, "fabric_service_updates_total", "dir=\"in\"", "Sets of service records that were exchanged with peers") \
	X(DP_RECORDS_OUT, "fabric_service_updates_total", "dir=\"out\"", "Sets of service records that were exchanged with peers") \
	X(DP_RECORDS_REPLACED, "fabric_service_updates_replaced_total", "", "Sets of service records that came while the one before had to wait") \
	X(DP_PORT_OVERRUN, "fabric_port_overruns_total", "", "Channels to workers that were ended because they did not read") \
	X(DP_DATAGRAMS_MALFORMED, "fabric_datagrams_malformed_total", "", "DATAGRAMs that hold no whole frames") \
	X(DP_DROP_EARLY, "fabric_dropped_total", "reason=\"early\"", "DATA dropped") \
	X(DP_DROP_UNKNOWN, "fabric_dropped_total", "reason=\"unknown-stream\"", "DATA dropped") \
	X(DP_DROP_TOO_LONG, "fabric_dropped_total", "reason=\"path-mtu\"", "DATA dropped") \
	X(DP_DROP_PORT_CONTROL, "fabric_dropped_total", "reason=\"port-full\",class=\"control\"", "DATA dropped") \
	X(DP_DROP_PORT_DNS, "fabric_dropped_total", "reason=\"port-full\",class=\"dns\"", "DATA dropped") \
	X(DP_DROP_PORT_INTERACTIVE, "fabric_dropped_total", "reason=\"port-full\",class=\"interactive\"", "DATA dropped") \
	X(DP_DROP_PORT_RELIABLE, "fabric_dropped_total", "reason=\"port-full\",class=\"reliable\"", "DATA dropped") \
	X(DP_DROP_PORT_BULK, "fabric_dropped_total", "reason=\"port-full\",class=\"bulk\"", "DATA dropped") \
	X(DP_DROP_PORT_DROPPABLE, "fabric_dropped_total", "reason=\"port-full\",class=\"droppable\"", "DATA dropped") \
	X(DP_DROP_CONTROL_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"control\"", "DATA dropped") \
	X(DP_DROP_CONTROL_FULL, "fabric_dropped_total", "reason=\"full\",class=\"control\"", "DATA dropped") \
	X(DP_DROP_CONTROL_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"control\"", "DATA dropped") \
	X(DP_DROP_CONTROL_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"control\"", "DATA dropped") \
	X(DP_DROP_DNS_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"dns\"", "DATA dropped") \
	X(DP_DROP_DNS_FULL, "fabric_dropped_total", "reason=\"full\",class=\"dns\"", "DATA dropped") \
	X(DP_DROP_DNS_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"dns\"", "DATA dropped") \
	X(DP_DROP_DNS_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"dns\"", "DATA dropped") \
	X(DP_DROP_INTERACTIVE_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"interactive\"", "DATA dropped") \
	X(DP_DROP_INTERACTIVE_FULL, "fabric_dropped_total", "reason=\"full\",class=\"interactive\"", "DATA dropped") \
	X(DP_DROP_INTERACTIVE_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"interactive\"", "DATA dropped") \
	X(DP_DROP_INTERACTIVE_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"interactive\"", "DATA dropped") \
	X(DP_DROP_RELIABLE_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"reliable\"", "DATA dropped") \
	X(DP_DROP_RELIABLE_FULL, "fabric_dropped_total", "reason=\"full\",class=\"reliable\"", "DATA dropped") \
	X(DP_DROP_RELIABLE_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"reliable\"", "DATA dropped") \
	X(DP_DROP_RELIABLE_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"reliable\"", "DATA dropped") \
	X(DP_DROP_BULK_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"bulk\"", "DATA dropped") \
	X(DP_DROP_BULK_FULL, "fabric_dropped_total", "reason=\"full\",class=\"bulk\"", "DATA dropped") \
	X(DP_DROP_BULK_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"bulk\"", "DATA dropped") \
	X(DP_DROP_BULK_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"bulk\"", "DATA dropped") \
	X(DP_DROP_DROPPABLE_CODEL, "fabric_dropped_total", "reason=\"codel\",class=\"droppable\"", "DATA dropped") \
	X(DP_DROP_DROPPABLE_FULL, "fabric_dropped_total", "reason=\"full\",class=\"droppable\"", "DATA dropped") \
	X(DP_DROP_DROPPABLE_POOL, "fabric_dropped_total", "reason=\"pool\",class=\"droppable\"", "DATA dropped") \
	X(DP_DROP_DROPPABLE_TOO_LONG, "fabric_dropped_total", "reason=\"too-long\",class=\"droppable\"", "DATA dropped") \
	X(DP_POOL_PACKETS, "fabric_queued_packets", "", "Packets that wait in the class queues of all sessions") \
	X(DP_POOL_BYTES, "fabric_queue_memory_bytes", "", "Memory that the class queues took from the system") \
	X(DP_REL_CONTROL_BYTES, "fabric_reliable_bytes_total", "class=\"control\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_CONTROL_FRAMES, "fabric_reliable_frames_total", "class=\"control\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_CONTROL_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"control\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_CONTROL_P50, "fabric_reliable_delay_microseconds", "class=\"control\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_CONTROL_P99, "fabric_reliable_delay_microseconds", "class=\"control\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_DNS_BYTES, "fabric_reliable_bytes_total", "class=\"dns\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_DNS_FRAMES, "fabric_reliable_frames_total", "class=\"dns\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_DNS_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"dns\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_DNS_P50, "fabric_reliable_delay_microseconds", "class=\"dns\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_DNS_P99, "fabric_reliable_delay_microseconds", "class=\"dns\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_INTERACTIVE_BYTES, "fabric_reliable_bytes_total", "class=\"interactive\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_INTERACTIVE_FRAMES, "fabric_reliable_frames_total", "class=\"interactive\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_INTERACTIVE_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"interactive\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_INTERACTIVE_P50, "fabric_reliable_delay_microseconds", "class=\"interactive\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_INTERACTIVE_P99, "fabric_reliable_delay_microseconds", "class=\"interactive\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_RELIABLE_BYTES, "fabric_reliable_bytes_total", "class=\"reliable\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_RELIABLE_FRAMES, "fabric_reliable_frames_total", "class=\"reliable\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_RELIABLE_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"reliable\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_RELIABLE_P50, "fabric_reliable_delay_microseconds", "class=\"reliable\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_RELIABLE_P99, "fabric_reliable_delay_microseconds", "class=\"reliable\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_BULK_BYTES, "fabric_reliable_bytes_total", "class=\"bulk\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_BULK_FRAMES, "fabric_reliable_frames_total", "class=\"bulk\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_BULK_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"bulk\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_BULK_P50, "fabric_reliable_delay_microseconds", "class=\"bulk\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_BULK_P99, "fabric_reliable_delay_microseconds", "class=\"bulk\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_DROPPABLE_BYTES, "fabric_reliable_bytes_total", "class=\"droppable\"", "Payload of reliable streams that this node sent on") \
	X(DP_REL_DROPPABLE_FRAMES, "fabric_reliable_frames_total", "class=\"droppable\"", "DATA of reliable streams that this node sent on") \
	X(DP_REL_DROPPABLE_STALLED, "fabric_reliable_stalled_milliseconds_total", "class=\"droppable\"", "Time that reliable streams had bytes here and no credit for them") \
	X(DP_REL_DROPPABLE_P50, "fabric_reliable_delay_microseconds", "class=\"droppable\",quantile=\"0.5\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_REL_DROPPABLE_P99, "fabric_reliable_delay_microseconds", "class=\"droppable\",quantile=\"0.99\"", "How long bytes of reliable streams stay here, the last seconds; a power of two") \
	X(DP_STREAMS_RELIABLE, "fabric_reliable_streams", "", "Reliable streams that are open") \
	X(DP_STREAM_MEMORY_SET_ASIDE, "fabric_stream_memory_bytes", "of=\"set-aside\"", "Memory of the node for reliable streams") \
	X(DP_STREAM_MEMORY_HELD, "fabric_stream_memory_bytes", "of=\"held\"", "Memory of the node for reliable streams") \
	X(DP_STREAM_MEMORY_LIMIT, "fabric_stream_memory_bytes", "of=\"limit\"", "Memory of the node for reliable streams") \
	X(DP_STREAM_VIOLATIONS, "fabric_stream_violations_total", "", "Reliable streams that were broken off as a side did what it may not") \
	X(DP_STREAM_REAPED, "fabric_stream_reaped_total", "", "Reliable streams that were broken off as nothing more was heard of them") \
	X(DP_PRESSURE_QUEUE, "fabric_node_pressure", "of=\"queue\"", "Thousandths of what this node bears") \
	X(DP_PRESSURE_CPU, "fabric_node_pressure", "of=\"cpu\"", "Thousandths of what this node bears") \
	X(DP_PRESSURE_MEMORY, "fabric_node_pressure", "of=\"memory\"", "Thousandths of what this node bears") \
	X(DP_PRESSURE_DESCRIPTORS, "fabric_node_pressure", "of=\"descriptors\"", "Thousandths of what this node bears") \
	X(DP_PRESSURE_LOSS, "fabric_node_pressure", "of=\"loss\"", "Thousandths of what this node bears") \
	X(DP_EXPRESS_IN, "fabric_express_packets_total", "direction=\"in\",kind=\"data\"", "Express packets") \
	X(DP_EXPRESS_OUT, "fabric_express_packets_total", "direction=\"out\",kind=\"data\"", "Express packets") \
	X(DP_EXPRESS_FEEDBACK_IN, "fabric_express_packets_total", "direction=\"in\",kind=\"feedback\"", "Express packets") \
	X(DP_EXPRESS_FEEDBACK_OUT, "fabric_express_packets_total", "direction=\"out\",kind=\"feedback\"", "Express packets") \
	X(DP_EXPRESS_UNKNOWN, "fabric_express_refused_total", "reason=\"unknown-connection\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_SHORT, "fabric_express_refused_total", "reason=\"length\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_TAMPERED, "fabric_express_refused_total", "reason=\"tampered\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_REPLAYED, "fabric_express_refused_total", "reason=\"replayed\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_OLD, "fabric_express_refused_total", "reason=\"old\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_EXHAUSTED, "fabric_express_refused_total", "reason=\"exhausted\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_MALFORMED, "fabric_express_refused_total", "reason=\"malformed\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_BARE, "fabric_express_refused_total", "reason=\"bare\"", "Express packets, or DATA in them, that were refused") \
	X(DP_EXPRESS_QUIET, "fabric_express_quiet_total", "", "Times that nothing was heard in time of the express packets of a session") \
	X(DP_EXPRESS_UNSEALED, "fabric_express_unsealed_total", "", "Batches of express packets that could not be sealed, or whose path was not proven any more")
