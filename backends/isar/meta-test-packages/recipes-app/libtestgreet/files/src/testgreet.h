/* SPDX-License-Identifier: MIT */
#ifndef TESTGREET_H
#define TESTGREET_H

/* testgreet writes a greeting for name into text, which has room for size bytes; as snprintf it gives the length. */
int testgreet(char *text, unsigned long size, const char *name);

#endif
