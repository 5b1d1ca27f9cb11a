//! Many datagrams in one system call (recvmmsg(2), sendmmsg(2)), and socket
//! options that no safe crate sets.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::datagrams::Outgoing;

/// How many messages one system call takes or sends.
pub(super) const BATCH: usize = 32;

/// How many datagrams one system call sends: as many as one message may be
/// taken apart into (udp(7), UDP_SEGMENT), or more messages with one each.
pub(super) const PARTS: usize = 64;

/// What linux/udp.h calls them; the libc crate does for few C libraries.
pub(super) const UDP_SEGMENT: i32 = 103;
pub(super) const UDP_GRO: i32 = 104;

/// Room for an address: the longest is a unix socket's, with 110 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; 112]);

/// Room for control messages, aligned as their headers must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

/// The headers of a batch and what they point to. The boxes never move while
/// this lives; the pointers to a caller's bytes are set anew in every call.
struct Headers {
    each: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

// SAFETY: the pointers in `each` lead into the boxes beside it, which go
// where it goes; those in `parts` are used only within the call that set them.
unsafe impl Send for Headers {}

impl Headers {
    fn new() -> Self {
        // SAFETY: all-zero is a valid mmsghdr: no pointers, no lengths.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let no_part = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        Headers {
            each: vec![empty; BATCH].into(),
            parts: vec![no_part; PARTS].into(),
            names: vec![Name([0; 112]); BATCH].into(),
            controls: vec![Control([0; 128]); BATCH].into(),
        }
    }

    /// Points header `i` at its own name and control, and at `parts`.
    fn point(&mut self, i: usize, parts: Range<usize>, name_len: usize, control_len: usize) {
        let header = &mut self.each[i].msg_hdr;
        header.msg_name = match name_len {
            0 => std::ptr::null_mut(),
            _ => self.names[i].0.as_mut_ptr().cast(),
        };
        header.msg_namelen = name_len as libc::socklen_t;
        header.msg_iovlen = parts.len() as _;
        header.msg_iov = self.parts[parts].as_mut_ptr();
        header.msg_control = match control_len {
            0 => std::ptr::null_mut(),
            _ => self.controls[i].0.as_mut_ptr().cast(),
        };
        header.msg_controllen = control_len as _;
        header.msg_flags = 0;
    }
}

/// What one system call received.
pub(super) struct Inbox {
    all: Headers,
    /// How many headers the kernel has written to since they were made ready.
    used: usize,
}

/// One datagram that came, beside its bytes.
pub(super) struct Came<'a> {
    /// The sender's address as the kernel writes it; empty for none.
    pub(super) name: &'a [u8],
    /// The control messages.
    pub(super) control: &'a [u8],
    /// Its real length, also where there was less room.
    pub(super) len: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox {
            all: Headers::new(),
            used: BATCH,
        }
    }

    /// Receives into as many slots as have a datagram, without waiting.
    pub(super) fn receive<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        slots: impl Iterator<Item = &'a mut [u8]>,
    ) -> io::Result<usize> {
        let all = &mut self.all;
        for i in 0..self.used {
            all.point(i, i..i + 1, size_of::<Name>(), size_of::<Control>());
        }
        self.used = 0;
        let mut count = 0;
        for (part, slot) in all.parts.iter_mut().zip(slots.take(BATCH)) {
            part.iov_base = slot.as_mut_ptr().cast();
            part.iov_len = slot.len();
            count += 1;
        }
        // SAFETY: `count` headers point to buffers of the lengths they say,
        // which are borrowed for longer than the call.
        let got = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                all.each.as_mut_ptr(),
                count,
                (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _,
                std::ptr::null_mut(),
            )
        };
        // The one after the last may have been written to in part.
        self.used = usize::try_from(got + 1).map_or(1, |used| used.clamp(1, BATCH));
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// What came into slot `i` in the last call.
    #[allow(
        clippy::unnecessary_cast,
        reason = "its type differs between C libraries"
    )]
    pub(super) fn came(&self, i: usize) -> Came<'_> {
        let header = &self.all.each[i];
        let name_len = (header.msg_hdr.msg_namelen as usize).min(size_of::<Name>());
        let control_len = (header.msg_hdr.msg_controllen as usize).min(size_of::<Control>());
        Came {
            name: &self.all.names[i].0[..name_len],
            control: &self.all.controls[i].0[..control_len],
            len: header.msg_len as usize,
        }
    }
}

/// What one system call sends.
pub(super) struct Outbox(Headers);

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox(Headers::new())
    }

    /// Sends messages without waiting, as far as the kernel has room, and says
    /// how many went. Each is one datagram, or several for the kernel to take
    /// apart. `address` writes the receiver's name and the control messages of
    /// the message with that number, and says how long they are; it ends before
    /// the first that `address` has no words for, or that has no room.
    pub(super) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        messages: impl Iterator<Item = &'a [Outgoing<'a>]>,
        mut address: impl FnMut(usize, &mut [u8], &mut [u8]) -> Option<(usize, usize)>,
    ) -> io::Result<usize> {
        let all = &mut self.0;
        let (mut count, mut used) = (0, 0);
        for (i, datagrams) in messages.take(BATCH).enumerate() {
            let Some(places) = all.parts.get_mut(used..used + datagrams.len()) else {
                break; // in the next call
            };
            for (place, datagram) in places.iter_mut().zip(datagrams) {
                *place = libc::iovec {
                    iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
                    iov_len: datagram.bytes.len(),
                };
            }
            let Some((name, control)) = address(i, &mut all.names[i].0, &mut all.controls[i].0)
            else {
                break; // it is told when it is the first
            };
            let name = name.min(size_of::<Name>());
            let control = control.min(size_of::<Control>());
            all.point(i, used..used + datagrams.len(), name, control);
            used += datagrams.len();
            count = i + 1;
        }
        if count == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: `count` headers point to buffers of the lengths they say,
        // which are borrowed for longer than the call; the kernel only reads
        // the datagrams.
        let sent = unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                all.each.as_mut_ptr(),
                count as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

thread_local! {
    static INBOX: RefCell<Inbox> = RefCell::new(Inbox::new());
    static OUTBOX: RefCell<Outbox> = RefCell::new(Outbox::new());
}

/// Lends the thread's inbox for one receive: a socket at rest owns none, and
/// thousands of them share the few cache lines that are in use.
pub(super) fn with_inbox<R>(use_it: impl FnOnce(&mut Inbox) -> R) -> R {
    INBOX.with(|inbox| match inbox.try_borrow_mut() {
        Ok(mut inbox) => use_it(&mut inbox),
        Err(_) => use_it(&mut Inbox::new()),
    })
}

/// Lends the thread's outbox for one send.
pub(super) fn with_outbox<R>(use_it: impl FnOnce(&mut Outbox) -> R) -> R {
    OUTBOX.with(|outbox| match outbox.try_borrow_mut() {
        Ok(mut outbox) => use_it(&mut outbox),
        Err(_) => use_it(&mut Outbox::new()),
    })
}

/// Whether the first datagram was one that `address` had no words for.
pub(super) fn is_unspeakable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none()
}

/// Sets an option whose value is an int.
pub(super) fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

/// Sets an option whose value is a structure, given as its bytes.
pub(super) fn set_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as said from where `value` lives.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Reads an option whose value is an int.
pub(super) fn get(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel fills at most `len` bytes of `value`, which is that large.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if result == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Registers a socket with the reactor of this runtime. What the network says
/// of a datagram makes it ready as one that came does: where
/// `SO_SELECT_ERR_QUEUE` is set, the kernel calls that urgent.
pub(super) fn watch(socket: socket2::Socket) -> io::Result<AsyncFd<socket2::Socket>> {
    let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
    // SAFETY: the socket owns its descriptor: it stays open and the same for as
    // long as the value lives.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    watched.map_err(Into::into)
}
