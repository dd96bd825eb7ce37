/*
 * line_times: runs a command and prints the seconds from the end of its output's first line to that of the
 *last: what it does once it has loaded and warmed up. The lines are left out; its exit status is the
 *command's.
 *
 *	line_times COMMAND [ARGUMENT ...]
 */
#include "base/log.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Runs a command with its output into a pipe, of which the reading end is returned; -1 on failure. */
static int start(char **command, pid_t *pid)
{
	int fd[2];
	if (pipe(fd) < 0)
		return -1;
	*pid = fork();
	if (*pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(fd[1]);
	return *pid < 0 ? -1 : fd[0];
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: line_times COMMAND [ARGUMENT ...]\n");
		return 2;
	}
	pid_t pid;
	int in = start(argv + 1, &pid);
	if (in < 0)
		return fail("line_times");
	double first = 0, last = 0;
	size_t lines = 0;
	char b[4096];
	for (ssize_t n; (n = read(in, b, sizeof b)) > 0;)
		for (ssize_t i = 0; i < n; i++)
			if (b[i] == '\n') {
				last = now_seconds();
				first = lines++ ? first : last;
			}
	int status;
	if (waitpid(pid, &status, 0) < 0)
		return fail("line_times");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (lines < 2) {
		fprintf(stderr, "line_times: %zu lines\n", lines);
		return 1;
	}
	printf("%.4f\n", last - first);
	return 0;
}
