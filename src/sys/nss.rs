//! Name resolution in a static glibc binary.
#![allow(unsafe_code)]

/// Keeps a static glibc program on the two NSS services that are linked into it. A `myhostname` or
/// `resolve` in nsswitch.conf would make it dlopen a module of the host and crash
/// (rust-lang/rust#100711). musl has no NSS: nothing to do there.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn __nss_configure_lookup(
                db: *const nix::libc::c_char,
                services: *const nix::libc::c_char,
            ) -> i32;
        }
        // SAFETY: glibc's documented entry (nss.h) with two constant C strings, before any thread.
        unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    }
}
