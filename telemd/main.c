#include "telemd/telemd.h"

int
main(int argc, char **argv)
{
	return worker_main(&telemd_ops, argc, argv);
}
