/*
 * Functions that nobody here may call, in the manner of git's banned.h: each
 * has a bounded or reentrant counterpart. The build includes this file before
 * every source, so a use does not compile.
 */
#ifndef SIDESNAP_BASE_BANNED_H
#define SIDESNAP_BASE_BANNED_H

/* Declared before they are poisoned, so that system headers still parse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(function) sorry_##function##_is_banned

#undef strcpy
#define strcpy(destination, source) BANNED(strcpy)
#undef strcat
#define strcat(destination, source) BANNED(strcat)
#undef strncpy
#define strncpy(destination, source, size) BANNED(strncpy)
#undef strncat
#define strncat(destination, source, size) BANNED(strncat)
#undef strtok
#define strtok(string, delimiters) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(string) BANNED(gets)
#undef system
#define system(command) BANNED(system)
#undef popen
#define popen(command, mode) BANNED(popen)
#undef atoi
#define atoi(string) BANNED(atoi)
#undef atol
#define atol(string) BANNED(atol)
#undef atof
#define atof(string) BANNED(atof)
#undef tmpnam
#define tmpnam(string) BANNED(tmpnam)
#undef mktemp
#define mktemp(template) BANNED(mktemp)
#undef gmtime
#define gmtime(time) BANNED(gmtime)
#undef localtime
#define localtime(time) BANNED(localtime)
#undef ctime
#define ctime(time) BANNED(ctime)
#undef asctime
#define asctime(time) BANNED(asctime)

#endif
