/* The counters of routed: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_ROUTED \
	X(ROUTED_STARTS, "fabric_routed_start_generation", "", "Generation of the running worker")
