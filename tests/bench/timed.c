/*
 * timed: runs a command and appends a JSON line: wall seconds from its start to its end, processor seconds,
 *peak resident memory. Its exit status is the command's.
 *
 *	timed FILE COMMAND [ARGUMENT ...]
 */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: timed FILE COMMAND [ARGUMENT ...]\n");
		return 2;
	}
	double t0 = now_seconds();
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	int status;
	struct rusage r;
	if (pid < 0 || wait4(pid, &status, 0, &r) < 0) {
		perror("timed");
		return 1;
	}
	double wall = now_seconds() - t0;
	struct buf b = { 0 };
	struct err e;
	buf_addf(&b, "{\"seconds\":%.4f,\"cpu\":%.3f,\"peak_mib\":%.1f}", wall,
		seconds(r.ru_utime) + seconds(r.ru_stime), (double)r.ru_maxrss / 1024);
	if (log_append(argv[1], &b, &e) < 0) {
		fprintf(stderr, "timed: %s\n", e.msg);
		return 1;
	}
	buf_release(&b);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
