/* What `kboot bridge --firewall nft` does, by hand: the netlink messages of a first and of a later run,
 * with next to nothing around them.
 *
 *   bridge ENV-FILE OUT-INTERFACE
 *
 * It exists for scripts/bench only, as the least that a program can do for this. The bridge is cbr0, and
 * what its pods send to the file's network is not masqueraded. What is there is read first; what is right
 * stays. It knows no IPv6, keeps no record of what was there before, and takes nothing down again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

#define BRIDGE "cbr0"
#define TABLE "kboot"
#define CHAIN "postrouting-" BRIDGE
#define COMMENT "kboot-" BRIDGE

enum { NFT = NFNL_SUBSYS_NFTABLES << 8, EXCLUSIVE = NLM_F_CREATE | NLM_F_EXCL };

/* The address is in network byte order. */
struct prefix {
	uint32_t address;
	unsigned int bits;
};

static struct prefix network, subnet;
static unsigned int mtu;

/* What is there. */
static int is_bridge, is_address, is_chain, is_rule;
static unsigned int link_index, link_flags, link_mtu, generation;

static void see_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	const char *kind = find(h, sizeof *info, IFLA_LINKINFO, HEADER + sizeof "bridge");
	const uint32_t *now = find(h, sizeof *info, IFLA_MTU, sizeof *now);

	is_bridge = kind && memcmp(kind + HEADER, "bridge", sizeof "bridge") == 0;
	link_index = (unsigned int)info->ifi_index;
	link_flags = info->ifi_flags;
	link_mtu = now ? *now : 0;
}

static void see_address(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *info = NLMSG_DATA(h);
	const uint32_t *local = find(h, sizeof *info, IFA_LOCAL, sizeof *local);

	is_address |= info->ifa_family == AF_INET && info->ifa_index == link_index &&
		      info->ifa_prefixlen == subnet.bits && local && *local == subnet.address;
}

static void see_rules(const struct nlmsghdr *h)
{
	const struct nfgenmsg *info = NLMSG_DATA(h);
	const uint32_t *id = find(h, sizeof *info, NFTA_GEN_ID, sizeof *id);
	const char *chain = find(h, sizeof *info, NFTA_CHAIN_NAME, sizeof CHAIN);
	const char *table = find(h, sizeof *info, NFTA_CHAIN_TABLE, sizeof TABLE);
	const char *note = find(h, sizeof *info, NFTA_RULE_USERDATA, 2 + sizeof COMMENT);

	if (h->nlmsg_type == (NFT | NFT_MSG_NEWGEN))
		generation = id ? ntohl(*id) : 0;
	else if (h->nlmsg_type == (NFT | NFT_MSG_NEWCHAIN))
		is_chain |= info->nfgen_family == NFPROTO_IPV4 && table && strcmp(table, TABLE) == 0 && chain &&
			    strcmp(chain, CHAIN) == 0;
	else
		is_rule |= note && memcmp(note + 2, COMMENT, sizeof COMMENT) == 0;
}

static void read_lease(const char *path)
{
	char of_network[16], of_subnet[16];
	FILE *file = fopen(path, "re");

	need(file != NULL, path);
	errno = EINVAL;
	need(fscanf(file,
		    "FLANNEL_NETWORK=%15[0-9.]/%u FLANNEL_SUBNET=%15[0-9.]/%u FLANNEL_MTU=%u", of_network,
		    &network.bits, of_subnet, &subnet.bits, &mtu) == 5 &&
	     inet_pton(AF_INET, of_network, &network.address) == 1 && network.bits - 1 < 32 &&
	     inet_pton(AF_INET, of_subnet, &subnet.address) == 1 && subnet.bits - 1 < 32, path);
	fclose(file);
}

/* Brings a setting to 1. That of br_netfilter is not there without the module. */
static void set(const char *path, int is_optional)
{
	char now;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && is_optional)
		return;
	need(fd >= 0 && read(fd, &now, 1) == 1, path);
	close(fd);
	if (now == '1')
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	need(fd >= 0 && write(fd, "1", 1) == 1, path);
	close(fd);
}

static void find_link(int fd)
{
	begin(RTM_GETLINK, 0, &(struct ifinfomsg){ 0 }, sizeof(struct ifinfomsg));
	put_string(IFLA_IFNAME, BRIDGE);
	need(ask(fd, see_link) || errno == ENODEV, BRIDGE);
	errno = EEXIST;
	need(!link_index || is_bridge, BRIDGE " is no bridge");
}

static void make_link(int fd)
{
	uint8_t mac[6] = { 0x0a, 0x6b };
	struct nlattr *info, *data;

	memcpy(mac + 2, &subnet.address, sizeof subnet.address);
	begin(RTM_NEWLINK, EXCLUSIVE | NLM_F_ACK, &(struct ifinfomsg){ 0 }, sizeof(struct ifinfomsg));
	put_string(IFLA_IFNAME, BRIDGE);
	put(IFLA_ADDRESS, mac, sizeof mac);
	info = nest(IFLA_LINKINFO);
	put_string(IFLA_INFO_KIND, "bridge");
	data = nest(IFLA_INFO_DATA);
	put_u32(IFLA_BR_FORWARD_DELAY, 0);
	put_u32(IFLA_BR_STP_STATE, 0);
	end(data);
	end(info);
	need(ask(fd, NULL), BRIDGE);
}

static void add_address(int fd)
{
	struct ifaddrmsg h = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)subnet.bits, .ifa_index = link_index };

	begin(RTM_NEWADDR, EXCLUSIVE | NLM_F_ACK, &h, sizeof h);
	put_u32(IFA_ADDRESS, subnet.address);
	put_u32(IFA_LOCAL, subnet.address);
	put_u32(IFA_BROADCAST, subnet.address | htonl((uint32_t)(0xffffffffULL >> subnet.bits)));
	need(ask(fd, NULL), BRIDGE ": address");
}

/* Not with the new link: a bridge keeps only an MTU that was set, and otherwise follows its ports. */
static void bring_up(int fd)
{
	struct ifinfomsg h = { .ifi_index = (int)link_index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	begin(RTM_NEWLINK, NLM_F_ACK, &h, sizeof h);
	if (link_mtu != mtu)
		put_u32(IFLA_MTU, mtu);
	need(ask(fd, NULL), BRIDGE ": up");
}

static void find_rules(int fd)
{
	begin_nft(NFT | NFT_MSG_GETGEN, 0, AF_UNSPEC, 0);
	begin_nft(NFT | NFT_MSG_GETCHAIN, NLM_F_DUMP, AF_UNSPEC, 0);
	need(ask(fd, see_rules), "nf_tables: chains");
	if (!is_chain)
		return;
	begin_nft(NFT | NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_IPV4, 0);
	put_string(NFTA_RULE_TABLE, TABLE);
	put_string(NFTA_RULE_CHAIN, CHAIN);
	need(ask(fd, see_rules), "nf_tables: rules");
}

static void put_value(int type, const void *data, size_t len)
{
	struct nlattr *value = nest(type);

	put(NFTA_DATA_VALUE, data, len);
	end(value);
}

/* An expression, its numbers being the first of its attributes in the order of the kernel's enum, and then
 * values: one with `a`, two with `b`. */
static void express(const char *name, int count, const uint32_t *numbers, const void *a, const void *b, size_t len)
{
	struct nlattr *element = nest(NFTA_LIST_ELEM), *data;

	put_string(NFTA_EXPR_NAME, name);
	data = nest(NFTA_EXPR_DATA);
	for (int at = 0; at < count; at++)
		put_be32(at + 1, numbers[at]);
	if (a)
		put_value(count + 1, a, len);
	if (b)
		put_value(count + 2, b, len);
	end(data);
	end(element);
}

static void compare(uint32_t op, const void *with, size_t len)
{
	express("cmp", 2, (uint32_t[]){ NFT_REG_1, op }, with, NULL, len);
}

/* An address of the IPv4 header against a prefix, as nft has it: whole bytes need no mask. */
static void match(uint32_t offset, uint32_t op, struct prefix p)
{
	uint32_t mask = ~htonl((uint32_t)(0xffffffffULL >> p.bits)), none = 0, len = p.bits % 8 ? 4 : p.bits / 8;
	uint32_t address = p.address & mask;

	express("payload", 4, (uint32_t[]){ NFT_REG_1, NFT_PAYLOAD_NETWORK_HEADER, offset, len }, NULL, NULL, 0);
	if (p.bits % 8)
		express("bitwise", 3, (uint32_t[]){ NFT_REG_1, NFT_REG_1, len }, &mask, &none, len);
	compare(op, &address, len);
}

static void put_rule(const char *interface)
{
	enum { SOURCE = 12, DESTINATION = 16 };
	/* Type 0, length, text: libnftnl's form of a comment. */
	struct { uint8_t head[2]; char text[sizeof COMMENT]; } note = { { 0, sizeof COMMENT }, COMMENT };
	struct nlattr *expressions;

	begin_nft(NFT | NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_IPV4, 0);
	put_string(NFTA_RULE_TABLE, TABLE);
	put_string(NFTA_RULE_CHAIN, CHAIN);
	expressions = nest(NFTA_RULE_EXPRESSIONS);
	match(SOURCE, NFT_CMP_EQ, subnet);
	match(DESTINATION, NFT_CMP_NEQ, (struct prefix){ htonl(0xe0000000), 4 });
	match(DESTINATION, NFT_CMP_NEQ, network);
	express("meta", 2, (uint32_t[]){ NFT_REG_1, NFT_META_OIFNAME }, NULL, NULL, 0);
	compare(NFT_CMP_EQ, interface, strlen(interface) + 1);
	express("masq", 1, (uint32_t[]){ NF_NAT_RANGE_PROTO_RANDOM_FULLY }, NULL, NULL, 0);
	end(expressions);
	put(NFTA_RULE_USERDATA, &note, sizeof note);
}

/* One transaction, which the kernel refuses if the rules are no longer those that were read. */
static void add_rule(int fd, const char *interface)
{
	struct nlattr *hook;

	begin_nft(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	put_be32(NFNL_BATCH_GENID, generation);
	begin_nft(NFT | NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_IPV4, 0);
	put_string(NFTA_TABLE_NAME, TABLE);
	begin_nft(NFT | NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_IPV4, 0);
	put_string(NFTA_CHAIN_TABLE, TABLE);
	put_string(NFTA_CHAIN_NAME, CHAIN);
	hook = nest(NFTA_CHAIN_HOOK);
	put_be32(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	put_be32(NFTA_HOOK_PRIORITY, NF_IP_PRI_NAT_SRC);
	end(hook);
	put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
	put_string(NFTA_CHAIN_TYPE, "nat");
	put_rule(interface);
	begin_nft(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	need(ask(fd, NULL), "nf_tables");
}

int main(int argc, char **argv)
{
	int route, rules, lock;

	errno = EINVAL;
	need(argc == 3 && strlen(argv[2]) < IFNAMSIZ, "usage: bridge ENV-FILE OUT-INTERFACE");
	read_lease(argv[1]);
	lock = open("/run/bridge-by-hand.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(lock >= 0 && flock(lock, LOCK_EX) == 0, "/run/bridge-by-hand.lock");
	set("/proc/sys/net/ipv4/ip_forward", 0);
	set("/proc/sys/net/bridge/bridge-nf-call-iptables", 1);

	route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	rules = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	need(route >= 0 && rules >= 0, "netlink");
	find_link(route);
	begin(RTM_GETADDR, NLM_F_DUMP, &(struct ifaddrmsg){ 0 }, sizeof(struct ifaddrmsg));
	need(ask(route, see_address), "addresses");
	find_rules(rules);

	if (!link_index) {
		make_link(route);
		find_link(route);
	}
	if (!is_address)
		add_address(route);
	if (!(link_flags & IFF_UP) || link_mtu != mtu)
		bring_up(route);
	if (!is_rule)
		add_rule(rules, argv[2]);
	return 0;
}
