/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	double x = argc > 1 ? atof(argv[1]) : 4;

	printf("test-cmake %s: the root of %g is %g\n", VERSION, x, sqrt(x));
	return 0;
}
