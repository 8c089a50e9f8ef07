#include "svchostd/svchostd.h"

int
main(int argc, char **argv)
{
	return worker_main(&svchostd_ops, argc, argv);
}
