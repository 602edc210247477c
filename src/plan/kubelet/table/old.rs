//! Flags that were gone before 1.20.

use super::Certainty::{First, Gone, Neither};
use super::Source::{Notes, Options, Pull, Reference};
use super::{Flag, switch, value};

pub const FLAGS: &[Flag] = &[
    switch("allow-privileged", 0, Options).deprecated(10).gone(15).say("a pod's own security context"),
    value("api-servers", 0, Options).deprecated(4).gone(8).say("the kubeconfig's server"),
    value("auth-path", 0, Options).deprecated(2).gone(6).say("--kubeconfig"),
    switch("babysit-daemons", 2, Options).deprecated(2).gone(7).read(Neither),
    value("bootstrap-checkpoint-path", 9, Pull(91_577)).gone(19).say("static pods"),
    value("cadvisor-port", 0, Pull(65_707)).deprecated(10).gone(12).say("a cAdvisor of its own"),
    // The directory of manifests; the file of settings has a life of its own from 1.10 on.
    value("config", 0, Options).deprecated(4).gone(6).say("--pod-manifest-path"),
    switch("configure-cbr0", 0, Options).deprecated(4).gone(5).say("a network plugin"),
    switch("configure-hairpin-mode", 1, Reference).gone(2).say("--hairpin-mode").read(Neither),
    switch("containerized", 0, Pull(80_043)).deprecated(14).gone(16),
    switch("docker-disable-shared-pid", 7, Pull(66_506)).gone(12).say("a pod's shareProcessNamespace"),
    value("docker-exec-handler", 0, Options).gone(7).read(First),
    switch("enable-cri", 6, Reference).gone(7).say("--container-runtime=remote").read(Neither),
    switch("enable-custom-metrics", 2, Options).gone(8).read(First),
    value("experimental-allowed-unsafe-sysctls", 4, Options)
        .gone(11)
        .say("--allowed-unsafe-sysctls")
        .read(First),
    switch("experimental-cgroups-per-qos", 5, Options).gone(6).say("--cgroups-per-qos"),
    switch("experimental-cri", 5, Options).gone(6).say("--container-runtime=remote"),
    switch("experimental-fail-swap-on", 5, Notes).deprecated(8).gone(14).say("--fail-swap-on").read(First),
    switch("experimental-flannel-overlay", 2, Options).deprecated(4).gone(5).say("kboot bridge"),
    value("experimental-nvidia-gpus", 3, Options).gone(6).read(Neither),
    value("experimental-qos-reserved", 7, Reference).gone(11).say("--qos-reserved").read(Neither),
    value("google-json-key", 0, Pull(69_354))
        .deprecated(10)
        .gone(13)
        .say("config.json in --root-dir")
        .read(Gone),
    value("host-ipc-sources", 1, Notes).deprecated(10).gone(15).say("pod security admission").read(Gone),
    value("host-network-sources", 0, Notes).deprecated(10).gone(15).say("pod security admission").read(Gone),
    value("host-pid-sources", 1, Notes).deprecated(10).gone(15).say("pod security admission").read(Gone),
    value("init-config-dir", 8, Options).gone(10).say("--config"),
    value("low-diskspace-threshold-mb", 0, Options).gone(7).say("--eviction-hard").read(First),
    value("network-plugin-dir", 1, Options).deprecated(7).gone(9).say("--cni-bin-dir"),
    value("outofdisk-transition-frequency", 2, Options).gone(7).read(First),
    switch("reconcile-cidr", 2, Options).deprecated(5).gone(6),
    switch("require-kubeconfig", 4, Options)
        .deprecated(8)
        .gone(10)
        .say("--kubeconfig, which insists by itself"),
    value("resource-container", 0, Pull(40_048)).deprecated(2).gone(6).say("--kubelet-cgroups"),
    value("rkt-api-endpoint", 3, Options).gone(11).read(Neither),
    value("rkt-path", 1, Options).gone(11).read(Neither),
    value("rkt-stage1-image", 2, Options).deprecated(4).gone(7).read(First),
    value("system-container", 0, Pull(40_048)).deprecated(2).gone(6).say("--system-cgroups"),
];
