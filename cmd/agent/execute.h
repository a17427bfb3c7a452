/*
 * Becoming the container's original command.
 */
#ifndef SIDESNAP_AGENT_EXECUTE_H
#define SIDESNAP_AGENT_EXECUTE_H

#include <stdbool.h>

/*
 * execute_command(arguments):
 * Replace this process by the command, found by PATH as a shell would, with exactly
 * these arguments. Returns only when that fails: 127 not found, 126 cannot be run; it has
 * said so on stderr.
 */
int execute_command(char **arguments);

/* execute_quietly(arguments): The same, without a word: why it failed, an errno. */
int execute_quietly(char **arguments);

/* execute_finds(command): Whether PATH has a program of that name, or it is the path of one. */
bool execute_finds(const char *command);

#endif
