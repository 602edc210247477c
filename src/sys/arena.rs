//! Memory: the first half megabyte from a room of the program's own, the rest from the C library. musl's
//! malloc asks the kernel for every few pages and gives them back at once, which for a program that lives
//! a millisecond is the largest part of its time.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::copy_nonoverlapping;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

const SIZE: usize = 512 * 1024;

/// A page.
const ALIGN: usize = 4096;

/// Pages that are never written cost nothing.
#[repr(align(4096))]
struct Room(UnsafeCell<[u8; SIZE]>);

// SAFETY: every byte belongs to whoever got it from `take`, and to nobody else.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([0; SIZE]));
/// From here on the room is free. What is given back counts only if it is the last piece; whoever gets
/// it next sees all that was done with it before (acquire, release).
static USED: AtomicUsize = AtomicUsize::new(0);

/// The allocator.
pub struct Arena;

fn place(pointer: *mut u8) -> Option<usize> {
    Some((pointer as usize).wrapping_sub(ROOM.0.get() as usize)).filter(|at| *at < SIZE)
}

/// Where a new piece begins.
fn take(layout: Layout) -> Option<usize> {
    let mut used = USED.load(Acquire);
    if layout.align() > ALIGN {
        return None;
    }
    loop {
        let at = used.next_multiple_of(layout.align());
        let end = at.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
        match USED.compare_exchange_weak(used, end, AcqRel, Acquire) {
            Ok(_) => return Some(at),
            Err(now) => used = now,
        }
    }
}

// SAFETY: pieces of the room do not overlap (`take`), have their layout's size and alignment (at most
// the room's own), and stay where they are; all else is the system's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            // SAFETY: within the room.
            Some(at) => unsafe { ROOM.0.get().cast::<u8>().add(at) },
            // SAFETY: the caller's promise is the same.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match place(pointer) {
            Some(at) => {
                let _ = USED.compare_exchange(at + layout.size(), at, AcqRel, Acquire);
            }
            // SAFETY: it came from there.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(at) = place(pointer) else {
            // SAFETY: it came from there.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        let is_last = |end| USED.compare_exchange(at + layout.size(), end, AcqRel, Acquire).is_ok();
        let grows_here = || at.checked_add(size).is_some_and(|end| end <= SIZE && is_last(end));
        if grows_here() || size <= layout.size() {
            return pointer;
        }
        // SAFETY: the caller promises that the size is one of a layout; both pieces have the copied bytes, and
        // do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_what_is_in_them() {
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        // SAFETY: each pointer is used with the layout it was made with, or grown to.
        unsafe {
            let first = Arena.alloc(layout(3, 1));
            first.copy_from_nonoverlapping(b"abc".as_ptr(), 3);
            let second = Arena.alloc(layout(16, 16));
            assert!((second as usize).is_multiple_of(16) && second as usize >= first as usize + 3);
            let moved = Arena.realloc(first, layout(3, 1), 100);
            assert!(moved != first && std::slice::from_raw_parts(moved, 3) == b"abc");
            assert_eq!(Arena.realloc(moved, layout(100, 1), 200), moved, "the last one grows where it is");
            Arena.dealloc(moved, layout(200, 1));
            assert_eq!(Arena.alloc(layout(1, 1)), moved);
            let large = Arena.alloc(layout(SIZE + 1, 8));
            assert!(!large.is_null() && place(large).is_none(), "more than the room has");
            let larger = Arena.realloc(large, layout(SIZE + 1, 8), 2 * SIZE);
            Arena.dealloc(larger, layout(2 * SIZE, 8));
        }
    }
}
