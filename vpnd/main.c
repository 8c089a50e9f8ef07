#include "vpnd/vpnd.h"

int
main(int argc, char **argv)
{
	return worker_main(&vpnd_ops, argc, argv);
}
