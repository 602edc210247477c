//! Masquerading by iptables: a chain of kboot's own and one commented jump to it. The texts are those
//! that `iptables -S` prints, so that what is there is compared as it is.

use crate::types::{Cidr, IfName};

/// What is wanted.
pub struct Wanted {
    /// The bridge, after which the chain is named.
    pub bridge: IfName,
    /// This host's pod network, IPv4.
    pub subnet: Cidr,
    /// The cluster's networks, whose addresses stay as they are.
    pub cluster: Vec<Cidr>,
    /// The only link by which packets get this host's address; all when `None`.
    pub out_interface: Option<IfName>,
}

/// One argument list for `iptables -t nat`.
pub type Args = String;

/// What is there and what has to be changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Args>,
    /// How many of the wanted rules, the chain among them, are there.
    pub already: usize,
}

impl Wanted {
    fn chain(&self) -> String {
        // At most 28 bytes (XT_EXTENSION_MAXNAMELEN): 6 and a name's 15 fit.
        format!("KBOOT-{}", self.bridge)
    }

    fn jump(&self) -> String {
        let out = self.out_interface.as_ref().map(|i| format!(" -o {i}")).unwrap_or_default();
        let (subnet, chain) = (self.subnet.network(), self.chain());
        format!("POSTROUTING -s {subnet}{out} -m comment --comment {} -j {chain}", self.comment())
    }

    fn comment(&self) -> String {
        format!("kboot-{}", self.bridge)
    }

    /// Multicast and the cluster's own addresses are left alone; all else gets the host's address.
    fn rules(&self) -> Vec<String> {
        let mut rules = vec!["-d 224.0.0.0/4 -j RETURN".to_owned()];
        rules.extend(self.cluster.iter().map(|c| format!("-d {} -j RETURN", c.network())));
        rules.push("-j MASQUERADE".to_owned());
        rules
    }
}

/// Plans from the lines of `iptables -t nat -S`. In every state on the way the chain's first rules
/// are either all the old or all the new ones up to some point, and the jump comes last: killed
/// anywhere, nothing is masqueraded that was not to be, and a rerun ends it.
pub fn plan(wanted: &Wanted, listed: &[String]) -> Plan {
    let chain = wanted.chain();
    let lines: Vec<String> = listed.iter().map(|l| l.replace('"', "")).collect();
    let mut plan = Plan { steps: Vec::new(), already: 0 };
    if lines.iter().any(|l| *l == format!("-N {chain}")) {
        plan.already += 1;
    } else {
        plan.steps.push(format!("-N {chain}"));
    }
    let start = format!("-A {chain} ");
    let has: Vec<&str> = lines.iter().filter_map(|l| l.strip_prefix(&start)).collect();
    let rules = wanted.rules();
    if has == rules {
        plan.already += rules.len();
    } else {
        for (at, rule) in rules.iter().enumerate() {
            plan.steps.push(format!("-I {chain} {} {rule}", at + 1));
        }
        // From the end, so that numbers stay true.
        for at in (0..has.len()).rev() {
            plan.steps.push(format!("-D {chain} {}", rules.len() + at + 1));
        }
    }
    plan_jump(wanted, &lines, &mut plan);
    plan
}

/// Takes away what an earlier run with masquerading left: the jumps, then the chain.
pub fn plan_none(bridge: &IfName, listed: &[String]) -> Vec<Args> {
    let chain = format!("KBOOT-{bridge}");
    let lines: Vec<String> = listed.iter().map(|l| l.replace('"', "")).collect();
    let target = format!(" -j {chain}");
    let jumps = lines.iter().filter_map(|l| l.strip_prefix("-A ")).filter(|l| l.ends_with(&target));
    let mut steps: Vec<Args> = jumps.map(|l| format!("-D {l}")).collect();
    if lines.iter().any(|l| *l == format!("-N {chain}")) {
        steps.extend([format!("-F {chain}"), format!("-X {chain}")]);
    }
    steps
}

fn plan_jump(wanted: &Wanted, lines: &[String], plan: &mut Plan) {
    let jump = wanted.jump();
    let target = format!(" -j {}", wanted.chain());
    let jumps = lines.iter().filter_map(|l| l.strip_prefix("-A ")).filter(|l| l.ends_with(&target));
    let (same, other): (Vec<&str>, Vec<&str>) = jumps.partition(|l| *l == jump);
    if same.is_empty() {
        plan.steps.push(format!("-A {jump}"));
    } else {
        plan.already += 1;
    }
    // Jumps of an earlier subnet or interface, and doubles.
    plan.steps.extend(same.iter().skip(1).chain(&other).map(|l| format!("-D {l}")));
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
        }
    }

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|l| (*l).to_owned()).collect()
    }

    const DONE: [&str; 6] = [
        "-P POSTROUTING ACCEPT",
        "-N KBOOT-cbr0",
        "-A POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment \"kboot-cbr0\" -j KBOOT-cbr0",
        "-A KBOOT-cbr0 -d 224.0.0.0/4 -j RETURN",
        "-A KBOOT-cbr0 -d 10.10.0.0/16 -j RETURN",
        "-A KBOOT-cbr0 -j MASQUERADE",
    ];

    #[test]
    fn from_nothing_the_jump_comes_last() {
        let plan = plan(&wanted("10.10.48.1/24", Some("eth0")), &[]);
        assert_eq!(
            plan.steps,
            [
                "-N KBOOT-cbr0",
                "-I KBOOT-cbr0 1 -d 224.0.0.0/4 -j RETURN",
                "-I KBOOT-cbr0 2 -d 10.10.0.0/16 -j RETURN",
                "-I KBOOT-cbr0 3 -j MASQUERADE",
                "-A POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment kboot-cbr0 -j KBOOT-cbr0",
            ]
        );
    }

    #[test]
    fn what_is_there_is_recognised() {
        let plan = plan(&wanted("10.10.48.1/24", Some("eth0")), &lines(&DONE));
        assert_eq!(plan, Plan { steps: Vec::new(), already: 5 });
    }

    #[test]
    fn no_masquerading_takes_away_what_an_earlier_run_left() {
        let bridge = "cbr0".parse().unwrap();
        assert_eq!(
            plan_none(&bridge, &lines(&DONE)),
            [
                "-D POSTROUTING -s 10.10.48.0/24 -o eth0 -m comment --comment kboot-cbr0 -j KBOOT-cbr0",
                "-F KBOOT-cbr0",
                "-X KBOOT-cbr0",
            ]
        );
        assert!(plan_none(&bridge, &lines(&DONE[..1])).is_empty());
    }

    #[test]
    fn another_lease_and_doubles_are_mended_new_before_old() {
        let mut there = lines(&DONE);
        there.push(there[2].clone());
        let plan = plan(&wanted("10.10.49.1/24", None), &there);
        assert_eq!(plan.already, 4);
        assert_eq!(
            plan.steps[0],
            "-A POSTROUTING -s 10.10.49.0/24 -m comment --comment kboot-cbr0 -j KBOOT-cbr0"
        );
        assert_eq!(plan.steps.len(), 3);
        assert!(plan.steps[1..].iter().all(|s| s.starts_with("-D POSTROUTING -s 10.10.48.0/24")));
    }

    #[test]
    fn wrong_rules_are_pushed_back_by_right_ones_and_then_taken_out() {
        let there = lines(&[
            "-N KBOOT-cbr0",
            "-A KBOOT-cbr0 -j MASQUERADE",
            "-A KBOOT-cbr0 -d 10.9.0.0/16 -j RETURN",
        ]);
        let plan = plan(&wanted("10.10.48.1/24", None), &there);
        assert_eq!(plan.steps[3..5], ["-D KBOOT-cbr0 5", "-D KBOOT-cbr0 4"]);
    }
}
