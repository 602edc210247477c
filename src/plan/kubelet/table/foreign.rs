//! Flags of libraries that the kubelet brings along: cAdvisor's and klog's (glog's before 1.13).

use super::Certainty::{Gone, Neither};
use super::Source::{Kep, Kubelet, Options, Pull, Reference};
use super::{Flag, switch, value};

const KLOG: super::Source = Kep(2845);
const STDERR: &str = "the service manager's log";
const OWN_CADVISOR: &str = "a cAdvisor of its own";

pub const FLAGS: &[Flag] = &[
    switch("add-dir-header", 17, KLOG).deprecated(23).gone(26).read(Gone),
    switch("alsologtostderr", 0, KLOG).deprecated(23).gone(26).say(STDERR),
    value("application-metrics-count-limit", 2, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("boot-id-file", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("container-hints", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("containerd", 9, Pull(139_870))
        .deprecated(10)
        .gone(37)
        .say("--container-runtime-endpoint")
        .read(Gone),
    value("containerd-namespace", 18, Pull(139_870)).deprecated(18).gone(37),
    value("docker", 0, Kubelet).deprecated(10).gone(24).say("--container-runtime-endpoint").read(Gone),
    value("docker-env-metadata-whitelist", 2, Kubelet).deprecated(10).gone(24).read(Neither),
    switch("docker-only", 0, Kubelet).deprecated(10).gone(24).read(Neither),
    value("docker-root", 0, Kubelet).deprecated(10).gone(24).read(Neither),
    switch("docker-tls", 8, Kubelet).deprecated(10).gone(24).read(Neither),
    value("docker-tls-ca", 8, Kubelet).deprecated(10).gone(24).read(Neither),
    value("docker-tls-cert", 8, Kubelet).deprecated(10).gone(24).read(Neither),
    value("docker-tls-key", 8, Kubelet).deprecated(10).gone(24).read(Neither),
    switch("enable-load-reader", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("event-storage-age-limit", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("event-storage-event-limit", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("global-housekeeping-interval", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("housekeeping-interval", 0, Pull(139_870)).read(Gone),
    value("log-backtrace-at", 0, KLOG).deprecated(23).gone(26),
    switch("log-cadvisor-usage", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    value("log-dir", 0, KLOG).deprecated(23).gone(26).say(STDERR),
    value("log-file", 13, KLOG).deprecated(23).gone(26).say(STDERR).read(Gone),
    value("log-file-max-size", 14, KLOG).deprecated(23).gone(26).say(STDERR).read(Gone),
    value("log-flush-frequency", 0, Kubelet),
    // The JSON format is a build's own: the reference page is made without it.
    value("log-json-info-buffer-size", 23, Kubelet).deprecated(23).read(Gone),
    switch("log-json-split-stream", 23, Kubelet).deprecated(23).read(Gone),
    value("log-text-info-buffer-size", 31, Reference).deprecated(31).read(Gone),
    switch("log-text-split-stream", 31, Reference).deprecated(31).read(Gone),
    switch("logtostderr", 0, KLOG).deprecated(23).gone(26).say(STDERR),
    value("machine-id-file", 0, Pull(139_870)).deprecated(10).gone(37).read(Gone),
    switch("one-output", 20, KLOG).deprecated(23).gone(26).read(Gone),
    switch("skip-headers", 13, KLOG).deprecated(23).gone(26).read(Gone),
    switch("skip-log-headers", 13, KLOG).deprecated(23).gone(26).read(Gone),
    value("stderrthreshold", 0, KLOG).deprecated(23).gone(26).say(STDERR),
    value("storage-driver-buffer-duration", 0, Pull(139_870))
        .deprecated(10)
        .gone(37)
        .say(OWN_CADVISOR)
        .read(Gone),
    value("storage-driver-db", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    value("storage-driver-host", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    value("storage-driver-password", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    switch("storage-driver-secure", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    value("storage-driver-table", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    value("storage-driver-user", 0, Pull(139_870)).deprecated(10).gone(37).say(OWN_CADVISOR).read(Gone),
    value("v", 0, Options),
    value("vmodule", 0, Options),
];
