/* The counters of vpnd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_VPND \
	X(VPND_STARTS, "fabric_vpnd_start_generation", "", "Generation of the running worker")
