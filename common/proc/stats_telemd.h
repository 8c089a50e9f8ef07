/* The counters of telemd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_TELEMD \
	X(TELEMD_STARTS, "fabric_telemd_start_generation", "", "Generation of the running worker") \
	X(TELEMD_CONNS, "fabric_telemd_connections", "", "Connections of scrapers") \
	X(TELEMD_SCRAPES, "fabric_telemd_scrapes_total", "", "Scrapes answered") \
	X(TELEMD_SCRAPES_REFUSED, "fabric_telemd_requests_refused_total", "", "Requests answered with an error") \
	X(TELEMD_CONNS_EVICTED, "fabric_telemd_connections_closed_total", "reason=\"evicted\"", "Connections closed before they were answered") \
	X(TELEMD_CONNS_REFUSED, "fabric_telemd_connections_closed_total", "reason=\"full\"", "Connections closed before they were answered") \
	X(TELEMD_CONNS_TIMED_OUT, "fabric_telemd_connections_closed_total", "reason=\"timeout\"", "Connections closed before they were answered")
