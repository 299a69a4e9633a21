/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "testgreet.h"

int testgreet(char *text, unsigned long size, const char *name)
{
	return snprintf(text, size, "greetings to %s from libtestgreet 1.2", name);
}
