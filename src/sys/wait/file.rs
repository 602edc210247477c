use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::{Deadline, FIRST_PAUSE, LONGEST_PAUSE, Progress, pause};
use crate::error::Result;
use crate::sys::clock;

/// How often to look when the kernel gives no inotify instance (fs.inotify.max_user_instances).
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a look at an awaited file found.
pub enum Seen<T> {
    /// What was waited for.
    Ready(T),
    /// Not yet, and why.
    NotYet(String),
    /// Not yet, and what is missing will not show in the file: it is looked for again soon.
    Elsewhere(String),
}

/// Waits for a file to become what `look` wants. One look comes first: a lease that is there costs no
/// inotify, whose closing the kernel makes wait for 10 ms. Then inotify watches the file's directory,
/// since writers rename into place, or the nearest directory above that exists; it is set up before
/// each look, so that nothing is missed in between. Exit 75 at the deadline.
pub fn file<T>(
    path: &Path,
    deadline: &Deadline,
    mut look: impl FnMut(&Path) -> Result<Seen<T>>,
) -> Result<T> {
    let shown = path.display().to_string();
    let mut progress = Progress::new(&shown);
    let mut soon = FIRST_PAUSE;
    let mut found = look(path)?;
    let mut watch: Option<Watch> = None;
    loop {
        let (why, is_elsewhere) = match found {
            Seen::Ready(value) => {
                // To close it here would keep the lease from whoever waits for 10 ms: the exit does it.
                std::mem::forget(watch);
                return Ok(value);
            }
            Seen::NotYet(why) => (why, false),
            Seen::Elsewhere(why) => (why, true),
        };
        if deadline.passed() {
            return Err(progress.give_up(deadline, &why));
        }
        let directory = nearest_directory(path);
        let is_watched = watch.as_ref().is_some_and(|w| w.directory == directory);
        watch = if is_watched { watch } else { Watch::on(&directory) };
        if is_watched || watch.is_none() {
            progress.report(&why);
            // A mount over the directory wakes no watch: the next report looks again all the same.
            let mut span = progress.next_report().max(Duration::from_millis(1));
            if is_elsewhere {
                span = span.min(clock::jitter(soon));
                soon = (soon * 2).min(LONGEST_PAUSE);
            }
            let span = deadline.left().map_or(span, |left| span.min(left));
            watch = rest(watch, span);
        }
        found = look(path)?;
    }
}

/// Waits for the watch, if there is one; a directory that was replaced by another of its name is to be
/// watched anew.
fn rest(watch: Option<Watch>, span: Duration) -> Option<Watch> {
    if watch.is_none() {
        pause(span.min(LOOK_EVERY));
    }
    watch.filter(|w| w.sleep(span))
}

fn nearest_directory(path: &Path) -> PathBuf {
    let mut parents = path.ancestors().skip(1);
    let found = parents.find(|p| p.is_dir() || p.as_os_str().is_empty());
    match found {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    }
}

struct Watch {
    inotify: Inotify,
    directory: PathBuf,
}

impl Watch {
    fn on(directory: &Path) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ATTRIB;
        inotify.add_watch(directory, events).ok()?;
        Some(Self { inotify, directory: directory.to_owned() })
    }

    /// Sleeps until something happens in the directory, or the time is over; false when the directory
    /// itself is gone.
    fn sleep(&self, span: Duration) -> bool {
        // One more than the rounded-down milliseconds: never a busy loop at the end.
        let millis = u16::try_from(span.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(millis)).unwrap_or(0) == 0 {
            return true;
        }
        let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
        self.inotify.read_events().is_ok_and(|events| !events.iter().any(|e| e.mask.intersects(gone)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use std::fs;

    fn look_for(content: &str) -> impl FnMut(&Path) -> Result<Seen<()>> + '_ {
        move |path| match fs::read_to_string(path) {
            Ok(text) if text == content => Ok(Seen::Ready(())),
            Ok(_) => Ok(Seen::NotYet("other".into())),
            Err(_) => Ok(Seen::NotYet("not there".into())),
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kboot-wait-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn directories_may_come_later_and_a_rename_wakes_it() {
        let dir = scratch("rename");
        let path = dir.join("a/b/subnet.env");
        let writer = {
            let (dir, path) = (dir.clone(), path.clone());
            std::thread::spawn(move || {
                pause(Duration::from_millis(60));
                fs::create_dir_all(dir.join("a/b")).unwrap();
                fs::write(dir.join("a/b/.tmp"), "x").unwrap();
                fs::rename(dir.join("a/b/.tmp"), path).unwrap();
            })
        };
        file(&path, &Deadline::start("20s".parse().unwrap()), look_for("x")).unwrap();
        writer.join().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_directory_that_is_replaced_is_watched_anew() {
        let dir = scratch("replaced");
        let path = dir.join("d/subnet.env");
        fs::create_dir(dir.join("d")).unwrap();
        let writer = {
            let (dir, path) = (dir.clone(), path.clone());
            std::thread::spawn(move || {
                pause(Duration::from_millis(60));
                fs::create_dir(dir.join("new")).unwrap();
                // In one step: at no moment is there no directory of that name.
                fs::rename(dir.join("new"), dir.join("d")).unwrap();
                pause(Duration::from_millis(60));
                fs::write(path, "x").unwrap();
            })
        };
        let started = std::time::Instant::now();
        file(&path, &Deadline::start("20s".parse().unwrap()), look_for("x")).unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
        writer.join().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_deadline_says_what_was_missing() {
        let dir = scratch("deadline");
        let path = dir.join("never");
        let error = file(&path, &Deadline::start("50ms".parse().unwrap()), look_for("x")).unwrap_err();
        assert_eq!(error.exit, Exit::Deadline);
        assert_eq!(error.to_string(), format!("{}: not within 50ms: not there", path.display()));
        fs::remove_dir_all(&dir).unwrap();
    }
}
