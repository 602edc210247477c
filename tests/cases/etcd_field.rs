//! etcd-config against three real members that die at bad moments, and against an etcd without v2.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::between::{self, is_write};
use crate::support::etcd::{Etcd, Trio, node2, node3};
use crate::support::{Done, run};

const CONFIG: &str = r#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#;

fn write(endpoints: &[&str], prefix: &str, timeout: &str) -> Done {
    let endpoints = endpoints.join(",");
    let args = ["etcd-config", "--endpoints", &endpoints, "--prefix", prefix, "--timeout", timeout];
    run(&[&args[..], &["--network", "10.6.0.0/16", "--backend", "vxlan"]].concat())
}

/// Both APIs hold the config, and it was written to each exactly once.
fn is_written_once(url: &str, prefix: &str) {
    let key = format!("{prefix}/config");
    let (two, three) = (node2(url, &key).unwrap(), node3(url, &key).unwrap());
    assert_eq!((&two["value"], &three["value"]), (&json!(CONFIG), &json!(CONFIG)), "{prefix}");
    assert_eq!(two["createdIndex"], two["modifiedIndex"], "{prefix}");
    assert_eq!(three["create_revision"], three["mod_revision"], "{prefix}");
    assert_eq!(three["version"], 1, "{prefix}");
}

/// What becomes of the request at which a member dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// It did not arrive.
    Before,
    /// It may have arrived.
    Amid,
    /// It was carried out, and the answer is lost.
    After,
}

/// Which member is the first endpoint, and which one dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    FirstAndLeader,
    FirstAndFollower,
    LeaderBehindAFollower,
}

#[test]
fn a_leader_that_dies_at_a_write_leaves_it_done_exactly_once() {
    all_moments(Victim::FirstAndLeader);
}

#[test]
fn a_follower_that_dies_at_a_write_leaves_it_done_exactly_once() {
    all_moments(Victim::FirstAndFollower);
}

#[test]
fn a_leader_that_dies_behind_a_follower_leaves_the_write_done_exactly_once() {
    all_moments(Victim::LeaderBehindAFollower);
}

fn all_moments(victim: Victim) {
    let Some(mut trio) = Trio::start() else { return };
    for moment in [Moment::Before, Moment::Amid, Moment::After] {
        for api in ["v2", "v3"] {
            one_dies(&mut trio, victim, moment, api);
        }
    }
}

fn one_dies(trio: &mut Trio, victim: Victim, moment: Moment, api: &'static str) {
    let leader = trio.leader();
    let follower = (leader + 1) % 3;
    let (first, dies) = match victim {
        Victim::FirstAndLeader => (leader, leader),
        Victim::FirstAndFollower => (follower, follower),
        Victim::LeaderBehindAFollower => (follower, leader),
    };
    let round = format!("/{victim:?}-{moment:?}-{api}");
    let (front, answer) = dies_at_a_write(trio, first, &[dies], moment, api);
    let done = write(&[&front, &trio.urls[(first + 1) % 3], &trio.urls[(first + 2) % 3]], &round, "50s");
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{round}: {done:?}");
    let answer = answer.lock().unwrap().take().expect("the write came by");
    match moment {
        Moment::Before => assert_eq!(answer, None, "{round}"),
        Moment::Amid => {}
        Moment::After => assert!(answer.unwrap().starts_with("HTTP/1.1 20"), "{round}"),
    }
    is_written_once(&trio.urls[(dies + 1) % 3], &round);
    trio.restart(&[dies]);
}

/// The answer that kboot did not get; `None` until the first write comes by.
type Lost = Arc<Mutex<Option<Option<String>>>>;

/// A forwarder to `first`, at whose first write these members die; kboot is not answered then.
fn dies_at_a_write(
    trio: &Trio,
    first: usize,
    dying: &[usize],
    moment: Moment,
    api: &'static str,
) -> (String, Lost) {
    let kills: Vec<_> = dying.iter().map(|i| trio.killer(*i)).collect();
    let lost = Lost::default();
    let seen = lost.clone();
    let front = between::start(&trio.urls[first], move |request, pass| {
        let mut seen = seen.lock().unwrap();
        if !is_write(request, api) || seen.is_some() {
            drop(seen);
            return pass(request);
        }
        let kill = || kills.iter().for_each(|kill| kill());
        let answer = match moment {
            Moment::Before => None,
            Moment::Amid => thread::scope(|scope| {
                let answer = scope.spawn(|| pass(request));
                kill();
                answer.join().unwrap()
            }),
            Moment::After => pass(request),
        };
        if moment != Moment::Amid {
            kill();
        }
        *seen = Some(answer);
        None
    });
    (front, lost)
}

#[test]
fn without_a_quorum_it_is_75_in_time_and_a_later_run_is_right() {
    let Some(mut trio) = Trio::start() else { return };
    trio.kill(&[0, 1]);
    let urls = trio.urls.each_ref().map(String::as_str);
    let started = Instant::now();
    let done = write(&urls, "/none", "3s");
    let took = started.elapsed();
    let last = done.stderr.lines().last().unwrap();
    assert!(
        done.code == 75 && last.contains(": not within 3s: ") && last.contains("Connection refused"),
        "{done:?}"
    );
    // One last request has a second, whenever it began.
    assert!(Duration::from_secs(3) <= took && took < Duration::from_millis(4500), "{took:?}");
    trio.restart(&[0, 1]);
    let urls = trio.urls.each_ref().map(String::as_str);
    assert!(write(&urls, "/none", "30s").stderr.ends_with("(2 changed, 0 already so)\n"));
    is_written_once(urls[0], "/none");
}

#[test]
fn a_quorum_lost_amid_a_write_is_75_and_a_later_run_is_right() {
    let Some(mut trio) = Trio::start() else { return };
    for api in ["v2", "v3"] {
        let leader = trio.leader();
        let others = [(leader + 1) % 3, (leader + 2) % 3];
        let prefix = format!("/amid-{api}");
        let (front, lost) = dies_at_a_write(&trio, leader, &others, Moment::Amid, api);
        let done = write(&[&front, &trio.urls[others[0]], &trio.urls[others[1]]], &prefix, "4s");
        assert!(done.code == 75 && done.stderr.contains(": not within 4s: "), "{done:?}");
        assert!(lost.lock().unwrap().is_some(), "the write came by");
        trio.restart(&others);
        let urls = trio.urls.each_ref().map(String::as_str);
        // Whether the write under way was carried out in the end is etcd's affair.
        let done = write(&urls, &prefix, "30s");
        assert_eq!(done.code, 0, "{done:?}");
        is_written_once(urls[0], &prefix);
    }
}

#[test]
fn a_follower_behind_a_dead_endpoint_will_do() {
    let Some(mut trio) = Trio::start() else { return };
    let leader = trio.leader();
    let (dead, follower) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.kill(&[dead]);
    let done = write(&[&trio.urls[dead], &trio.urls[follower]], "/follower", "10s");
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n"), "{done:?}");
    is_written_once(&trio.urls[leader], "/follower");
    assert_eq!(trio.leader(), leader);
}

#[test]
fn a_flannel_that_reads_v2_only_needs_an_etcd_that_serves_it() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let args = ["etcd-config", "--endpoints", &etcd.url, "--network", "10.6.0.0/16", "--backend", "vxlan"];
    let old = [&args[..], &["--flannel-version", "0.11.0"]].concat();
    let lacks = format!(
        "kboot etcd-config: etcd at {}: serves no v2 API: start it with --enable-v2 (etcd 3.4, 3.5)",
        etcd.url
    );
    assert_eq!(run(&old).error(), (1, format!("{lacks}, and flannel 0.11.0 reads no other").as_str()));
    assert_eq!(
        run(&[&old[..], &["--api", "v3"]].concat()).error(),
        (2, "kboot etcd-config: --api v3: flannel 0.11.0 reads the v2 API only")
    );
    for api in ["v2", "both"] {
        assert_eq!(run(&[&args[..], &["--api", api]].concat()).error(), (1, lacks.as_str()));
    }
    assert_eq!(node3(&etcd.url, "/coreos.com/network/config"), None);
    // Today's flannel reads v3.
    let done = run(&[&args[..], &["--flannel-version", "0.26"]].concat());
    assert!(done.stderr.contains("in v3: ") && done.code == 0, "{done:?}");
}
