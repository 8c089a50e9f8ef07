/* The counters of svchostd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_SVCHOSTD \
	X(SVCHOSTD_STARTS, "fabric_svchostd_start_generation", "", "Generation of the running worker") \
	X(SVCHOSTD_HEAP, "fabric_svchostd_heap_bytes", "", "Bytes of memory that are in use, of what the process has") \
	X(SVCHOSTD_ECHO_STREAMS, "fabric_svchostd_echo_streams", "", "Open streams of the echo service") \
	X(SVCHOSTD_ECHO_OPENED, "fabric_svchostd_echo_streams_opened_total", "", "Streams that the echo service took") \
	X(SVCHOSTD_ECHO_REFUSED, "fabric_svchostd_echo_streams_refused_total", "", "Streams that the echo service refused") \
	X(SVCHOSTD_ECHO_IDLE, "fabric_svchostd_echo_streams_idle_total", "", "Streams of the echo service closed for being idle") \
	X(SVCHOSTD_ECHO_PACKETS, "fabric_svchostd_echo_packets_total", "", "Packets sent back") \
	X(SVCHOSTD_ECHO_BYTES, "fabric_svchostd_echo_bytes_total", "", "Bytes sent back") \
	X(SVCHOSTD_ECHO_LIMITED, "fabric_svchostd_echo_dropped_total", "reason=\"rate\"", "Packets not sent back") \
	X(SVCHOSTD_ECHO_FRAGMENTS, "fabric_svchostd_echo_dropped_total", "reason=\"fragment\"", "Packets not sent back") \
	X(SVCHOSTD_ECHO_TAMPERED, "fabric_svchostd_echo_dropped_total", "reason=\"tampered\"", "Packets not sent back") \
	X(SVCHOSTD_ECHO_REPLAYED, "fabric_svchostd_echo_dropped_total", "reason=\"replayed\"", "Packets not sent back") \
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
	X(SVCHOSTD_NAMES_REFUSED, "fabric_svchostd_service_records_refused_total", "", "Service records that were not taken") \
	X(SVCHOSTD_STREAMS, "fabric_svchostd_streams", "", "Reliable streams that are open") \
	X(SVCHOSTD_STREAMS_OPENED, "fabric_svchostd_streams_opened_total", "by=\"us\"", "Reliable streams opened") \
	X(SVCHOSTD_STREAMS_ACCEPTED, "fabric_svchostd_streams_opened_total", "by=\"peer\"", "Reliable streams opened") \
	X(SVCHOSTD_STREAMS_WHOLE, "fabric_svchostd_streams_ended_total", "how=\"whole\"", "Reliable streams that ended, and how") \
	X(SVCHOSTD_STREAMS_FAILED, "fabric_svchostd_streams_ended_total", "how=\"never-open\"", "Reliable streams that ended, and how") \
	X(SVCHOSTD_STREAMS_RESET, "fabric_svchostd_streams_ended_total", "how=\"connection-reset\"", "Reliable streams that ended, and how") \
	X(SVCHOSTD_STREAMS_TAMPERED, "fabric_svchostd_streams_ended_total", "how=\"tampered\"", "Reliable streams that ended, and how") \
	X(SVCHOSTD_STREAMS_BROKEN, "fabric_svchostd_streams_ended_total", "how=\"other\"", "Reliable streams that ended, and how") \
	X(SVCHOSTD_REFUSED_LIMIT, "fabric_svchostd_streams_refused_total", "reason=\"limit\"", "Reliable streams of other nodes refused") \
	X(SVCHOSTD_REFUSED_AUTH, "fabric_svchostd_streams_refused_total", "reason=\"auth\"", "Reliable streams of other nodes refused") \
	X(SVCHOSTD_REFUSED_NOT_ALLOWED, "fabric_svchostd_streams_refused_total", "reason=\"not-allowed\"", "Reliable streams of other nodes refused") \
	X(SVCHOSTD_REFUSED_NO_SERVICE, "fabric_svchostd_streams_refused_total", "reason=\"no-service\"", "Reliable streams of other nodes refused") \
	X(SVCHOSTD_TARGETS_CONNECTED, "fabric_svchostd_targets_total", "result=\"connected\"", "Connections to the targets of services") \
	X(SVCHOSTD_TARGETS_DOWN, "fabric_svchostd_targets_total", "result=\"down\"", "Connections to the targets of services") \
	X(SVCHOSTD_TARGETS_TIMEOUT, "fabric_svchostd_targets_total", "result=\"timeout\"", "Connections to the targets of services") \
	X(SVCHOSTD_LEGS_AGAIN, "fabric_svchostd_legs_again_total", "", "Times that a stream went on by another path") \
	X(SVCHOSTD_BYTES_AGAIN, "fabric_svchostd_bytes_again_total", "", "Bytes sent again by another path") \
	X(SVCHOSTD_BYTES_IN_CONTROL, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"control\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_IN_DNS, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"dns\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_IN_INTERACTIVE, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"interactive\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_IN_RELIABLE, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"reliable\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_IN_BULK, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"bulk\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_IN_DROPPABLE, "fabric_svchostd_bytes_total", "direction=\"in\",class=\"droppable\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_CONTROL, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"control\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_DNS, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"dns\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_INTERACTIVE, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"interactive\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_RELIABLE, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"reliable\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_BULK, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"bulk\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_BYTES_OUT_DROPPABLE, "fabric_svchostd_bytes_total", "direction=\"out\",class=\"droppable\"", "Bytes of reliable streams, sealed") \
	X(SVCHOSTD_STALL_FAR_CONTROL, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"control\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_FAR_DNS, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"dns\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_FAR_INTERACTIVE, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"interactive\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_FAR_RELIABLE, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"reliable\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_FAR_BULK, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"bulk\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_FAR_DROPPABLE, "fabric_svchostd_stall_us_total", "by=\"far-end\",class=\"droppable\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_CONTROL, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"control\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_DNS, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"dns\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_INTERACTIVE, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"interactive\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_RELIABLE, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"reliable\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_BULK, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"bulk\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_STALL_HOP_DROPPABLE, "fabric_svchostd_stall_us_total", "by=\"next-hop\",class=\"droppable\"", "Time that streams with something to send were not allowed to, by whom") \
	X(SVCHOSTD_WANTS, "fabric_svchostd_wants_total", "", "Times that a way to a node was asked for, as somebody wants its service and there was none")
