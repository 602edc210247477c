/* Measures two commands in turn, A B A B ..., and prints the lines of a Markdown table.
 *
 *   measure RUNS NAME SETUP CHECK ::: A... ::: B...
 *
 * SETUP runs before each run (`sh -c`, not timed; '' is none), CHECK after it: both commands must
 * have left what it looks for. A and B are executed as they stand, with no shell in between; words
 * VAR=value before the program go into its environment, a word <PATH is its standard input. Its
 * standard output goes to /dev/null. One run of each comes first and does not count.
 *
 * Wall: from before fork to the end of wait4. CPU: user and system time of the process and of the
 * children it waited for; the kernel keeps their sum in nanoseconds (the split between the two is
 * what is coarse, so it is not shown). Peak: the largest resident set of any one of these
 * processes. `measure RUNS --floor` measures a process that does nothing: no figure can be below it.
 *
 * Linked statically and without a heap, because a child's peak starts with the pages that it has
 * from this process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RUNS = 1000, DEADLINE_S = 60 };

struct figures {
	double wall[MOST_RUNS], cpu[MOST_RUNS], peak[MOST_RUNS];
};

static struct figures figures[2];
static const char *name;
static volatile pid_t running;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s: %s\n", name, what, why);
	exit(1);
}

static void too_long(int signal)
{
	(void)signal;
	if (running > 0)
		kill(running, SIGKILL);
}

/* The child: VAR=value words, <PATH, then the program. */
static void become(char **words)
{
	int in = -1, out = open("/dev/null", O_RDWR | O_CLOEXEC);
	char **word = words;

	for (; *word; word++) {
		if (**word == '<') {
			in = open(*word + 1, O_RDONLY | O_CLOEXEC);
			if (in < 0)
				_exit(126);
		} else if (strchr(*word, '=') && **word != '/') {
			putenv(*word);
		} else {
			break;
		}
	}
	dup2(in < 0 ? out : in, 0);
	dup2(out, 1);
	signal(SIGINT, SIG_DFL);
	if (*word)
		execvp(*word, word);
	dprintf(2, "%s: %s\n", *word ? *word : "no program", strerror(errno));
	_exit(127);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

/* One run; the slot's figures are written when there is one. An empty list is a process that ends. */
static void run(const char *what, char **words, struct figures *into, int slot)
{
	struct rusage usage;
	double start, end;
	int status;

	alarm(DEADLINE_S);
	start = now_ms();
	running = fork();
	if (running < 0)
		fail(what, strerror(errno));
	if (running == 0) {
		if (!words)
			_exit(0);
		become(words);
	}
	while (wait4(running, &status, 0, &usage) < 0)
		if (errno != EINTR)
			fail(what, strerror(errno));
	end = now_ms();
	running = 0;
	alarm(0);
	if (WIFSIGNALED(status))
		fail(what, WTERMSIG(status) == SIGKILL ? "killed (60 s passed?)" : strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0) {
		char text[32];
		snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
		fail(what, text);
	}
	if (!into)
		return;
	into->wall[slot] = end - start;
	into->cpu[slot] = ms(usage.ru_utime) + ms(usage.ru_stime);
	into->peak[slot] = (double)usage.ru_maxrss;
}

static void shell(const char *what, char *text)
{
	char *words[] = { "/bin/sh", "-c", text, NULL };

	if (*text)
		run(what, words, NULL, 0);
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof *values, order);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void line(const char *first, const char *unit, int digits, double *a, double *b, int count)
{
	double of_a = median(a, count), of_b = median(b, count);

	printf("| %s | %s | %.*f (%.*f–%.*f) | %.*f (%.*f–%.*f) | ", first, unit,
	       digits, of_a, digits, a[0], digits, a[count - 1],
	       digits, of_b, digits, b[0], digits, b[count - 1]);
	if (of_a > 0)
		printf("%.*f |\n", of_b / of_a < 9.95 ? 2 : 1, of_b / of_a);
	else
		printf("– |\n");
}

static void usage(void)
{
	fprintf(stderr, "usage: measure RUNS NAME SETUP CHECK ::: A... ::: B...   (1 to %d runs)\n", MOST_RUNS);
	exit(2);
}

/* Ends the list at the next `:::` and returns what follows it. */
static char **cut(char **at)
{
	while (*at && strcmp(*at, ":::") != 0)
		at++;
	if (!*at)
		usage();
	*at = NULL;
	return at + 1;
}

int main(int argc, char **argv)
{
	int runs = argc > 2 ? atoi(argv[1]) : 0;
	char *setup, *check, **of[2];

	if (runs < 1 || runs > MOST_RUNS)
		usage();
	signal(SIGALRM, too_long);
	name = argv[2];
	if (strcmp(name, "--floor") == 0) {
		struct figures *f = &figures[0];
		for (int at = 0; at < runs; at++)
			run("nothing", NULL, f, at);
		printf("%.2f ms wall, %.2f ms CPU, %.0f KiB\n", median(f->wall, runs), median(f->cpu, runs),
		       median(f->peak, runs));
		return 0;
	}
	if (argc < 9)
		usage();
	setup = argv[3];
	check = argv[4];
	of[0] = cut(argv + 5);
	of[1] = cut(of[0]);
	for (int at = -1; at < runs; at++) {
		for (int side = 0; side < 2; side++) {
			const char *what = side ? "B" : "A";
			shell(side ? "the setup before B" : "the setup before A", setup);
			run(what, of[side], at < 0 ? NULL : &figures[side], at);
			shell(side ? "the check after B" : "the check after A", check);
		}
	}
	line(name, "wall ms", 2, figures[0].wall, figures[1].wall, runs);
	line("", "CPU ms", 2, figures[0].cpu, figures[1].cpu, runs);
	line("", "peak KiB", 0, figures[0].peak, figures[1].peak, runs);
	return 0;
}
