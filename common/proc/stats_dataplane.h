/* The counters of dataplane: X(symbol, metric name, labels, help). Included by proc/stats.h only. */
#define STATS_DATAPLANE \
	X(DATAPLANE_STARTS, "fabric_dataplane_start_generation", "", "Generation of the running worker")
