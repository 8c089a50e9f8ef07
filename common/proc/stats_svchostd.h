/* The counters of svchostd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_SVCHOSTD \
	X(SVCHOSTD_STARTS, "fabric_svchostd_start_generation", "", "Generation of the running worker") \
	X(SVCHOSTD_ECHO_STREAMS, "fabric_svchostd_echo_streams", "", "Open streams of the echo service") \
	X(SVCHOSTD_ECHO_OPENED, "fabric_svchostd_echo_streams_opened_total", "", "Streams that the echo service took") \
	X(SVCHOSTD_ECHO_REFUSED, "fabric_svchostd_echo_streams_refused_total", "", "Streams that the echo service refused") \
	X(SVCHOSTD_ECHO_IDLE, "fabric_svchostd_echo_streams_idle_total", "", "Streams of the echo service closed for being idle") \
	X(SVCHOSTD_ECHO_PACKETS, "fabric_svchostd_echo_packets_total", "", "Packets sent back") \
	X(SVCHOSTD_ECHO_BYTES, "fabric_svchostd_echo_bytes_total", "", "Bytes sent back") \
	X(SVCHOSTD_ECHO_LIMITED, "fabric_svchostd_echo_dropped_total", "reason=\"rate\"", "Packets not sent back") \
	X(SVCHOSTD_ECHO_FRAGMENTS, "fabric_svchostd_echo_dropped_total", "reason=\"fragment\"", "Packets not sent back") \
	X(SVCHOSTD_NO_STREAM, "fabric_svchostd_stray_packets_total", "", "Packets on streams that are not or no longer open") \
	X(SVCHOSTD_OPENS_REFUSED, "fabric_svchostd_opens_refused_total", "", "Streams for services that are not here") \
	X(SVCHOSTD_IPC_DROPPED, "fabric_svchostd_ipc_dropped_total", "", "Frames that the channel to the dataplane did not take") \
	X(SVCHOSTD_NODES_REFUSED, "fabric_svchostd_nodes_refused_total", "", "Connected nodes for which there was no room") \
	X(SVCHOSTD_PINGS_SENT, "fabric_svchostd_pings_sent_total", "", "Pings sent for fabricctl") \
	X(SVCHOSTD_PINGS_ANSWERED, "fabric_svchostd_pings_answered_total", "", "Pings answered in time") \
	X(SVCHOSTD_PINGS_STRAY, "fabric_svchostd_pings_stray_total", "", "Answers that were late, repeated or not to a ping") \
	X(SVCHOSTD_LOCAL, "fabric_svchostd_local_connections", "", "Connections that came to listeners of this machine") \
	X(SVCHOSTD_LOCAL_ACCEPTED, "fabric_svchostd_local_connections_accepted_total", "", "Connections that listeners of this machine took") \
	X(SVCHOSTD_LOCAL_FAILED, "fabric_svchostd_local_connections_failed_total", "", "Connections of this machine that reached no service") \
	X(SVCHOSTD_LOCAL_FULL, "fabric_svchostd_local_listeners_full_total", "", "Times that a listener took nobody for its limit") \
	X(SVCHOSTD_SOCKS_REFUSED, "fabric_svchostd_socks_refused_total", "", "SOCKS clients that made no request that can be served") \
	X(SVCHOSTD_NAMES, "fabric_svchostd_services_known", "", "Services of nodes that can be named here") \
	X(SVCHOSTD_NAMES_REFUSED, "fabric_svchostd_service_records_refused_total", "", "Service records that were not taken")
