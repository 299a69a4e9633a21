/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdio.h>

int main(void)
{
	printf("%s, %zu bits\n", PACKAGE_STRING, 8 * sizeof(void *));
	return 0;
}
