/* Netlink messages by hand, for bridge.c: built in one buffer, sent, and answered.
 *
 * One conversation at a time; what goes wrong ends the program with one line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADER = NLA_HDRLEN };

/* What goes out with the next `ask`: one or more messages, the last of them still growing. */
static _Alignas(4) char out[1024];
static size_t used;
static struct nlmsghdr *last;
static unsigned int awaited;

static void need(int is_well, const char *what)
{
	if (!is_well) {
		perror(what);
		exit(1);
	}
}

static void append(const void *data, size_t len)
{
	errno = EMSGSIZE;
	need(used + NLMSG_ALIGN(len) <= sizeof out, "netlink");
	memset(out + used, 0, NLMSG_ALIGN(len));
	memcpy(out + used, data, len);
	used += NLMSG_ALIGN(len);
	last->nlmsg_len = (uint32_t)(out + used - (char *)last);
}

/* The end of a batch has no answer of its own: the message before it is the one awaited. */
static void begin(int type, int flags, const void *header, size_t len)
{
	struct nlmsghdr h = { .nlmsg_type = (uint16_t)type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };

	h.nlmsg_seq = type == NFNL_MSG_BATCH_END ? awaited : ++awaited;
	last = (struct nlmsghdr *)(out + used);
	append(&h, sizeof h);
	append(header, len);
}

static void begin_nft(int type, int flags, int family, int resource)
{
	struct nfgenmsg h = { .nfgen_family = (uint8_t)family, .res_id = htons((uint16_t)resource) };

	begin(type, flags, &h, sizeof h);
}

static void put(int type, const void *data, size_t len)
{
	struct nlattr a = { .nla_len = (uint16_t)(HEADER + len), .nla_type = (uint16_t)type };

	append(&a, sizeof a);
	append(data, len);
}

static void put_string(int type, const char *text)
{
	put(type, text, strlen(text) + 1);
}

static void put_u32(int type, uint32_t value)
{
	put(type, &value, sizeof value);
}

static void put_be32(int type, uint32_t value)
{
	put_u32(type, htonl(value));
}

static struct nlattr *nest(int type)
{
	struct nlattr *at = (struct nlattr *)(out + used);

	put(NLA_F_NESTED | type, "", 0);
	return at;
}

static void end(struct nlattr *nested)
{
	nested->nla_len = (uint16_t)(out + used - (char *)nested);
}

/* The data of an attribute that is at least so long, after a header of that length. */
static const void *find(const struct nlmsghdr *h, size_t header, int type, size_t len)
{
	const char *at = (const char *)h + NLMSG_SPACE(header), *over = (const char *)h + h->nlmsg_len;

	while (at + HEADER <= over) {
		const struct nlattr *a = (const struct nlattr *)at;

		if ((a->nla_type & NLA_TYPE_MASK) == type && a->nla_len >= HEADER + len)
			return at + HEADER;
		at += a->nla_len >= HEADER ? NLA_ALIGN(a->nla_len) : over - at;
	}
	return NULL;
}

/* Sends what was begun and takes what comes up to the answer to the last message: an object, an
 * acknowledgement, the end of a dump. The first error ends it too: false, and errno. */
static int ask(int fd, void (*see)(const struct nlmsghdr *))
{
	static _Alignas(4) char in[32768];

	need(send(fd, out, used, 0) == (ssize_t)used, "netlink: send");
	for (used = 0;;) {
		ssize_t got = recv(fd, in, sizeof in, 0);

		need(got >= 0, "netlink: recv");
		for (struct nlmsghdr *h = (void *)in; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
			int is_end = h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE;

			if (is_end && *(int *)NLMSG_DATA(h)) {
				errno = -*(int *)NLMSG_DATA(h);
				return 0;
			}
			if (!is_end)
				see(h);
			if (h->nlmsg_seq == awaited && (is_end || !(h->nlmsg_flags & NLM_F_MULTI)))
				return 1;
		}
	}
}
