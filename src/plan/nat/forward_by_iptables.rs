//! Letting pods through where legacy iptables drops what it forwards. In nf_tables it is `forward`'s
//! business, whichever program made the chain that drops.

use super::comment;
use crate::plan::bridge::{Call, Change, Plan, Step};
use crate::types::{Cidr, IfName};

/// Plans from the lines of `PROGRAM -t filter -S FORWARD`: where that chain drops by its policy or by a
/// rule for everything, two rules accept what the pods of these subnets send and get. They stand at the
/// end, so that whatever an administrator forbids stays forbidden, or before the rule for everything.
/// Where nothing drops, or for no subnets, kboot's rules go.
pub fn plan(program: &'static str, bridge: &IfName, subnets: &[Cidr], listed: &[String]) -> Plan {
    let lines: Vec<String> = listed.iter().map(|l| l.replace('"', "").trim_end().to_owned()).collect();
    let rules: Vec<&str> = lines.iter().filter_map(|l| l.strip_prefix("-A FORWARD ")).collect();
    let last = rules.iter().enumerate().find_map(|(at, r)| Some((at, verdict_for_all(r)?)));
    let end = last.filter(|(_, drops)| *drops).map(|(at, _)| at);
    let is_open = end.is_none() && (last.is_some() || !lines.iter().any(|l| l == "-P FORWARD DROP"));
    let wanted = if is_open { Vec::new() } else { accepts(bridge, subnets) };
    let own = format!("--comment {} ", comment(bridge));
    let is_own = |rule: &str| format!("{rule} ").contains(&own);
    let (before, behind) = rules.split_at(end.unwrap_or(rules.len()));
    let step = |args: String| Step::Iptables(Call { program, table: "filter", args });
    let mut plan = Plan::default();
    // From the end and before all else, so that numbers stay true; behind the drop they did nothing.
    for (at, rule) in behind.iter().enumerate().rev().filter(|(_, r)| is_own(r)) {
        let why = format!("{program} filter: FORWARD: not in its place: {rule}");
        plan.changes.push(Change::new(step(format!("-D FORWARD {}", before.len() + at + 1)), why));
    }
    let mut place = before.len();
    for rule in &wanted {
        let is_there = before.contains(&rule.as_str());
        if !is_there {
            place += 1;
        }
        let head = if end.is_some() { format!("-I FORWARD {place}") } else { "-A FORWARD".to_owned() };
        let why = format!("{program} filter: FORWARD drops, and lacks: {rule}");
        plan.want(is_there, step(format!("{head} {rule}")), why);
    }
    let mut seen: Vec<&str> = Vec::new();
    for rule in before.iter().filter(|r| is_own(r)) {
        if wanted.iter().any(|w| w == rule) && !seen.contains(rule) {
            seen.push(rule);
            continue;
        }
        let why = format!("{program} filter: FORWARD: not wanted: {rule}");
        plan.changes.push(Change::new(step(format!("-D FORWARD {rule}")), why));
    }
    plan
}

fn accepts(bridge: &IfName, subnets: &[Cidr]) -> Vec<String> {
    let note = format!("-m comment --comment {} -j ACCEPT", comment(bridge));
    let both = |s: &Cidr| {
        let subnet = s.network();
        [format!("-s {subnet} -i {bridge} {note}"), format!("-d {subnet} -o {bridge} {note}")]
    };
    subnets.iter().flat_map(both).collect()
}

/// Whether a rule without a condition drops; `None` if it has one (a comment is none), or goes on.
fn verdict_for_all(rule: &str) -> Option<bool> {
    let target = match rule.split_once("-m comment --comment ") {
        Some(("", rest)) => rest.split_once(" -j ")?.1,
        Some(_) => return None,
        None => rule.strip_prefix("-j ")?,
    };
    match target.split(' ').next() {
        Some("DROP" | "REJECT") => Some(true),
        Some("ACCEPT") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "-s 10.7.3.0/24 -i br-pods -m comment --comment kboot-br-pods -j ACCEPT";
    const IN: &str = "-d 10.7.3.0/24 -o br-pods -m comment --comment kboot-br-pods -j ACCEPT";

    fn planned(subnets: &[&str], listed: &[String]) -> (Vec<String>, usize) {
        let subnets: Vec<Cidr> = subnets.iter().map(|s| s.parse().unwrap()).collect();
        let plan = plan("iptables", &"br-pods".parse().unwrap(), &subnets, listed);
        (plan.changes.iter().map(|c| c.step.to_string()).collect(), plan.already)
    }

    fn lines(policy: &str, rules: &[&str]) -> Vec<String> {
        let rules = rules.iter().map(|r| format!("-A FORWARD {r}"));
        std::iter::once(format!("-P FORWARD {policy}")).chain(rules).collect()
    }

    fn filter(args: &str) -> String {
        format!("iptables -t filter {args}")
    }

    #[test]
    fn a_policy_that_drops_gets_its_exceptions_at_the_end() {
        let listed = lines("DROP", &["-i eth0 -j DROP"]);
        let want = [filter(&format!("-A FORWARD {OUT}")), filter(&format!("-A FORWARD {IN}"))];
        assert_eq!(planned(&["10.7.3.1/24"], &listed), (want.to_vec(), 0));
        assert_eq!(planned(&["10.7.3.1/24"], &lines("DROP", &[OUT, IN])), (vec![], 2));
        assert_eq!(planned(&["10.7.3.1/24"], &lines("ACCEPT", &["-i eth0 -j DROP"])), (vec![], 0));
    }

    #[test]
    fn a_rule_that_drops_all_gets_them_before_it() {
        let reject = "-j REJECT --reject-with icmp-host-prohibited";
        let want = [filter(&format!("-I FORWARD 2 {OUT}")), filter(&format!("-I FORWARD 3 {IN}"))];
        let listed = lines("ACCEPT", &["-i lo -j ACCEPT", reject]);
        assert_eq!(planned(&["10.7.3.1/24"], &listed), (want.to_vec(), 0));
        let noted = lines("ACCEPT", &["-m comment --comment \"all else\" -j DROP"]);
        assert_eq!(planned(&["10.7.3.1/24"], &noted).0.len(), 2);
        assert_eq!(planned(&["10.7.3.1/24"], &lines("DROP", &["-j ACCEPT"])), (vec![], 0), "open before it");
        let behind = planned(&["10.7.3.1/24"], &lines("ACCEPT", &[OUT, reject, IN]));
        let mended = [filter("-D FORWARD 3"), filter(&format!("-I FORWARD 2 {IN}"))];
        assert_eq!(behind, (mended.to_vec(), 1));
    }

    #[test]
    fn what_is_of_another_lease_or_there_twice_goes_and_others_stay() {
        let old = OUT.replace("10.7.3", "10.7.9");
        let other = "-s 10.7.3.0/24 -i cbr0 -m comment --comment kboot-br-pods2 -j ACCEPT";
        let listed = lines("DROP", &[&old, OUT, IN, OUT, other]);
        let gone = [filter(&format!("-D FORWARD {old}")), filter(&format!("-D FORWARD {OUT}"))];
        assert_eq!(planned(&["10.7.3.1/24"], &listed), (gone.to_vec(), 2));
        assert_eq!(planned(&[], &lines("DROP", &[OUT, other])).0, [filter(&format!("-D FORWARD {OUT}"))]);
        assert_eq!(planned(&["10.7.3.1/24"], &lines("ACCEPT", &[OUT])).0.len(), 1, "no longer needed");
    }
}
