//! What the kubelet will find on this host: one look at everything, one report.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Args, facts, node, runtime};
use crate::applet::kernel_module;
use crate::applet::report::{Report, Step};
use crate::applet::server::Server;
use crate::error::{Context, Error, Result};
use crate::plan::kubelet::{CgroupDriver, Extra, Runtime, Version};
use crate::plan::preflight::{self as plan, Finding, Fix, Level};
use crate::sys::wait::{self, Deadline, Retry};
use crate::sys::{lock, log, sysctl};
use crate::types::{Cidr, IfName, NodeName, Scheme, Timeout, Url};

/// All that is known before the look.
pub struct Scene {
    pub args: Args,
    /// The kubelet's own flags, behind `--`, as far as it gets them.
    pub extra: Extra,
    pub version: Version,
    pub runtime: Runtime,
    /// Where docker is, if it is the runtime.
    pub docker: Url,
    pub server: Server,
    pub manifests: String,
    pub bridge: IfName,
    /// The Node's name, once it is known.
    pub name: Option<NodeName>,
    pub lease: Vec<Cidr>,
}

/// Longer than a kubelet takes to end.
const PORTS_WITHIN: Duration = Duration::from_secs(5);
/// A look at /proc costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Scene {
    /// Waits for what the kubelet cannot do without and what comes by itself.
    pub fn wait(&self, deadline: &Deadline) -> Result<()> {
        if self.server.url.scheme() == Scheme::Https && !self.args.ignores("clock") {
            wait::for_the_clock(deadline)?;
        }
        if !self.args.ignores("runtime") {
            runtime::wait(self, deadline)?;
        }
        if !self.args.ignores("ports") && !deadline.passed() {
            self.wait_for_ports(deadline);
        }
        Ok(())
    }

    /// A kubelet that has just been ended may hold its ports a moment longer. Who holds them for longer
    /// is a blocker.
    fn wait_for_ports(&self, deadline: &Deadline) {
        let patience = Deadline::start(Timeout::After(deadline.attempt(PORTS_WITHIN)));
        let looked =
            wait::retry_every(&patience, "the kubelet's ports", LOOK_EVERY, || {
                match facts::ports(self).into_iter().find(|f| f.level == Level::Blocker) {
                    Some(taken) => Err(Retry::Later { why: taken.what, after: None }),
                    None => Ok(()),
                }
            });
        if let Err(error) = looked {
            log::debug!("{error}");
        }
    }

    /// What the kubelet's own flags give to one of them.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.extra.value(name)
    }

    /// Whether a switch of the kubelet is on: its own flags win over what kboot would say.
    pub fn is_on(&self, name: &str, by_kboot: bool) -> bool {
        self.extra.switch(name).unwrap_or(by_kboot)
    }

    /// Where it looks for static pods. Until 1.5 --config is their directory.
    fn static_pods(&self) -> &str {
        let given = self.flag("pod-manifest-path").or_else(|| self.flag("config"));
        given.unwrap_or(&self.manifests)
    }
}

/// What the look brought to light.
#[derive(Default)]
pub struct Look {
    pub findings: Vec<Finding>,
    /// For the kubelet's settings.
    pub driver: Option<CgroupDriver>,
    /// The same.
    pub resolv_conf: Option<String>,
}

/// Looks at everything once. Nothing is changed.
pub fn look(scene: &Scene) -> Result<Look> {
    let seen = runtime::look(scene);
    let (resolv_conf, resolver) = facts::resolver(scene)?;
    let mut findings = Vec::new();
    if scene.args.check {
        findings.push(facts::kubelet(scene));
    }
    findings.push(plan::subnet(&scene.lease, scene.name.is_none()));
    findings.extend(facts::pod_network(scene)?);
    findings.push(facts::runtime_answers(scene, &seen));
    findings.extend(facts::control_groups(scene, &seen));
    findings.extend(facts::kernel(scene)?);
    findings.push(resolver);
    findings.push(facts::clock(scene)?);
    let pods = scene.static_pods();
    findings.push(plan::manifests(pods, Path::new(pods).exists()));
    findings.push(facts::room(scene, &seen));
    findings.extend(facts::ports(scene));
    if let Some(name) = &scene.name {
        findings.push(facts::names(scene, name)?);
        findings.push(node::look(scene, name)?);
    }
    demote(&mut findings, &scene.args);
    Ok(Look { findings, driver: seen.driver, resolv_conf })
}

/// What is ignored is still told.
fn demote(findings: &mut [Finding], args: &Args) {
    for finding in findings.iter_mut().filter(|f| f.level == Level::Blocker && args.ignores(f.check)) {
        finding.level = Level::Warning;
    }
}

/// Makes what can be made safely, and looks again. What cannot be mended is a warning, and stays a finding.
pub fn mend(scene: &Scene, look: Look, deadline: &Deadline, report: &mut Report) -> Result<Look> {
    if look.findings.iter().all(|f| f.fixes.is_empty()) {
        return Ok(look);
    }
    let _lock = if report.dry_run { None } else { Some(lock::acquire(deadline)?) };
    for finding in &look.findings {
        if let Err(error) = report.carry_out(&finding.fixes, make) {
            report.warn(format!("--fix: {error}"));
        }
    }
    if report.dry_run { Ok(look) } else { self::look(scene) }
}

fn make(fix: &Fix) -> Result<()> {
    match fix {
        Fix::Setting(name, value) => sysctl::write(name, value),
        Fix::Module(name) => kernel_module::load(name),
        Fix::Directory(path) => Ok(fs::create_dir_all(path)?),
    }
}

impl Step for Fix {
    fn kind(&self) -> &'static str {
        match self {
            Fix::Setting(..) => "sysctl",
            Fix::Module(_) => "module",
            Fix::Directory(_) => "directory",
        }
    }
}

/// The names that `--ignore` takes.
pub fn known_checks() -> impl Iterator<Item = &'static str> {
    plan::CHECKS.into_iter().chain(["all"])
}

/// Tells the findings: `--check` as a table on stdout, a launch its warnings. A blocker is exit 3.
pub fn tell(findings: &[Finding], is_check: bool, report: &mut Report) -> Result<()> {
    report.found("findings", findings.iter().map(Finding::json).collect());
    report.already(findings.iter().filter(|f| f.level == Level::Ok).count());
    let mut blockers = findings.iter().filter(|f| f.level == Level::Blocker);
    let first = blockers.next();
    if is_check {
        report.data(&plan::table(findings))?;
    } else {
        // The first blocker is the error itself, where there is to be one.
        let is_error = |f: &Finding| !report.dry_run && first.is_some_and(|first| std::ptr::eq(first, f));
        let told: Vec<&Finding> = findings.iter().filter(|f| f.level != Level::Ok && !is_error(f)).collect();
        for finding in told {
            report.warn(format!("{}: {finding}", finding.check));
        }
    }
    let Some(first) = first else { return Ok(()) };
    let more = match blockers.count() {
        0 => String::new(),
        n => format!(" (and {n} more: --check lists them)"),
    };
    Err(Error::conflict(format!("{first}{more}"))).context(first.check)
}
