//! Becomes the program FILE.program, where FILE is this one, with the system calls of Linux 3.16, that of Debian 8:
//! what came later gives ENOSYS, flags and options that came later are refused as 3.16 would. It stands in for
//! kboot (KBOOT_BIN), not for all of a test: the tools beside need a newer kernel than kboot does. Of what is no
//! system call (netlink's attributes, /proc, /sys) it knows nothing.
#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::exit)]
#![allow(clippy::cast_possible_truncation, clippy::print_stderr)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc::{self, sock_filter};

/// The last one of 3.16 on x86-64 is renameat2, 316.
const FIRST_NEW: u32 = 317;

/// `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

fn argument(index: u32) -> u32 {
    16 + 8 * index
}

fn op(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

fn load(from: u32) -> sock_filter {
    op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, from)
}

fn answer(action: u32) -> sock_filter {
    op(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

fn refuse(errno: i32) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

/// How an argument tells what is new.
enum New {
    /// It is one of these (both included).
    From(u32, u32),
    /// It has one of these bits.
    Bits(u32),
}

/// A call, its argument, what of it 3.16 does not know, what it says then; with the value that the argument
/// before has to have.
struct Rule(libc::c_long, u32, New, i32, Option<u32>);

const CLONE_NEWCGROUP: u32 = libc::CLONE_NEWCGROUP.cast_unsigned();

const RULES: [Rule; 9] = [
    // SO_INCOMING_CPU (3.19) and after; NETLINK_LISTEN_ALL_NSID (4.2), NETLINK_CAP_ACK, NETLINK_EXT_ACK,
    // NETLINK_GET_STRICT_CHK.
    Rule(libc::SYS_setsockopt, 2, New::From(49, 200), libc::ENOPROTOOPT, Some(libc::SOL_SOCKET as u32)),
    Rule(libc::SYS_getsockopt, 2, New::From(49, 200), libc::ENOPROTOOPT, Some(libc::SOL_SOCKET as u32)),
    Rule(libc::SYS_setsockopt, 2, New::From(8, 200), libc::ENOPROTOOPT, Some(libc::SOL_NETLINK as u32)),
    // PR_MPX_ENABLE_MANAGEMENT (3.19) and after, PR_CAP_AMBIENT (4.3) among them.
    Rule(libc::SYS_prctl, 0, New::From(43, 200), libc::EINVAL, None),
    // F_ADD_SEALS (3.17) and after.
    Rule(libc::SYS_fcntl, 1, New::From(1033, 1100), libc::EINVAL, None),
    // MADV_WIPEONFORK (4.14) and after.
    Rule(libc::SYS_madvise, 2, New::From(18, 99), libc::EINVAL, None),
    Rule(libc::SYS_unshare, 0, New::Bits(CLONE_NEWCGROUP), libc::EINVAL, None),
    // MODULE_INIT_COMPRESSED_FILE (5.17).
    Rule(libc::SYS_finit_module, 2, New::Bits(4), libc::EINVAL, None),
    // IN_MASK_CREATE (4.18).
    Rule(libc::SYS_inotify_add_watch, 2, New::Bits(0x1000_0000), libc::EINVAL, None),
];

impl Rule {
    /// Whoever it does not concern jumps over it.
    fn program(&self) -> Vec<sock_filter> {
        let Rule(call, index, new, errno, before) = self;
        let mut tail = match before {
            Some(value) => vec![load(argument(index - 1)), op(libc::BPF_JMP | libc::BPF_JEQ, 0, 4, *value)],
            None => Vec::new(),
        };
        tail.push(load(argument(*index)));
        tail.extend(match new {
            New::From(first, last) => [
                op(libc::BPF_JMP | libc::BPF_JGE, 0, 2, *first),
                op(libc::BPF_JMP | libc::BPF_JGT, 1, 0, *last),
            ],
            New::Bits(bits) => [
                op(libc::BPF_JMP | libc::BPF_JSET, 0, 2, *bits),
                // Keeps all rules equally long.
                op(libc::BPF_JMP | libc::BPF_JA, 0, 0, 0),
            ],
        });
        tail.push(refuse(*errno));
        let length = u8::try_from(tail.len()).unwrap();
        let number = u32::try_from(*call).unwrap();
        let head = [load(NUMBER), op(libc::BPF_JMP | libc::BPF_JEQ, 0, length, number)];
        head.into_iter().chain(tail).collect()
    }
}

fn main() {
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("old-kernel: the numbers are those of x86-64");
        std::process::exit(2);
    }
    let mut program = vec![
        load(ARCH),
        op(libc::BPF_JMP | libc::BPF_JEQ, 1, 0, AUDIT_ARCH_X86_64),
        refuse(libc::ENOSYS),
        load(NUMBER),
        op(libc::BPF_JMP | libc::BPF_JGE, 0, 1, FIRST_NEW),
        refuse(libc::ENOSYS),
    ];
    program.extend(RULES.iter().flat_map(Rule::program));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let filter =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the calls, which read it.
    let install =
        || unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    let mut done = install();
    if done != 0 {
        // Without rights it takes this.
        // SAFETY: a number only.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        done = install();
    }
    assert_eq!(done, 0, "seccomp: {}", std::io::Error::last_os_error());
    let file = std::env::current_exe().expect("/proc/self/exe");
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let error = Command::new(file.with_added_extension("program")).arg0(name).args(args).exec();
    eprintln!("old-kernel: {}.program: {error}", file.display());
    std::process::exit(127);
}
