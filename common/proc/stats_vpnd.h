/* The counters of vpnd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define VPND_OUT_DROP(sym, reason) \
	X(VPND_OUT_DROP_##sym, "fabric_vpn_drops_total", "direction=\"out\",reason=\"" reason "\"", \
	    "Packets that were not carried")
#define VPND_IN_DROP(sym, reason) \
	X(VPND_IN_DROP_##sym, "fabric_vpn_drops_total", "direction=\"in\",reason=\"" reason "\"", \
	    "Packets that were not carried")
#define VPND_OUT_CLASS(sym, class) \
	X(VPND_OUT_CLASS_##sym, "fabric_vpn_class_units_total", "class=\"" class "\"", "Packets sent, by class")
#define VPND_SHAKE(sym, result) \
	X(VPND_##sym, "fabric_vpn_handshakes_total", "result=\"" result "\"", \
	    "Handshakes end to end: our own, and (accepted, refused) those of peers")

#define STATS_VPND \
	X(VPND_STARTS, "fabric_vpnd_start_generation", "", "Generation of the running worker") \
	X(VPND_PEERS_UP, "fabric_vpn_peers_up", "", "Peers with a session") \
	X(VPND_PREFIXES, "fabric_vpn_prefixes", "", "Prefixes in the routing table") \
	X(VPND_PREFIX_CONFLICTS, "fabric_vpn_prefix_conflicts", "", "Claims of a prefix that is another's") \
	/* out: TUN to dataplane */ \
	X(VPND_OUT_READS, "fabric_vpn_tun_reads_total", "", "Packets and superpackets read from the TUN") \
	X(VPND_OUT_TUN_ERRORS, "fabric_vpn_tun_errors_total", "", "Failed reads of the TUN; each stops reading for a second") \
	X(VPND_OUT_PACKETS, "fabric_vpn_packets_total", "direction=\"out\"", "IP packets carried") \
	X(VPND_OUT_BYTES, "fabric_vpn_bytes_total", "direction=\"out\"", "Bytes of IP packets carried") \
	X(VPND_OUT_FRAGMENTED, "fabric_vpn_fragmented_total", "direction=\"out\"", "Packets that travelled in fragments") \
	X(VPND_OUT_FRAGMENTS, "fabric_vpn_fragments_total", "direction=\"out\"", "Fragments") \
	X(VPND_OUT_CSUM, "fabric_vpn_checksums_completed_total", "direction=\"out\"", \
	    "Checksums that had to be completed in software") \
	X(VPND_OUT_STREAMS, "fabric_vpn_streams_opened_total", "direction=\"out\"", "Streams opened") \
	X(VPND_OUT_RESETS, "fabric_vpn_streams_reset_total", "direction=\"out\"", "Own streams that were reset") \
	X(VPND_OUT_MOVED, "fabric_vpn_streams_moved_total", "", "Own streams that were moved to another way, and opened again at once") \
	X(VPND_WANTS, "fabric_vpn_wants_total", "", "Times that a way to a peer was asked for, as a packet for it came and there was none") \
	VPND_OUT_CLASS(CONTROL, "control") \
	VPND_OUT_CLASS(DNS, "dns") \
	VPND_OUT_CLASS(INTERACTIVE, "interactive") \
	VPND_OUT_CLASS(RELIABLE, "reliable") \
	VPND_OUT_CLASS(BULK, "bulk") \
	VPND_OUT_CLASS(DROPPABLE, "droppable") \
	VPND_OUT_DROP(MALFORMED, "malformed") \
	VPND_OUT_DROP(NOT_UNICAST, "not-unicast") \
	VPND_OUT_DROP(SOURCE, "source") \
	VPND_OUT_DROP(NO_ROUTE, "no-route") \
	VPND_OUT_DROP(PEER_DOWN, "peer-down") \
	VPND_OUT_DROP(NO_KEY, "no-key") \
	VPND_OUT_DROP(NO_DATAPLANE, "no-dataplane") \
	VPND_OUT_DROP(STREAM, "stream-refused") \
	VPND_OUT_DROP(TOO_BIG, "too-big") \
	VPND_OUT_DROP(QUEUE_CONTROL, "queue-full-control") \
	VPND_OUT_DROP(QUEUE_DNS, "queue-full-dns") \
	VPND_OUT_DROP(QUEUE_INTERACTIVE, "queue-full-interactive") \
	VPND_OUT_DROP(QUEUE_RELIABLE, "queue-full-reliable") \
	VPND_OUT_DROP(QUEUE_BULK, "queue-full-bulk") \
	VPND_OUT_DROP(QUEUE_DROPPABLE, "queue-full-droppable") \
	/* in: dataplane to TUN */ \
	X(VPND_IN_PACKETS, "fabric_vpn_packets_total", "direction=\"in\"", "IP packets carried") \
	X(VPND_IN_BYTES, "fabric_vpn_bytes_total", "direction=\"in\"", "Bytes of IP packets carried") \
	X(VPND_IN_WRITES, "fabric_vpn_tun_writes_total", "", "Packets and superpackets written to the TUN") \
	X(VPND_IN_FRAGMENTS, "fabric_vpn_fragments_total", "direction=\"in\"", "Fragments") \
	X(VPND_IN_FRAGMENTED, "fabric_vpn_fragmented_total", "direction=\"in\"", "Packets that travelled in fragments") \
	X(VPND_IN_STREAMS, "fabric_vpn_streams_opened_total", "direction=\"in\"", "Streams opened") \
	X(VPND_IN_STREAMS_REFUSED, "fabric_vpn_streams_refused_total", "", "Streams of peers that were reset at once") \
	X(VPND_IN_MISSING, "fabric_vpn_units_missing_total", "", \
	    "Gaps in the sequence numbers of what came in; late ones are counted here first") \
	X(VPND_IN_LATE, "fabric_vpn_units_late_total", "", "Units that came after a later one, or twice") \
	X(VPND_IN_GSO_REFUSED, "fabric_vpn_superpackets_refused_total", "", \
	    "Superpackets that the kernel did not take and that were written in pieces") \
	VPND_IN_DROP(MALFORMED, "malformed") \
	VPND_IN_DROP(NO_STREAM, "no-stream") \
	VPND_IN_DROP(NO_KEY, "no-key") \
	VPND_IN_DROP(TAMPERED, "tampered") \
	VPND_IN_DROP(REPLAYED, "replayed") \
	VPND_IN_DROP(OLD, "old") \
	VPND_IN_DROP(SOURCE, "source") \
	VPND_IN_DROP(DESTINATION, "destination") \
	VPND_IN_DROP(FRAGMENT, "fragment") \
	VPND_IN_DROP(FRAGMENT_TIMEOUT, "fragment-timeout") \
	VPND_IN_DROP(NO_TUN, "no-tun") \
	VPND_IN_DROP(TUN, "tun-refused") \
	/* keys */ \
	VPND_SHAKE(SHAKES, "begun") \
	VPND_SHAKE(SHAKES_DONE, "done") \
	VPND_SHAKE(SHAKES_TIMEOUT, "timeout") \
	VPND_SHAKE(SHAKES_FAILED, "failed") \
	VPND_SHAKE(SHAKES_ACCEPTED, "accepted") \
	VPND_SHAKE(SHAKES_REFUSED, "refused") \
	X(VPND_KEYS_LOST, "fabric_vpn_keys_lost_total", "", "Times that a peer had not the keys any more that we sealed with") \
	X(VPND_SERVICES_REFUSED, "fabric_vpn_service_records_refused_total", "", "Service records that did not verify") \
	X(VPND_IN_STREAMS_UNSEALED, "fabric_vpn_streams_not_sealed_total", "reason=\"unsealed\"", \
	    "Streams of peers that were refused: not sealed at all, or with keys that we do not have") \
	X(VPND_IN_STREAMS_NO_KEY, "fabric_vpn_streams_not_sealed_total", "reason=\"no-key\"", \
	    "Streams of peers that were refused: not sealed at all, or with keys that we do not have") \
	/* ICMP errors that we made */ \
	X(VPND_ICMP_TOO_BIG, "fabric_vpn_icmp_total", "kind=\"too-big\"", "ICMP errors sent to our own kernel") \
	X(VPND_ICMP_NO_ROUTE, "fabric_vpn_icmp_total", "kind=\"no-route\"", "ICMP errors sent to our own kernel") \
	X(VPND_ICMP_HOST, "fabric_vpn_icmp_total", "kind=\"host\"", "ICMP errors sent to our own kernel") \
	X(VPND_ICMP_PROHIBITED, "fabric_vpn_icmp_total", "kind=\"prohibited\"", "ICMP errors sent to our own kernel") \
	X(VPND_ICMP_LIMITED, "fabric_vpn_icmp_limited_total", "", "ICMP errors that the rate limit held back")
