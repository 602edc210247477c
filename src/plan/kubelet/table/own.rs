//! The kubelet's own flags of 1.20 and later that no field of the configuration replaces.

use super::Certainty::{First, Gone};
use super::Source::{Kep, Kubelet, Notes, Options, Pull, Reference};
use super::{Flag, switch, value};

const CRI: &str = "the runtime's own configuration";
const CREDENTIALS: &str = "--image-credential-provider-config";

pub const FLAGS: &[Flag] = &[
    value("azure-container-registry-config", 5, Pull(118_596))
        .deprecated(28)
        .gone(30)
        .say(CREDENTIALS)
        .read(Gone),
    value("bootstrap-kubeconfig", 7, Options),
    value("cert-dir", 0, Options),
    value("chaos-chance", 0, Pull(101_057)).deprecated(19).gone(22),
    value("cloud-config", 0, Notes).deprecated(19).gone(34).say("a cloud controller manager"),
    value("cloud-provider", 0, Options).deprecated(19),
    value("cni-bin-dir", 4, Pull(106_907)).gone(24).say(CRI),
    value("cni-cache-dir", 17, Pull(106_907)).gone(24).say(CRI).read(Gone),
    value("cni-conf-dir", 4, Pull(106_907)).gone(24).say(CRI),
    value("config", 10, Options),
    // 1.28 and 1.29 want KUBELET_CONFIG_DROPIN_DIR_ALPHA in the environment as well.
    value("config-dir", 28, Kep(3983)),
    value("container-runtime", 0, Notes).deprecated(24).gone(27).say("--container-runtime-endpoint"),
    value("docker-endpoint", 0, Pull(106_907)).deprecated(21).gone(24).say("--container-runtime-endpoint"),
    value("dynamic-config-dir", 8, Pull(106_932)).deprecated(22).gone(24).say("--config"),
    switch("enable-cadvisor-json-endpoints", 14, Pull(99_236))
        .deprecated(15)
        .gone(21)
        .say("/metrics/cadvisor")
        .read(Gone),
    switch("exit-on-lock-contention", 3, Options),
    switch("experimental-allocatable-ignore-eviction", 6, Pull(91_578)).deprecated(19).read(Gone),
    value("experimental-bootstrap-kubeconfig", 4, Pull(103_172))
        .deprecated(7)
        .gone(23)
        .say("--bootstrap-kubeconfig"),
    switch("experimental-check-node-capabilities-before-mount", 6, Pull(104_732))
        .deprecated(19)
        .gone(23)
        .say("a CSI driver")
        .read(Gone),
    switch("experimental-kernel-memcg-notification", 6, Pull(109_388))
        .deprecated(19)
        .gone(25)
        .say("--kernel-memcg-notification"),
    switch("experimental-logging-sanitization", 20, Pull(96_372)).gone(24).read(First),
    value("experimental-mounter-path", 5, Pull(91_373)).deprecated(19).say("a CSI driver").read(Gone),
    switch("help", 0, Options),
    value("hostname-override", 0, Options),
    value("image-credential-provider-bin-dir", 20, Kubelet),
    value("image-credential-provider-config", 20, Kubelet),
    value("image-pull-progress-deadline", 6, Pull(106_907)).gone(24).say(CRI).read(Gone),
    switch("keep-terminated-pod-volumes", 6, Notes).deprecated(7).gone(31).read(Gone),
    value("kubeconfig", 0, Options),
    value("lock-file", 2, Options),
    value("master-service-namespace", 0, Pull(116_015)).deprecated(7).gone(27),
    value("maximum-dead-containers", 0, Options).deprecated(4).say("--eviction-hard"),
    value("maximum-dead-containers-per-container", 0, Options).deprecated(4).say("--eviction-hard"),
    value("minimum-container-ttl-duration", 0, Options).deprecated(4).say("--eviction-hard"),
    value("network-plugin", 0, Pull(106_907)).deprecated(21).gone(24).say(CRI),
    value("network-plugin-mtu", 3, Pull(106_907)).gone(24).say(CRI).read(Gone),
    value("node-ip", 2, Options),
    value("node-labels", 2, Options),
    value("non-masquerade-cidr", 2, Notes).deprecated(7).gone(24).say("kboot bridge --masquerade"),
    value("pod-infra-container-image", 0, Pull(133_779))
        .deprecated(24)
        .gone(35)
        .say("the runtime's sandbox image"),
    switch("really-crash-for-testing", 0, Pull(101_719)).deprecated(19).gone(23),
    switch("redirect-container-streaming", 11, Pull(95_935)).deprecated(18).gone(24).read(First),
    switch("register-schedulable", 2, Notes).deprecated(6).gone(34).say("registerWithTaints in --config"),
    value("root-dir", 0, Options),
    value("runtime-cgroups", 2, Reference),
    value("seccomp-profile-root", 4, Pull(103_941))
        .deprecated(19)
        .gone(23)
        .say("seccomp in --root-dir")
        .read(Gone),
    switch("version", 0, Options),
    // Windows has more; this table is Linux's.
];
