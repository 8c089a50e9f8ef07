/* The counters of telemd: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_TELEMD \
	X(TELEMD_STARTS, "fabric_telemd_start_generation", "", "Generation of the running worker")
