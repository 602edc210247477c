//! C main -> argv -> applet -> one error line -> exit status: the only way out, and the only printer
//! of errors. `no_main`, because Rust's own start-up aborts when descriptors 0 to 2 are closed and
//! /dev/null is missing, and hides from the program that they were closed.
#![no_main]
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use kboot::applet;
use kboot::error::Exit;
use kboot::sys::arena::Arena;
use kboot::sys::{exec, log, notify, nss, stdio};
use nix::libc::{self, c_char, c_int};

#[global_allocator]
static MEMORY: Arena = Arena;

/// The C entry point.
///
/// # Safety
/// Called by the C library alone, with what the kernel handed over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(count: c_int, pointers: *const *const c_char) -> c_int {
    stdio::settle();
    nss::settle();
    // SAFETY: ignoring a signal installs no handler. EPIPE then says it where it can be told apart.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    stoppable_as_pid_1();
    // Of PID 1 that ends in the kernel's own panic, which restarts by `panic=` as init would have.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error(None, &format!("internal error at {place}: {panic}"));
        // SAFETY: ends the process at once, as the abort that would follow does, without a dump.
        unsafe { libc::_exit(1) }
    }));
    settle_environment();

    // SAFETY: the kernel's and libc's contract: `count` pointers to NUL-terminated strings.
    let args = unsafe { arguments(count, pointers) };
    stdio::set_argv0(args.first());
    match applet::dispatch(&args) {
        (_, Ok(())) => 0,
        (applet, Err(error)) => {
            if !matches!(error.exit, Exit::Program(_)) {
                log::error(applet, &error.to_string());
            }
            error.exit.code().into()
        }
    }
}

/// For PID 1 the kernel drops signals at their default: without this, neither Ctrl-C nor `docker stop` would
/// end a kboot that waits as a container's first process. What it becomes gets the defaults back (execve).
fn stoppable_as_pid_1() {
    extern "C" fn leave(signal: c_int) {
        // SAFETY: async-signal-safe, as the rest of this function.
        unsafe { libc::_exit(128 + signal) }
    }
    if std::process::id() != 1 {
        return;
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        let handler: extern "C" fn(c_int) = leave;
        // SAFETY: the handler does nothing but end the process.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// What Rust's default panic hook and unwinding would call, which are linked and never used: panics abort,
/// and their one line is written above. With these in its place neither libunwind nor the reader of debug
/// information is linked: 0.25 MB.
#[cfg(all(target_env = "musl", not(debug_assertions)))]
mod no_unwinding {
    macro_rules! never_called {
        ($($name:ident)*) => { $(#[unsafe(no_mangle)] extern "C" fn $name() -> usize { 0 })* };
    }
    never_called!(_Unwind_Backtrace _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetDataRelBase);
    never_called!(_Unwind_GetTextRelBase _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart);
    never_called!(_Unwind_SetGR _Unwind_SetIP);

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Resume() -> ! {
        std::process::abort()
    }
}

/// argv as it came. `std::env::args` is empty on musl under `no_main`.
///
/// # Safety
/// `pointers` must hold `count` pointers to NUL-terminated strings that live as long as the process.
unsafe fn arguments(count: c_int, pointers: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or(0);
    let mut args = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: within `count`, as the caller promises.
        let pointer = unsafe { *pointers.add(at) };
        if pointer.is_null() {
            break;
        }
        // SAFETY: NUL-terminated and never freed.
        let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
        args.push(OsStr::from_bytes(bytes).to_owned());
    }
    args
}

/// Gives children a PATH where boot programs live, and keeps the service manager's socket from them.
fn settle_environment() {
    if let Ok(address) = std::env::var(notify::VARIABLE) {
        notify::start(&address);
    }
    // SAFETY: no other thread exists yet.
    unsafe {
        std::env::remove_var(notify::VARIABLE);
        if std::env::var_os("PATH").is_none_or(|p| p.is_empty()) {
            std::env::set_var("PATH", exec::DEFAULT_PATH);
        }
    }
}
