/* How long after the lease's file is renamed into place a waiting program brings it out.
 *
 *   wake RUNS LEASE FILE PROGRAM ARGS...
 *
 * In each run PROGRAM is started while FILE is not there, is left alone for 30 ms and a bit (another bit
 * each time, so that a program which looks every so often is met at every point), and then LEASE is
 * copied beside FILE and renamed to it. Prints `OUT LEAST MOST | END LEAST MOST` in milliseconds: the
 * medians of the time from before the rename to the first byte on stdout, and to the program's end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RUNS = 1000 };

static double out[MOST_RUNS], end[MOST_RUNS];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void copy(const char *from, const char *to)
{
	char text[4096];
	int in = open(from, O_RDONLY | O_CLOEXEC), fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = in < 0 ? -1 : read(in, text, sizeof text);

	if (n <= 0 || fd < 0 || write(fd, text, n) != n)
		fail(to);
	close(in);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void once(int at, const char *lease, const char *file, char **words)
{
	char temporary[4096], byte;
	int pipes[2], status;
	double start;
	pid_t pid;

	snprintf(temporary, sizeof temporary, "%s.new", file);
	unlink(file);
	if (pipe2(pipes, O_CLOEXEC))
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		execvp(words[0], words);
		_exit(127);
	}
	close(pipes[1]);
	usleep(30000 + at * 7919 % 100000);
	copy(lease, temporary);
	start = now();
	if (rename(temporary, file))
		fail(file);
	if (read(pipes[0], &byte, 1) != 1)
		fail("no output");
	out[at] = now() - start;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fail("the program");
	end[at] = now() - start;
	close(pipes[0]);
}

int main(int argc, char **argv)
{
	int runs = argc > 4 ? atoi(argv[1]) : 0;

	if (runs < 1 || runs > MOST_RUNS)
		return 2;
	for (int at = 0; at < runs; at++)
		once(at, argv[2], argv[3], argv + 4);
	qsort(out, runs, sizeof *out, compare);
	qsort(end, runs, sizeof *end, compare);
	printf("%.2f %.2f %.2f | %.2f %.2f %.2f\n", out[runs / 2], out[0], out[runs - 1], end[runs / 2], end[0],
	       end[runs - 1]);
	return 0;
}
