//! The script of an instance's first boot. cloud-init writes the items of runcmd, one after the other, into
//! one file for `/bin/sh`, and runs that last, when `write_files` is long done.

use std::fmt::Write;

use super::DEFAULTS;
use super::choice::{name, targets};
use crate::plan::shell::quote;
use crate::plan::units::Role;

/// What is fetched, and how it is known to be the right thing.
#[derive(Clone, Debug)]
pub struct Download {
    /// Where from.
    pub url: String,
    /// Its SHA-256, 64 hex digits in lower case.
    pub sha256: String,
}

/// The program on the host.
pub struct Binary<'a> {
    /// Where it is, or is put.
    pub path: &'a str,
    /// `None`: the image has it.
    pub download: Option<&'a Download>,
}

/// A cloud image has curl or wget; cloud-init itself is Python. What is fetched gets its name and its
/// permission to be run when its sum is right, in one step. A server that falls silent does not hold the boot up.
const FETCH: &str = r#"fetch() {
  if command -v curl >/dev/null; then
    curl -fsSL --connect-timeout 20 --speed-time 20 --speed-limit 1 -o "$new" "$url"
  elif command -v wget >/dev/null; then
    wget -q -t 1 -T 20 -O "$new" "$url"
  else
    python3 -c 'import socket, sys, urllib.request as r
socket.setdefaulttimeout(20); r.urlretrieve(*sys.argv[1:])' "$url" "$new"
  fi
}
new=$program.new
if ! echo "$sum  $program" | sha256sum -c >/dev/null 2>&1; then
  mkdir -p "${program%/*}/"
  for wait in 1 2 4 8 16 32 0; do
    rm -f "$new"
    fetch && break
    [ "$wait" != 0 ] || die "$url cannot be fetched"
    sleep "$wait"
  done
  found=$(sha256sum <"$new")
  if [ "${found%% *}" != "$sum" ]; then
    rm -f "$new"
    die "$url: its sha256 is ${found%% *}, not $sum: nothing is installed"
  fi
  chmod 0755 "$new"
  mv -f "$new" "$program"
fi
"#;

/// Where it is not, the one in PATH: a package has it in /usr/sbin.
const IN_IMAGE: &str = r#"found=
[ -x "$program" ] || found=$(command -v kboot) ||
  die "$program is not in this image: put it there, or give kboot cloud-init --url and --sha256"
program=${found:-$program}
"#;

/// `systemctl start` fails if one of them does; why, only the journal knows. One that failed may have lacked
/// what another brought, as a kubelet the credentials of a join: hence twice; and it is tried again by systemd, and
/// may be up when the last of the others is: then all is well. `show --value` came with systemd 230.
const START: &str = r#"systemctl daemon-reload
systemctl --quiet enable $targets
units=$(systemctl show -p Requires -p Wants $targets | tr ' =' '\n\n' | sed -n '/^kboot-/p' | sort -u)
systemctl start $targets $units || systemctl start $targets $units || {
  down=
  for unit in $units; do
    case $(systemctl show -p ActiveState "$unit") in
    *=active | *=inactive) ;;
    *)
      down="$down $unit"
      echo "kboot: $unit is not up: journalctl -u $unit has:"
      journalctl -b -u "$unit" -o cat --no-pager -n 8
      ;;
    esac
  done >&2
  [ -z "$down" ] || die "failed, and tried again by systemd:$down"
  systemctl start $targets $units
}
"#;

/// The items of runcmd: the program, its units, their start.
pub fn script(role: Role, binary: &Binary<'_>) -> Vec<String> {
    let path = quote(binary.path);
    let mut program = format!("set -e\ndie() {{ echo \"kboot: $*\" >&2; exit 1; }}\nprogram={path}\n");
    match binary.download {
        None => program.push_str(IN_IMAGE),
        Some(download) => {
            let _ = write!(program, "url={}\nsum={}\n{FETCH}", quote(&download.url), download.sha256);
        }
    }
    let units = format!(
        "set -a; . {DEFAULTS}; set +a\n\
         \"$program\" units --role {} --program \"$program\" --output /etc/systemd/system\n",
        name(role)
    );
    let start = format!("targets=\"{}\"\n{START}", targets(role));
    vec![program, units, start]
}
