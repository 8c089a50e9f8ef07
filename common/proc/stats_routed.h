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
	X(ROUTED_KNOWN, "fabric_routed_known_nodes", "", "Nodes of which there is a node record") \
	X(ROUTED_KNOWN_BYTES, "fabric_routed_known_bytes", "", "Memory that these take, about") \
	X(ROUTED_KNOWN_VERIFIED, "fabric_routed_known_verified_total", "", "Signatures of nodes' records that were checked") \
	X(ROUTED_KNOWN_EXPIRED, "fabric_routed_known_expired_total", "", "Nodes of which nothing new was heard in time") \
	X(ROUTED_KNOWN_EVICTED, "fabric_routed_known_evicted_total", "", "Nodes forgotten to make room for others") \
	X(ROUTED_KNOWN_SKEW, "fabric_routed_known_skew_seconds", "", "The greatest difference of a neighbour's clock to this node's") \
	X(ROUTED_OWN_RECORDS, "fabric_routed_own_records_total", "", "Times that this node's own record was signed") \
	X(ROUTED_KNOWN_OK, "fabric_routed_known_items_total", "result=\"ok\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_OLD, "fabric_routed_known_items_total", "result=\"old\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_FORM, "fabric_routed_known_items_total", "result=\"malformed\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_CHAIN, "fabric_routed_known_items_total", "result=\"chain\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_SIGNATURE, "fabric_routed_known_items_total", "result=\"signature\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_TENANT, "fabric_routed_known_items_total", "result=\"tenant\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_EXPIRED, "fabric_routed_known_items_total", "result=\"expired\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_NOT_YET, "fabric_routed_known_items_total", "result=\"not-yet\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_LIFETIME, "fabric_routed_known_items_total", "result=\"lifetime\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_REVOKED, "fabric_routed_known_items_total", "result=\"revoked\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_PARTS, "fabric_routed_known_items_total", "result=\"parts\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_ROOM, "fabric_routed_known_items_total", "result=\"room\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_KNOWN_E_MEMORY, "fabric_routed_known_items_total", "result=\"memory\"", "Items of nodes, policies, revocations and fences that came, by what became of them") \
	X(ROUTED_SYNC_GIVEN, "fabric_routed_sync_items_sent_total", "", "Items of nodes that were sent to neighbours") \
	X(ROUTED_SYNC_DIGESTS, "fabric_routed_sync_digests_sent_total", "", "Digests that were sent to neighbours") \
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
	X(ROUTED_MESH_OUT, "fabric_routed_mesh_messages_total", "direction=\"out\"", "Messages between this routed and its neighbours") \
	X(ROUTED_TICKET_OK, "fabric_tickets_total", "result=\"ok\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_FORM, "fabric_tickets_total", "result=\"malformed\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_SEAL, "fabric_tickets_total", "result=\"seal\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_ISSUER, "fabric_tickets_total", "result=\"issuer\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_SIGNATURE, "fabric_tickets_total", "result=\"signature\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_HOP, "fabric_tickets_total", "result=\"hop\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_EXPIRED, "fabric_tickets_total", "result=\"expired\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_NOT_YET, "fabric_tickets_total", "result=\"not-yet\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_LIFETIME, "fabric_tickets_total", "result=\"lifetime\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_FENCED, "fabric_tickets_total", "result=\"fenced\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_REPLAYED, "fabric_tickets_total", "result=\"replayed\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_CLASS, "fabric_tickets_total", "result=\"class\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_LIMIT, "fabric_tickets_total", "result=\"limit\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_POLICY, "fabric_tickets_total", "result=\"policy\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_ROLE, "fabric_tickets_total", "result=\"role\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_TICKET_E_REVOKED, "fabric_tickets_total", "result=\"revoked\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_INSTALL_E_NO_NEXT, "fabric_tickets_total", "result=\"no-next\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_INSTALL_E_TIMEOUT, "fabric_tickets_total", "result=\"timeout\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_INSTALL_E_UNKNOWN, "fabric_tickets_total", "result=\"unknown-source\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_INSTALL_E_RATE, "fabric_tickets_total", "result=\"rate\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_INSTALL_E_CLOSED, "fabric_tickets_total", "result=\"closed\"", "Tickets shown to this node, by what became of them") \
	X(ROUTED_LEASE_OK, "fabric_coordinator_requests_total", "result=\"ok\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_FORM, "fabric_coordinator_requests_total", "result=\"malformed\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_RATE, "fabric_coordinator_requests_total", "result=\"rate\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_UNKNOWN, "fabric_coordinator_requests_total", "result=\"unknown\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_REVOKED, "fabric_coordinator_requests_total", "result=\"revoked\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_POLICY, "fabric_coordinator_requests_total", "result=\"policy\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_NO_ROUTE, "fabric_coordinator_requests_total", "result=\"no-route\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_KEYS, "fabric_coordinator_requests_total", "result=\"keys\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_MEMORY, "fabric_coordinator_requests_total", "result=\"memory\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_LEASE_E_REPLAYED, "fabric_coordinator_requests_total", "result=\"replayed\"", "Requests for routes that this node answered as coordinator, by what became of them") \
	X(ROUTED_REQUESTS_SENT, "fabric_route_requests_total", "what=\"sent\"", "Requests for routes, by what was done with them") \
	X(ROUTED_REQUESTS_HANDED_ON, "fabric_route_requests_total", "what=\"handed-on\"", "Requests for routes, by what was done with them") \
	X(ROUTED_REQUESTS_LIMITED, "fabric_route_requests_total", "what=\"limited\"", "Requests for routes, by what was done with them") \
	X(ROUTED_ANSWERS_REFUSED, "fabric_route_answers_refused_total", "", "Answers to requests for routes that did not open or decode") \
	X(ROUTED_REFUSALS_FORGED, "fabric_route_refusals_forged_total", "", "Refusals of requests for routes that no coordinator has made which was asked") \
	X(ROUTED_LEASES_TAKEN, "fabric_leases_total", "of=\"taken\"", "Leases that this node was given, issued to itself, or was refused") \
	X(ROUTED_LEASES_SELF, "fabric_leases_total", "of=\"self\"", "Leases that this node was given, issued to itself, or was refused") \
	X(ROUTED_LEASES_REFUSED, "fabric_leases_total", "of=\"refused\"", "Leases that this node was given, issued to itself, or was refused") \
	X(ROUTED_ROUTES_HERE, "fabric_routes", "of=\"here\"", "Routes that lead over this node or end at it, and destinations that are wanted") \
	X(ROUTED_ROUTES_WANTED, "fabric_routes", "of=\"wanted\"", "Routes that lead over this node or end at it, and destinations that are wanted") \
	X(ROUTED_ROUTES_EXPIRED, "fabric_routes_expired_total", "", "Routes that came to their hard expiry") \
	X(ROUTED_WAYS_REORDERED, "fabric_ways_total", "what=\"reordered\"", "Times that another way to a node came first: by its quality, or moved to by the dataplane") \
	X(ROUTED_WAYS_MOVED, "fabric_ways_total", "what=\"moved\"", "Times that another way to a node came first: by its quality, or moved to by the dataplane") \
	X(ROUTED_WANTS, "fabric_route_wants_total", "result=\"asked\"", "Times that an adapter wanted a way to a node, and that there was none") \
	X(ROUTED_WANTS_FAILED, "fabric_route_wants_total", "result=\"failed\"", "Times that an adapter wanted a way to a node, and that there was none") \
	X(ROUTED_FENCES, "fabric_fences_total", "", "Fences that were taken") \
	X(ROUTED_FENCES_HELD, "fabric_fences_held", "", "Fences that are in force") \
	X(ROUTED_REVOKED, "fabric_revoked_nodes", "", "Nodes on the list of revocations") \
	X(ROUTED_GRAPH_NODES, "fabric_graph_nodes", "", "Nodes of which routes can be made") \
	X(ROUTED_RELAYED_BYTES, "fabric_relayed_bytes_total", "", "Bytes of others' streams that this node relayed") \
	X(ROUTED_USAGE_ERRORS, "fabric_usage_database_errors_total", "", "Failures to open or write the database of what was relayed") \
	X(ROUTED_RECEIPTS_CLAIMED, "fabric_receipts_total", "result=\"claimed\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_OK, "fabric_receipts_total", "result=\"ok\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_E_FORM, "fabric_receipts_total", "result=\"malformed\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_E_ISSUER, "fabric_receipts_total", "result=\"issuer\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_E_SIGNATURE, "fabric_receipts_total", "result=\"signature\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_E_TIME, "fabric_receipts_total", "result=\"time\"", "Receipts: claimed by this node, and of what neighbours sent what became of it") \
	X(ROUTED_USAGE_E_MORE, "fabric_receipts_total", "result=\"more\"", "Receipts: claimed by this node, and of what neighbours sent what became of it")
