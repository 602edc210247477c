//! mkinitramfs: its archives read by the real cpio, depmod and modprobe, and booted by a kernel.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::debian::emulate;
use crate::support::machine::Machine;
use crate::support::{Done, Scratch, binary, collect, finish, kboot, need, root, root_user, run, tool};

/// The kernel of scripts/peers machine: where it is, and its version.
fn machine() -> Option<(PathBuf, String)> {
    need("machine/vmlinuz", "machine").and(need("cpio", "debian")).and(need("modprobe", "machine"))?;
    let directory = root().join("target/peers/machine");
    let release = fs::read_dir(directory.join("lib/modules")).unwrap().next().unwrap().unwrap();
    let release = release.file_name().into_string().unwrap();
    Some((directory, release))
}

fn modules_dir() -> Option<(String, String)> {
    let (directory, release) = machine()?;
    Some((directory.join("lib/modules").join(&release).to_str().unwrap().to_owned(), release))
}

/// `cpio ARGS` in a directory, as somebody, with the archive on stdin.
fn cpio(directory: &str, archive: &str, before: &[&str], args: &[&str]) -> Done {
    let words: Vec<&str> =
        before.iter().copied().chain(["cpio", "--quiet"]).chain(args.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(directory).stdin(fs::File::open(archive).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    collect(command.spawn().unwrap())
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn cpio_lists_and_unpacks_it_for_anybody() {
    let Some((modules, release)) = modules_dir().filter(|_| root_user()) else { return };
    let dir = Scratch::new();
    let boot = dir.file("boot.list", "bridge --name cbr3\n");
    let odd = dir.file("odd", [0, 1, 2, 255, 10]);
    set_mode(&odd, 0o751);
    let image = dir.path("image");
    let file = format!("{odd}:/opt/a/odd file");
    let args = ["--boot", &boot, "--module", "br-netfilter", "--modules-dir", &modules, "--file", &file];
    let done = run(&[&["mkinitramfs", "--output", &image][..], &args].concat());
    assert!(done.code == 0 && done.stderr.ends_with(" bytes (1 changed, 0 already so)\n"), "{done:?}");
    let listing = cpio("/", &image, &[], &["-itvn"]);
    let lines: Vec<Vec<&str>> = listing.ok().lines().map(|l| l.split_whitespace().collect()).collect();
    for expected in [
        "drwxr-xr-x 2 0 0 0 Jan 1 1970 bin",
        "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
        "crw-rw-rw- 1 0 0 1, 3 Jan 1 1970 dev/null",
        "lrwxrwxrwx 1 0 0 7 Jan 1 1970 bin/kboot -> ../init",
        "drwx------ 2 0 0 0 Jan 1 1970 root",
        "drwxrwxrwt 2 0 0 0 Jan 1 1970 tmp",
        "-rwxr-x--x 1 0 0 5 Jan 1 1970 opt/a/odd file",
    ] {
        assert!(lines.iter().any(|l| l.join(" ") == expected), "{expected}:\n{}", listing.stdout);
    }
    let out = dir.path("out");
    fs::create_dir(&out).unwrap();
    set_mode(&out, 0o777);
    // All but the nodes, which take root.
    let done = cpio(&out, &image, &NOBODY, &["-idm", "-f", "dev/*"]);
    assert_eq!(done.error(), (0, ""));
    let base = format!("lib/modules/{release}");
    let ko = |path: &str| (format!("{base}/kernel/{path}"), format!("{modules}/kernel/{path}"));
    for (inside, source) in [
        ("init".to_owned(), binary().to_str().unwrap().to_owned()),
        ("etc/kboot/boot".to_owned(), boot.clone()),
        ("opt/a/odd file".to_owned(), odd.clone()),
        ko("net/bridge/br_netfilter.ko"),
        ko("net/llc/llc.ko"),
    ] {
        let (a, b) = (fs::read(format!("{out}/{inside}")).unwrap(), fs::read(&source).unwrap());
        assert!(a == b, "{inside} is not {source}");
    }
    assert_eq!(fs::read_to_string(format!("{out}/etc/kboot/modules")).unwrap(), "br_netfilter\n");
    assert_eq!(fs::metadata(format!("{out}/opt/a/odd file")).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::read_link(format!("{out}/bin/kboot")).unwrap(), Path::new("../init"));
}

/// By whom, where, with which umask and time of files: one image.
#[test]
fn the_same_input_makes_the_same_bytes() {
    let Some((modules, _)) = modules_dir().filter(|_| root_user()) else { return };
    let dir = Scratch::new();
    set_mode(&dir.0, 0o777);
    let (secret, boot) = (dir.file("a", "x"), dir.file("boot", "bridge\n"));
    let (one, two) = (dir.path("one"), dir.path("two"));
    let args = format!("--module nf_tables --modules-dir {modules} --file {secret}:/x:0644 --boot {boot}");
    let line = |umask: &str, at: &str, out: &str| {
        format!("umask {umask}; cd {at}; exec {} mkinitramfs {args} --output {out}", binary().display())
    };
    tool("sh", &["-c", &line("022", "/", &one)]);
    tool("touch", &["-d", "2001-02-03", &secret, &boot]);
    // As a clone under umask 002 has it.
    set_mode(&boot, 0o664);
    let words = [&NOBODY[..], &["env", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "sh", "-c"]].concat();
    tool(words[0], &[&words[1..], &[&line("077", &dir.path(""), &two)]].concat());
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap());
    assert_eq!(fs::metadata(&two).unwrap().mode() & 0o777, 0o644, "whatever the umask");
    let three = format!("SOURCE_DATE_EPOCH=1600000000; export SOURCE_DATE_EPOCH; {}", line("022", "/", &one));
    tool("sh", &["-c", &three]);
    assert!(fs::read(&one).unwrap() != fs::read(&two).unwrap());
    assert!(cpio("/", &one, &["env", "TZ=UTC"], &["-itv"]).ok().lines().all(|l| l.contains("Sep 13  2020")));
    let before = fs::metadata(&one).unwrap().ino();
    let again = run(&["mkinitramfs", "--output", &one]);
    assert!(again.stderr.contains("(1 changed, 0 already so)"), "{again:?}");
    let again = run(&["mkinitramfs", "--output", &one]);
    assert!(again.stderr.contains("(0 changed, 1 already so)"), "{again:?}");
    assert_ne!(before, fs::metadata(&one).unwrap().ino());
    let (of_stdout, of_file) = (dir.path("stdout"), fs::read(&one).unwrap());
    tool("sh", &["-c", &format!("{} mkinitramfs --output - >{of_stdout}", binary().display())]);
    assert!(fs::read(of_stdout).unwrap() == of_file);
}

fn module_name(path: &str) -> String {
    path.rsplit('/').next().unwrap().split(".ko").next().unwrap().replace('-', "_")
}

/// The modules that an image with this one has, by the listing.
fn chosen(modules: &str, name: &str) -> BTreeSet<String> {
    let done = run(&["mkinitramfs", "-q", "--dry-run", "--modules-dir", modules, "--module", name]);
    let files = done.ok().lines().filter(|l| l.starts_with("file ") && l.contains("/kernel/"));
    files.map(|l| module_name(l.split(' ').nth(1).unwrap())).collect()
}

/// Asked in a directory without configuration: the host's modprobe.d is none of the image's business.
fn by_modprobe(directory: &Path, release: &str, name: &str) -> BTreeSet<String> {
    let directory = directory.to_str().unwrap();
    let shown =
        tool("modprobe", &["-C", "/dev/null", "-d", directory, "-S", release, "--show-depends", name]);
    shown.lines().filter_map(|l| l.trim().strip_prefix("insmod ")).map(module_name).collect()
}

#[test]
fn modules_bring_what_modprobe_would_load_with_them() {
    let Some((modules, release)) = modules_dir() else { return };
    let directory = machine().unwrap().0;
    let dep = fs::read_to_string(format!("{modules}/modules.dep")).unwrap();
    let all: Vec<String> = dep.lines().map(|l| module_name(l.split(':').next().unwrap())).collect();
    let named = [
        "br-netfilter",
        "nft_masq",
        "nf_tables",
        "vxlan",
        "virtio_net",
        "virtio_blk",
        "nfsd",
        "ext4",
        "crypto-crc32c",
    ];
    let every = all.iter().step_by(11).map(String::as_str);
    let mut count = 0;
    for name in named.into_iter().chain(every) {
        let (ours, mut theirs) = (chosen(&modules, name), by_modprobe(&directory, &release, name));
        // The bus, by which modprobe would have come before.
        if theirs.contains("virtio") {
            for bus in ["virtio_pci", "virtio_mmio"] {
                theirs.extend(by_modprobe(&directory, &release, bus));
            }
        }
        assert_eq!(ours, theirs, "{name}");
        count += ours.len();
    }
    assert!(count > 200, "{count}");
}

/// The lists are those that depmod makes of what is in the image.
#[test]
fn the_lists_in_the_image_are_depmods_of_what_is_there() {
    let Some((modules, release)) = modules_dir() else { return };
    let dir = Scratch::new();
    let (image, out) = (dir.path("image"), dir.path("out"));
    let asked = ["br_netfilter", "nft_masq", "virtio_net", "virtio_pci", "overlay", "ext4"];
    let words: Vec<&str> = asked.iter().flat_map(|m| ["--module", m]).collect();
    let done = run(&[&["mkinitramfs", "--modules-dir", &modules, "--output", &image][..], &words].concat());
    assert!(done.stderr.contains(&format!("module ext4 is part of kernel {release}\n")), "{done:?}");
    fs::create_dir(&out).unwrap();
    assert_eq!(cpio(&out, &image, &[], &["-id", "lib/*"]).code, 0);
    let lists = ["modules.dep", "modules.alias", "modules.softdep"];
    let read = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(format!("{out}/lib/modules/{release}/{name}")).unwrap();
        text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect()
    };
    let ours = lists.map(read);
    assert!(ours[0].len() > 10 && ours[1].contains("alias virtio:d00000001v* virtio_net"), "{ours:?}");
    for name in lists {
        fs::remove_file(format!("{out}/lib/modules/{release}/{name}")).unwrap();
    }
    fs::write(format!("{out}/lib/modules/{release}/modules.order"), "").unwrap();
    tool("depmod", &["-C", "/dev/null", "-b", &out, &release]);
    for ((name, ours), theirs) in lists.iter().zip(ours).zip(lists.map(read)) {
        assert_eq!(words_of(&ours), words_of(&theirs), "{name}");
    }
}

/// Lines with their words in one order: depmod's own depends on modules.order.
fn words_of(lines: &BTreeSet<String>) -> BTreeSet<BTreeSet<&str>> {
    lines.iter().map(|l| l.split(' ').collect()).collect()
}

#[test]
fn a_secret_closes_the_image() {
    let dir = Scratch::new();
    let token = dir.file("token", "s3cret");
    set_mode(&token, 0o600);
    let image = dir.file("image", "before");
    set_mode(&image, 0o644);
    let file = format!("{token}:/etc/kboot/token");
    let done = run(&["mkinitramfs", "--file", &file, "--output", &image]);
    let warning = "kboot mkinitramfs: warning: /etc/kboot/token is not for everybody: the image has mode 0600: \
        keep the image from others\n";
    assert!(done.code == 0 && done.stderr.starts_with(warning), "{done:?}");
    assert_eq!(fs::metadata(&image).unwrap().mode() & 0o777, 0o600);
    // What is there already, but open, is closed.
    set_mode(&image, 0o644);
    let done = run(&["mkinitramfs", "--file", &file, "--output", &image]);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert_eq!(fs::metadata(&image).unwrap().mode() & 0o777, 0o600);
    let json = run(&["mkinitramfs", "--json", "--file", &file, "--output", &image]).json();
    assert_eq!((json["outcome"].as_str(), json["found"]["entries"].as_u64()), (Some("unchanged"), Some(15)));
    // Of stdout's file nobody knows the mode.
    let line = format!("{} mkinitramfs --file {file} --output - >{}", binary().display(), dir.path("other"));
    let done = finish(Command::new("sh").args(["-c", &line]));
    let warning =
        "kboot mkinitramfs: warning: /etc/kboot/token is not for everybody: keep the image from others";
    assert_eq!(done.error(), (0, warning));
}

#[test]
fn what_cannot_be_done_is_one_line_and_leaves_nothing() {
    let dir = Scratch::new();
    let out = dir.path("image");
    let large = dir.file("large", "");
    fs::File::options().write(true).open(&large).unwrap().set_len(1 << 32).unwrap();
    let wrong = dir.file("boot", "# one\nbrigde --name x\n");
    let odd = dir.file("odd", "bridge --nmae x\n");
    let own = dir.file("own", "bridge --name x\n");
    let modules = dir.path("6.1.0-9");
    fs::create_dir(&modules).unwrap();
    fs::write(format!("{modules}/modules.dep"), "kernel/net/bridge/bridge.ko:\n").unwrap();
    let table: Vec<(Vec<&str>, String)> = vec![
        (vec![], "--output is missing: a path, or - for stdout".into()),
        (vec!["-o", "/"], "--output /: is a directory, not a file".into()),
        (
            vec!["-o", "/dev/null"],
            "--output /dev/null: is not a regular file: use --output - and redirect it".into(),
        ),
        (vec!["-o", "/no/such/x"], "--output /no/such/x: there is no such directory".into()),
        (
            vec!["-o", &out, "--boot", &wrong],
            format!(
                "--boot {wrong}: line 2: brigde: applet not found: did you mean bridge? (a program needs its path)"
            ),
        ),
        (
            vec!["-o", &out, "--boot", &odd],
            format!("--boot {odd}: line 1: bridge: unknown option --nmae: did you mean --name?"),
        ),
        (vec!["-o", &own, "--boot", &own], format!("--output {own}: is a file that goes into it")),
        (vec!["-o", &out, "--boot", "/no/boot"], "--boot: /no/boot: No such file or directory".into()),
        (
            vec!["-o", &out, "--file", &large],
            format!("--file {large}: is 4 GiB or larger: no initramfs can hold it"),
        ),
        (vec!["-o", &out, "--file", "/"], "--file /: is not a regular file".into()),
        (vec!["-o", &out, "--file", "a:b"], "--file a:b: the path in the image starts with /".into()),
        (
            vec!["-o", &out, "--file", "/etc/passwd:/init"],
            "--file /etc/passwd: /init is in the image already".into(),
        ),
        (
            vec!["-o", &out, "--file", "/etc/passwd:/a/../b"],
            "--file /etc/passwd: /a/../b: is not a plain path (no //, ., .. or control characters)".into(),
        ),
        (vec!["-o", &out, "--kboot", "/etc/passwd"], "--kboot /etc/passwd: is not a program (ELF)".into()),
        (
            vec!["-o", &out, "--module", "brigde", "--modules-dir", &modules],
            "--module brigde: no such module: did you mean bridge?".into(),
        ),
        (
            vec!["-o", &out, "--module", "bridge", "--modules-dir", &modules],
            format!("{modules}/kernel/net/bridge/bridge.ko: No such file or directory"),
        ),
        (
            vec!["-o", &out, "--module", "bridge", "--modules-dir", "/no/such"],
            "--modules-dir /no/such: No such file or directory".into(),
        ),
        (
            vec!["-o", &out, "--module", "bridge", "--kernel", "1.2.3-no"],
            "--kernel: /lib/modules/1.2.3-no: there are no modules for this kernel".into(),
        ),
        (
            vec!["-o", &out, "--module", "bridge", "--kernel", "/lib/modules/x"],
            "--kernel: is a kernel's version, as uname -r gives it, not a path".into(),
        ),
    ];
    for (args, error) in table {
        let done = run(&[&["mkinitramfs"][..], &args].concat());
        assert_eq!(done.error(), (2, format!("kboot mkinitramfs: {error}").as_str()), "{args:?}");
        assert!(!Path::new(&out).exists(), "{args:?}");
    }
    assert_eq!(fs::read_to_string(&own).unwrap(), "bridge --name x\n");
    let done = finish(kboot(&["mkinitramfs", "-o", &out]).env("SOURCE_DATE_EPOCH", "99999999999"));
    let error = "kboot mkinitramfs: SOURCE_DATE_EPOCH: is not a number of seconds below 2^32";
    assert_eq!(done.error(), (2, error));
    let script = format!("script -qec '{} mkinitramfs --output -' /dev/null", binary().display());
    let done = finish(Command::new("sh").args(["-c", &script]));
    assert!(
        done.stdout.contains("--output -: stdout is a terminal: redirect it, or name a file"),
        "{done:?}"
    );
    let full = format!("{} mkinitramfs --output - >/dev/full", binary().display());
    let done = finish(Command::new("sh").args(["-c", &full]));
    assert_eq!(done.error(), (1, "kboot mkinitramfs: stdout: No space left on device"));
}

#[test]
fn a_program_that_needs_libraries_is_refused() {
    let needs = tool("ldd", &["/usr/bin/env"]);
    let loader = needs.split_whitespace().find(|w| w.contains("/ld-")).unwrap();
    let done = run(&["mkinitramfs", "--dry-run", "--kboot", "/usr/bin/env"]);
    let error = format!(
        "kboot mkinitramfs: --kboot /usr/bin/env: needs {loader} and libraries, which the image does not have: \
         give a static one (scripts/build)"
    );
    assert_eq!(done.error(), (2, error.as_str()));
}

/// What the kernel made of the archive.
const LOOK: &str = "#!/bin/busybox sh
PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
echo '@@look'
for path in /bin/kboot /dev/console /dev/null /etc/kboot/boot /init /root /tmp /opt/a/token; do
    stat -c '%n %F %a %u %g %t %T' $path
done
readlink /bin/kboot
md5sum /init | cut -d' ' -f1
kboot bridge --name cbr5 --subnet 10.99.5.1/24 --no-masquerade --firewall none --mtu 1400
echo exit $?
cut -d' ' -f1 /proc/modules | sort | xargs
echo '@@end'
poweroff -f
";

const SEEN: &str = "
/bin/kboot symbolic link 777 0 0 0 0
/dev/console character special file 600 0 0 5 1
/dev/null character special file 666 0 0 1 3
/etc/kboot/boot regular file 644 0 0 0 0
/init regular file 755 0 0 0 0
/root directory 700 0 0 0 0
/tmp directory 1777 0 0 0 0
/opt/a/token regular file 600 0 0 0 0
../init
";

/// As it is, and packed by initramfs/build in each way.
#[test]
fn a_kernel_unpacks_it_and_its_modules_load() {
    let Some((directory, _)) = machine() else { return };
    let (Some((modules, release)), Some(busybox)) = (modules_dir(), need("busybox", "tools")) else { return };
    if need("qemu-system-x86_64", "machine").and(need("zstd", "tools")).is_none() {
        return;
    }
    let dir = Scratch::new();
    let look = dir.file("look", LOOK);
    let boot = dir.file("boot", "# nothing\n");
    let files = [
        format!("{}:/bin/busybox:0755", busybox.display()),
        format!("{look}:/bin/look:0755"),
        format!("{boot}:/opt/a/token:0600"),
    ];
    let args = ["--boot", &boot, "--kernel", &release, "--modules-dir", &modules, "--module", "br_netfilter"];
    let files = files.iter().flat_map(|f| ["--file", f.as_str()]);
    let args: Vec<&str> = args.into_iter().chain(files).collect();
    let digest = tool("md5sum", &[binary().to_str().unwrap()]);
    let digest = digest.split(' ').next().unwrap();
    for how in ["none", "xz", "zstd", "gzip"] {
        let image = dir.path(how);
        let mut build = Command::new(root().join("initramfs/build"));
        build.env("KBOOT_BIN", binary()).args(["--compress", how, "--output", &image]).args(&args);
        let done = finish(&mut build);
        let size = fs::metadata(&image).unwrap().len();
        assert_eq!(done.ok(), format!("{image} {size} bytes ({how})\n"));
        assert_eq!(fs::metadata(&image).unwrap().mode() & 0o777, 0o600);
        let console = emulate(
            &directory,
            Duration::from_secs(55),
            &image,
            "console=ttyS0 panic=-1 quiet rdinit=/bin/look",
            &[],
        );
        let seen = console.split_once("@@look").and_then(|(_, t)| Some(t.split_once("@@end")?.0));
        let seen = seen.unwrap_or_else(|| panic!("{how}: the machine stopped early:\n{console}"));
        let rest = seen.strip_prefix(SEEN).unwrap_or_else(|| panic!("{how}: {seen}"));
        assert!(rest.starts_with(digest), "{how}: {rest}");
        assert!(rest.ends_with("exit 0\nbr_netfilter bridge llc stp\n"), "{how}: {rest}");
    }
}

/// As it comes, its /init being kboot.
#[test]
fn it_boots() {
    let (Some(_), Some((modules, _))) = (machine(), modules_dir()) else { return };
    let (Some(busybox), Some(_)) = (need("busybox", "tools"), need("qemu-system-x86_64", "machine")) else {
        return;
    };
    let dir = Scratch::new();
    let boot = dir.file("boot", "bridge --subnet 10.99.6.1/24 --mtu 1400 --masquerade 10.99.0.0/16 --firewall nft\n/bin/busybox poweroff -f\n");
    let (image, busybox) = (dir.path("image"), format!("{}:/bin/busybox:0755", busybox.display()));
    let args = ["--boot", &boot, "--modules-dir", &modules, "--file", &busybox];
    let words = ["br-netfilter", "nft_chain_nat", "nft_masq"].iter().flat_map(|m| ["--module", m]);
    let args: Vec<&str> = ["mkinitramfs", "--output", &image].into_iter().chain(args).chain(words).collect();
    run(&args).ok();
    let console = Machine::with_image(&image).unwrap().start().end();
    for line in [
        "kboot: modules br_netfilter nft_chain_nat nft_masq loaded (",
        "kboot: bridge cbr0 10.99.6.1/24 up (",
    ] {
        assert!(console.contains(line), "{line}:\n{console}");
    }
    assert!(!console.contains("warning"), "{console}");
}

/// 1.3 MB, packed by xz.
#[test]
fn an_image_without_modules_is_small() {
    if fs::metadata(binary()).unwrap().len() > 4 << 20 {
        eprintln!("skipped: this is no release build");
        return;
    }
    let dir = Scratch::new();
    let image = dir.path("image");
    let mut build = Command::new(root().join("initramfs/build"));
    let done = finish(build.env("KBOOT_BIN", binary()).args(["--compress", "xz", "--output", &image]));
    let size = fs::metadata(&image).unwrap().len();
    println!("{}", done.ok());
    assert!(size <= 1_300_000, "{size} bytes");
}

/// Whatever variables the packers heed; -q is one of mkinitramfs's options.
#[test]
fn packed_it_is_the_same_anywhere() {
    let dir = Scratch::new();
    let pack = |how: &str, name: &str, variables: &[(&str, &str)]| {
        let path = dir.path(name);
        let mut build = Command::new(root().join("initramfs/build"));
        build.env("KBOOT_BIN", binary()).envs(variables.iter().copied());
        finish(build.args(["-q", "--compress", how, "--output", &path])).ok();
        fs::read(path).unwrap()
    };
    let variables =
        [("XZ_OPT", "--block-size=100000"), ("XZ_DEFAULTS", "-T0"), ("GZIP", "-1"), ("ZSTD_CLEVEL", "1")];
    for how in ["xz", "gzip"] {
        assert!(pack(how, "one", &[]) == pack(how, "two", &variables), "{how}");
    }
}
