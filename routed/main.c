#include "routed/routed.h"

int
main(int argc, char **argv)
{
	return worker_main(&routed_ops, argc, argv);
}
