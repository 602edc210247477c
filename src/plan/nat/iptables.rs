//! Masquerading by iptables: a chain of kboot's own and one commented jump to it. The texts are those
//! that `iptables -S` prints, so that what is there is compared as it is.

use super::{Wanted, comment};
use crate::plan::bridge::{Call, Change, Plan, Step};
use crate::types::IfName;

/// The chain's name: at most 28 bytes (`XT_EXTENSION_MAXNAMELEN`); 6 and a link name's 15 fit.
pub fn chain(bridge: &IfName) -> String {
    format!("KBOOT-{bridge}")
}

/// Whether kboot's chain masquerades with ports by chance.
pub fn has_random_fully(bridge: &IfName, listed: &[String]) -> bool {
    let start = format!("-A {} ", chain(bridge));
    listed.iter().any(|l| l.starts_with(&start) && l.trim_end().ends_with(" -j MASQUERADE --random-fully"))
}

struct Table {
    program: &'static str,
    chain: String,
    /// As `-S` prints them.
    listed: Vec<String>,
    /// Without quotes, which stand around comments before 1.8 and around those of several words.
    lines: Vec<String>,
    plan: Plan,
}

impl Table {
    fn new(program: &'static str, bridge: &IfName, listed: &[String]) -> Self {
        // Before 1.8 blanks stand at the end too.
        let listed: Vec<String> = listed.iter().map(|l| l.trim_end().to_owned()).collect();
        let lines = listed.iter().map(|l| l.replace('"', "")).collect();
        Self { listed, program, chain: chain(bridge), lines, plan: Plan::default() }
    }

    fn step(&self, args: String) -> Step {
        Step::Iptables(Call { program: self.program, table: "nat", args })
    }

    fn change(&mut self, args: String, why: &str) {
        let why = format!("{} nat: {why}", self.program);
        let step = self.step(args);
        self.plan.changes.push(Change::new(step, why));
    }

    fn has_chain(&self) -> bool {
        self.lines.iter().any(|l| *l == format!("-N {}", self.chain))
    }

    /// The jumps to the chain, as they are listed.
    fn jumps(&self) -> Vec<String> {
        let target = format!(" -j {}", self.chain);
        let jumps = self.listed.iter().filter_map(|l| l.strip_prefix("-A ")).filter(|l| l.ends_with(&target));
        jumps.map(str::to_owned).collect()
    }
}

fn jump(wanted: &Wanted) -> String {
    let out = wanted.out_interface.as_ref().map(|i| format!(" -o {i}")).unwrap_or_default();
    let (subnet, comment, chain) = (wanted.subnet.network(), comment(&wanted.bridge), chain(&wanted.bridge));
    format!("POSTROUTING -s {subnet}{out} -m comment --comment {comment} -j {chain}")
}

fn rules(wanted: &Wanted) -> Vec<String> {
    let note = format!("-m comment --comment {}", comment(&wanted.bridge));
    let mut rules: Vec<String> = wanted.kept().iter().map(|c| format!("-d {c} {note} -j RETURN")).collect();
    let random = if wanted.random_fully { " --random-fully" } else { "" };
    rules.push(format!("{note} -j MASQUERADE{random}"));
    rules
}

/// Plans from the lines of `PROGRAM -t nat -S`. In every state on the way the chain's first rules
/// are either all the old or all the new ones up to some point, and the jump comes last: killed
/// anywhere, nothing is masqueraded that was not to be, and a rerun ends it.
pub fn plan(program: &'static str, wanted: &Wanted, listed: &[String]) -> Plan {
    let mut table = Table::new(program, &wanted.bridge, listed);
    let chain = table.chain.clone();
    if table.has_chain() {
        table.plan.already += 1;
    } else {
        table.change(format!("-N {chain}"), &format!("there is no chain {chain}"));
    }
    plan_rules(wanted, &mut table);
    let jump = jump(wanted);
    let (same, other): (Vec<String>, Vec<String>) =
        table.jumps().into_iter().partition(|l| l.replace('"', "") == jump);
    if same.is_empty() {
        table.change(format!("-A {jump}"), &format!("there is no rule {jump}"));
    } else {
        table.plan.already += 1;
    }
    for double in same.iter().skip(1) {
        table.change(format!("-D {double}"), &format!("there twice: {double}"));
    }
    for jump in other {
        table.change(format!("-D {jump}"), &format!("of an earlier run: {jump}"));
    }
    table.plan
}

fn plan_rules(wanted: &Wanted, table: &mut Table) {
    let chain = table.chain.clone();
    let start = format!("-A {chain} ");
    let has: Vec<String> =
        table.lines.iter().filter_map(|l| l.strip_prefix(&start)).map(str::to_owned).collect();
    let rules = rules(wanted);
    if has == rules {
        table.plan.already += rules.len();
        return;
    }
    let count = |list: &[String], rule: &String| list.iter().filter(|r| *r == rule).count();
    let lacks = |rule: &String| (count(&has, rule) == 0).then(|| format!("{chain}: lacks: {rule}"));
    let spare = |(at, rule): (usize, &String)| match (count(&rules, rule), count(&has[..at], rule)) {
        (0, _) => Some(format!("{chain}: not wanted: {rule}")),
        (_, 0) => None,
        _ => Some(format!("{chain}: there twice: {rule}")),
    };
    // Why the whole chain is made anew, for steps that are about a rule without fault.
    let mut faults = rules.iter().filter_map(lacks).chain(has.iter().enumerate().filter_map(spare));
    let fault = faults.next().unwrap_or_else(|| format!("{chain}: not in the order {}", rules.join(", ")));
    for (at, rule) in rules.iter().enumerate() {
        let why = lacks(rule).unwrap_or_else(|| fault.clone());
        table.change(format!("-I {chain} {} {rule}", at + 1), &why);
    }
    // From the end, so that numbers stay true.
    for (at, rule) in has.iter().enumerate().rev() {
        let why = spare((at, rule)).unwrap_or_else(|| fault.clone());
        table.change(format!("-D {chain} {}", rules.len() + at + 1), &why);
    }
}

/// Takes away what an earlier run with masquerading left: the jumps, then the chain.
pub fn plan_none(program: &'static str, bridge: &IfName, listed: &[String]) -> Vec<Change> {
    let mut table = Table::new(program, bridge, listed);
    let chain = table.chain.clone();
    let why = format!("chain {chain} masquerades");
    for jump in table.jumps() {
        table.change(format!("-D {jump}"), &why);
    }
    if table.has_chain() {
        table.change(format!("-F {chain}"), &why);
        table.change(format!("-X {chain}"), &why);
    }
    table.plan.changes
}

/// Others' rules that masquerade what comes from the pod network, and would do so towards the cluster:
/// docker's for a bridge with its own masquerading, or a boot script's. `-S` lines.
pub fn rivals<'l>(wanted: &Wanted, listed: &'l [String]) -> Vec<&'l str> {
    let source = format!(" -s {} ", wanted.subnet.network());
    let own = comment(&wanted.bridge);
    let is_rival = |l: &&str| {
        l.contains(&source)
            && !l.contains(&own)
            && !l.contains(" -d ")
            && (l.contains(" -j MASQUERADE") || l.contains(" -j SNAT"))
    };
    listed.iter().map(String::as_str).filter(is_rival).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(subnet: &str, out: Option<&str>) -> Wanted {
        Wanted {
            bridge: "cbr0".parse().unwrap(),
            subnet: subnet.parse().unwrap(),
            cluster: vec!["10.10.0.0/16".parse().unwrap()],
            out_interface: out.map(|o| o.parse().unwrap()),
            random_fully: true,
            needs_prerouting: false,
        }
    }

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|l| (*l).to_owned()).collect()
    }

    fn args(changes: &[Change]) -> Vec<String> {
        changes.iter().map(|c| c.step.to_string()).collect()
    }

    const DONE: [&str; 6] = [
        "-P POSTROUTING ACCEPT",
        "-N KBOOT-cbr0",
        "-A POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment \"kboot-cbr0\" -j KBOOT-cbr0",
        "-A KBOOT-cbr0 -d 224.0.0.0/4 -m comment --comment kboot-cbr0 -j RETURN",
        "-A KBOOT-cbr0 -d 10.10.0.0/16 -m comment --comment kboot-cbr0 -j RETURN",
        "-A KBOOT-cbr0 -m comment --comment kboot-cbr0 -j MASQUERADE --random-fully",
    ];

    #[test]
    fn from_nothing_the_jump_comes_last() {
        let plan = plan("iptables", &wanted("10.10.48.1/24", Some("eth0")), &[]);
        assert_eq!(
            args(&plan.changes),
            [
                "iptables -t nat -N KBOOT-cbr0",
                "iptables -t nat -I KBOOT-cbr0 1 -d 224.0.0.0/4 -m comment --comment kboot-cbr0 -j RETURN",
                "iptables -t nat -I KBOOT-cbr0 2 -d 10.10.0.0/16 -m comment --comment kboot-cbr0 -j RETURN",
                "iptables -t nat -I KBOOT-cbr0 3 -m comment --comment kboot-cbr0 -j MASQUERADE --random-fully",
                "iptables -t nat -A POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment kboot-cbr0 -j KBOOT-cbr0",
            ]
        );
    }

    #[test]
    fn what_is_there_is_recognised() {
        let there = plan("iptables", &wanted("10.10.48.1/24", Some("eth0")), &lines(&DONE));
        assert_eq!(there, Plan { changes: Vec::new(), already: 5 });
        let bridge = "cbr0".parse().unwrap();
        assert!(has_random_fully(&bridge, &lines(&DONE)) && !has_random_fully(&bridge, &lines(&DONE[..5])));
    }

    #[test]
    fn a_pod_network_outside_the_cluster_is_left_alone_too() {
        let mut six = wanted("fd00:7:3::1/64", None);
        assert_eq!(
            six.kept().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["ff00::/8", "10.10.0.0/16", "fd00:7:3::/64"]
        );
        six.cluster = vec!["fd00:7::/32".parse().unwrap()];
        assert_eq!(six.kept().len(), 2);
    }

    #[test]
    fn no_masquerading_takes_away_what_an_earlier_run_left() {
        let bridge = "cbr0".parse().unwrap();
        assert_eq!(
            args(&plan_none("iptables-legacy", &bridge, &lines(&DONE))),
            [
                "iptables-legacy -t nat -D POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment \"kboot-cbr0\" -j KBOOT-cbr0",
                "iptables-legacy -t nat -F KBOOT-cbr0",
                "iptables-legacy -t nat -X KBOOT-cbr0",
            ]
        );
        assert!(plan_none("iptables", &bridge, &lines(&DONE[..1])).is_empty());
    }

    #[test]
    fn another_lease_and_doubles_are_mended_new_before_old() {
        let mut there = lines(&DONE);
        there.push(there[2].clone());
        let plan = plan("iptables", &wanted("10.10.49.1/24", None), &there);
        assert_eq!(plan.already, 4);
        let args = args(&plan.changes);
        assert_eq!(
            args[0],
            "iptables -t nat -A POSTROUTING -s 10.10.49.0/24 -m comment --comment kboot-cbr0 -j KBOOT-cbr0"
        );
        assert_eq!(args.len(), 3);
        assert!(args[1..].iter().all(|s| s.starts_with("iptables -t nat -D POSTROUTING -s 10.10.48.0/24")));
    }

    #[test]
    fn wrong_rules_are_pushed_back_by_right_ones_and_then_taken_out() {
        let there = lines(&["-N KBOOT-cbr0", "-A KBOOT-cbr0 -j MASQUERADE", DONE[3]]);
        let changes = plan("iptables", &wanted("10.10.48.1/24", None), &there).changes;
        assert_eq!(
            args(&changes[3..5]),
            ["iptables -t nat -D KBOOT-cbr0 5", "iptables -t nat -D KBOOT-cbr0 4"]
        );
        assert!(changes[0].why.starts_with("iptables nat: KBOOT-cbr0: lacks: -d 10.10.0.0/16"));
        assert_eq!(changes[4].why, "iptables nat: KBOOT-cbr0: not wanted: -j MASQUERADE");
    }

    #[test]
    fn who_else_masquerades() {
        let listed = lines(&[
            "-A POSTROUTING -s 10.10.48.0/24 ! -o docker0 -j MASQUERADE",
            "-A POSTROUTING -s 10.10.48.0/24 ! -d 10.10.0.0/16 -j MASQUERADE",
            "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        ]);
        let found = rivals(&wanted("10.10.48.1/24", None), &listed);
        assert_eq!(found, [listed[0].as_str()]);
    }
}
