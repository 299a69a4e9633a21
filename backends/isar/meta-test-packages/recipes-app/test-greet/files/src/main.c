/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <testgreet.h>

int main(int argc, char **argv)
{
	char text[128];

	testgreet(text, sizeof text, argc > 1 ? argv[1] : "nobody");
	puts(text);
	return 0;
}
