/* The counters of routed: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_ROUTED \
	X(ROUTED_STARTS, "fabric_routed_start_generation", "", "Generation of the running worker") \
	X(ROUTED_PEERS_CONFIGURED, "fabric_routed_peers", "set=\"configured\"", "Nodes in the directory") \
	X(ROUTED_PEERS_KNOWN, "fabric_routed_peers", "set=\"known\"", "Nodes in the directory") \
	X(ROUTED_PEERS_UP, "fabric_routed_peers", "set=\"up\"", "Nodes in the directory") \
	X(ROUTED_PEERS_EVICTED, "fabric_routed_peers_evicted_total", "", "Nodes forgotten to make room for others") \
	X(ROUTED_PEERS_REFUSED, "fabric_routed_peers_refused_total", "", "Nodes for which there was no room") \
	X(ROUTED_SESSIONS_UP, "fabric_routed_sessions_up_total", "", "Sessions that the dataplane reported as begun") \
	X(ROUTED_SESSIONS_DOWN, "fabric_routed_sessions_down_total", "", "Sessions that the dataplane reported as ended") \
	X(ROUTED_MEASUREMENTS, "fabric_routed_measurements_total", "", "Measurements of sessions taken in") \
	X(ROUTED_DIAL_FAILURES, "fabric_routed_dial_failures_total", "", "Failed attempts to reach a peer at an address") \
	X(ROUTED_TARGETS_SENT, "fabric_routed_targets_sent_total", "", "Targets given to the dataplane") \
	X(ROUTED_TARGETS_DELETED, "fabric_routed_targets_deleted_total", "", "Targets taken from the dataplane") \
	X(ROUTED_STORE_OPEN, "fabric_routed_database_open", "", "1 while the directory is kept on disk, 0 while in memory only") \
	X(ROUTED_STORE_COMMITS, "fabric_routed_database_commits_total", "", "Transactions written to the directory database") \
	X(ROUTED_STORE_ERRORS, "fabric_routed_database_errors_total", "", "Failures to open, read or write the directory database") \
	X(ROUTED_STORE_MOVED, "fabric_routed_database_moved_aside_total", "", "Corrupt or newer databases moved aside") \
	X(ROUTED_STORE_ROWS_REFUSED, "fabric_routed_database_rows_refused_total", "", "Stored rows that made no sense") \
	X(ROUTED_REQUESTS, "fabric_routed_requests_total", "", "Requests of fabricctl answered") \
	X(ROUTED_SERVICES_OWN, "fabric_services", "of=\"this\"", "Services that are known") \
	X(ROUTED_SERVICES_OTHERS, "fabric_services", "of=\"others\"", "Services that are known") \
	X(ROUTED_SERVICES_ANNOUNCED, "fabric_services_announced_total", "", "Times that a peer was told what this node serves") \
	X(ROUTED_SERVICES_TAKEN, "fabric_services_sets_total", "result=\"ok\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_FORM, "fabric_services_sets_total", "result=\"malformed\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_ISSUER, "fabric_services_sets_total", "result=\"issuer\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_SIGNATURE, "fabric_services_sets_total", "result=\"signature\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_LIFETIME, "fabric_services_sets_total", "result=\"lifetime\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_TWICE, "fabric_services_sets_total", "result=\"twice\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_MANY, "fabric_services_sets_total", "result=\"many\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_NODE, "fabric_services_sets_total", "result=\"node\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICES_E_MEMORY, "fabric_services_sets_total", "result=\"memory\"", "Sets of service records that peers sent, by what became of them") \
	X(ROUTED_SERVICE_VERIFIED, "fabric_services_verified_total", "", "Signatures of service records that were checked") \
	X(ROUTED_SERVICE_EXPIRED, "fabric_services_expired_total", "", "Service records that had expired, or were not valid yet") \
	X(ROUTED_SERVICES_EVICTED, "fabric_services_evicted_total", "", "Services forgotten to make room for others") \
	X(ROUTED_MESH_UP, "fabric_routed_mesh_streams", "", "Neighbours with whose routed this one talks") \
	X(ROUTED_MESH_FAILED, "fabric_routed_mesh_failed_total", "", "Streams to neighbours' routed that failed or could not begin") \
	X(ROUTED_MESH_REFUSED, "fabric_routed_mesh_refused_total", "", "Streams of neighbours' routed that were refused") \
	X(ROUTED_MESH_RUBBISH, "fabric_routed_mesh_malformed_total", "", "Streams broken off since the neighbour sent what it must not") \
	X(ROUTED_MESH_FULL, "fabric_routed_mesh_full_total", "", "Messages for which a neighbour's queue had no room") \
	X(ROUTED_MESH_IN, "fabric_routed_mesh_messages_total", "direction=\"in\"", "Messages between this routed and its neighbours") \
	X(ROUTED_MESH_OUT, "fabric_routed_mesh_messages_total", "direction=\"out\"", "Messages between this routed and its neighbours")
