/* The counters of svchostd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_SVCHOSTD \
	X(SVCHOSTD_STARTS, "fabric_svchostd_start_generation", "", "Generation of the running worker")
