//! System calls that no safe crate wraps the way we need them.

#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};

/// Raises the soft limit of descriptors to the hard one and returns it.
#[cfg(unix)]
pub(crate) fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit for the kernel to fill.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        // SAFETY: `raised` is a valid rlimit; a refusal leaves the old one.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            return raised.rlim_cur;
        }
    }
    limit.rlim_cur
}

#[cfg(not(unix))]
pub(crate) fn raise_descriptor_limit() -> u64 {
    1 << 20
}

/// Accepts one connection, non-blocking and not inherited, in one system call.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, socket2::SockAddr)> {
    use std::os::fd::{AsRawFd, FromRawFd};

    let fd = listener.as_raw_fd();
    // SAFETY: `try_init` hands a storage and its length that the kernel may
    // fill; the descriptor that accept4 returns belongs to nobody else.
    unsafe {
        socket2::SockAddr::try_init(|storage, len| {
            match libc::accept4(
                fd,
                storage.cast(),
                len,
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            ) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd)),
            }
        })
    }
}

/// Accepts one connection, non-blocking and not inherited.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, socket2::SockAddr)> {
    let (socket, addr) = socket2::SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), addr))
}

/// The process and the user at the other end of a unix socket, as they were
/// when it connected or, seen by a client, when the server began to listen.
#[cfg(target_os = "linux")]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> Option<(i32, u32)> {
    use std::os::fd::AsRawFd;

    let mut found = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let into = (&raw mut found).cast();
    // SAFETY: the kernel fills at most `len` bytes of `found`, which is that large.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            into,
            &raw mut len,
        )
    };
    // The kernel says uid -1 where there is no peer.
    (result == 0 && found.uid != u32::MAX).then_some((found.pid, found.uid))
}

/// The process and the user at the other end of a unix socket.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn peer_credentials(_: BorrowedFd<'_>) -> Option<(i32, u32)> {
    None
}

/// Fills `into` with the `struct tcp_info` of a TCP socket (tcp(7), TCP_INFO);
/// returns how much of it this kernel has.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_info(socket: BorrowedFd<'_>, into: &mut [u8]) -> Option<usize> {
    use std::os::fd::AsRawFd;

    let mut len = libc::socklen_t::try_from(into.len()).ok()?;
    // SAFETY: the kernel fills at most `len` bytes of `into`, which is that long.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            into.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some(len as usize)
}

/// How many bytes of a TCP socket wait to be read, and how many to be
/// acknowledged (tcp(7), SIOCINQ and SIOCOUTQ).
#[cfg(target_os = "linux")]
pub(crate) fn queued(socket: BorrowedFd<'_>) -> Option<(u32, u32)> {
    use std::os::fd::AsRawFd;

    let ask = |what: libc::Ioctl| {
        let mut found: libc::c_int = 0;
        // SAFETY: both requests write one int, which `found` is.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut found) };
        (result == 0).then(|| u32::try_from(found).ok())?
    };
    Some((
        ask(libc::FIONREAD as libc::Ioctl)?,
        ask(libc::TIOCOUTQ as libc::Ioctl)?,
    ))
}

/// Waits until a descriptor that somebody set non-blocking is ready for `events`.
#[cfg(unix)]
pub(crate) fn wait_ready(fd: BorrowedFd<'_>, events: libc::c_short) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one valid pollfd, for the kernel to fill.
    match unsafe { libc::poll(&raw mut poll, 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Lets go of standard output, so that its reader sees the end. `/dev/null`
/// takes its number, which otherwise the next file we open would get.
#[cfg(unix)]
pub(crate) fn let_go_of_stdout() -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both numbers are open; nobody owns the number 1, everybody may
    // write to it at any time, and still may.
    match unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDOUT_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Why a descriptor cannot be adopted.
#[cfg(unix)]
pub(crate) enum NotAdopted {
    /// Nothing has this number.
    NotOpen,
    /// It was adopted before, or this program opened it.
    InUse,
}

/// Whether descriptor `number` is open and came from whoever started us. What
/// this program opens is close-on-exec, what it inherits cannot be.
#[cfg(unix)]
pub(crate) fn check_inherited(number: i32) -> Result<(), NotAdopted> {
    // SAFETY: F_GETFD touches no memory and fails on a number that is not open.
    match unsafe { libc::fcntl(number, libc::F_GETFD) } {
        -1 => Err(NotAdopted::NotOpen),
        flags if flags & libc::FD_CLOEXEC != 0 => Err(NotAdopted::InUse),
        _ => Ok(()),
    }
}

/// A second descriptor of what `number` is, close-on-exec and never 0, 1 or 2.
#[cfg(unix)]
pub(crate) fn duplicate(number: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;

    // SAFETY: F_DUPFD_CLOEXEC touches no memory and fails on a number that is not open.
    match unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the new descriptor belongs to nobody else.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// Makes an inherited descriptor ours, once. Of 0, 1 and 2 it takes a
/// duplicate: everybody expects those to be open.
#[cfg(unix)]
pub(crate) fn adopt(number: i32) -> Result<OwnedFd, NotAdopted> {
    use std::os::fd::FromRawFd;
    use std::sync::{Mutex, PoisonError};

    static STANDARD: Mutex<[bool; 3]> = Mutex::new([false; 3]);
    // Held throughout, so that of two who ask at once one is refused.
    let mut standard = STANDARD.lock().unwrap_or_else(PoisonError::into_inner);
    check_inherited(number)?;
    if let Some(adopted) = usize::try_from(number)
        .ok()
        .and_then(|n| standard.get_mut(n))
    {
        if std::mem::replace(adopted, true) {
            return Err(NotAdopted::InUse);
        }
        return duplicate(number).map_err(|_| NotAdopted::NotOpen);
    }
    // SAFETY: F_SETFD touches no memory.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(NotAdopted::NotOpen);
    }
    // SAFETY: it was inherited, so nothing in this program owns it; now that it
    // is close-on-exec, `check_inherited` keeps everybody else from adopting it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether a descriptor may be read and whether it may be written.
#[cfg(unix)]
pub(crate) fn access(fd: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    use std::os::fd::AsRawFd;

    // SAFETY: F_GETFL touches no memory.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => {
            let mode = flags & libc::O_ACCMODE;
            Ok((mode != libc::O_WRONLY, mode != libc::O_RDONLY))
        }
    }
}

/// Gives a descriptor up as a parent would hand it to us.
#[cfg(test)]
#[cfg(unix)]
pub(crate) fn hand_over(fd: OwnedFd) -> i32 {
    use std::os::fd::IntoRawFd;

    let number = fd.into_raw_fd();
    // SAFETY: F_SETFD touches no memory.
    assert_ne!(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }, -1);
    number
}

/// The processor time this thread has used.
#[cfg(unix)]
pub(crate) fn thread_cpu_time() -> Option<std::time::Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the kernel to fill.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    (result == 0).then(|| std::time::Duration::new(seconds, time.tv_nsec as u32))
}

#[cfg(not(unix))]
pub(crate) fn thread_cpu_time() -> Option<std::time::Duration> {
    None
}

/// Why the system's resolver gave no address.
#[cfg_attr(not(unix), expect(dead_code, reason = "nobody is asked there"))]
pub(crate) enum LookupError {
    /// The name does not exist.
    NoName,
    /// The name exists without an address.
    NoAddress,
    /// The resolver could not answer now.
    Again,
    /// Anything else, in the resolver's own words.
    Other(String),
}

/// Asks the system's resolver, which blocks.
#[cfg(unix)]
pub(crate) fn getaddrinfo(name: &str) -> Result<Vec<std::net::IpAddr>, LookupError> {
    use std::ffi::{CStr, CString};

    let Ok(name) = CString::new(name) else {
        return Err(LookupError::NoName);
    };
    // SAFETY: all-zero is a valid addrinfo: no flags, no pointers.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: the name is a C string, hints is valid, list receives a list we free below.
    let code = unsafe {
        libc::getaddrinfo(
            name.as_ptr(),
            std::ptr::null(),
            &raw const hints,
            &raw mut list,
        )
    };
    if code != 0 {
        let words = || {
            // SAFETY: gai_strerror returns a static C string for every code.
            let words = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
            words.to_string_lossy().into_owned()
        };
        #[cfg(target_os = "linux")]
        const NO_DATA: i32 = libc::EAI_NODATA;
        #[cfg(not(target_os = "linux"))]
        const NO_DATA: i32 = 7;
        return Err(match code {
            libc::EAI_NONAME => LookupError::NoName,
            NO_DATA => LookupError::NoAddress,
            libc::EAI_AGAIN => LookupError::Again,
            _ => LookupError::Other(words()),
        });
    }
    let mut found = Vec::new();
    let mut item = list;
    while !item.is_null() {
        // SAFETY: getaddrinfo gave a list of valid entries that ends in null,
        // and each ai_addr is an address of ai_addrlen bytes.
        let addr = unsafe {
            let entry = &*item;
            item = entry.ai_next;
            let fill = |storage: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
                let size = entry
                    .ai_addrlen
                    .min(size_of::<libc::sockaddr_storage>() as libc::socklen_t);
                std::ptr::copy_nonoverlapping(
                    entry.ai_addr.cast::<u8>(),
                    storage.cast::<u8>(),
                    size as usize,
                );
                *len = size;
                Ok::<(), io::Error>(())
            };
            socket2::SockAddr::try_init(fill)
        };
        if let Some(ip) = addr
            .ok()
            .and_then(|((), addr)| addr.as_socket())
            .map(|addr| addr.ip())
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    // SAFETY: the list came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    if found.is_empty() {
        Err(LookupError::NoAddress)
    } else {
        Ok(found)
    }
}

/// Asks the system's resolver, which blocks.
#[cfg(not(unix))]
pub(crate) fn getaddrinfo(name: &str) -> Result<Vec<std::net::IpAddr>, LookupError> {
    use std::net::ToSocketAddrs;
    match (name, 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|addr| addr.ip()).collect()),
        Err(error) => Err(LookupError::Other(error.to_string())),
    }
}

/// Watches a listening socket of the standard library for connections.
#[cfg(unix)]
pub(crate) fn watch_listener<T>(listener: T) -> io::Result<tokio::io::unix::AsyncFd<T>>
where
    T: std::os::fd::AsRawFd + Into<OwnedFd>,
{
    // SAFETY: a type that turns into an OwnedFd owns its descriptor: it stays
    // open and the same for as long as the value lives.
    let watched = unsafe {
        tokio::io::unix::AsyncFd::register_with_interest(listener, tokio::io::Interest::READABLE)
    };
    watched.map_err(Into::into)
}

/// Sets an option whose value is an int.
#[cfg(target_os = "linux")]
fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: the kernel reads one int from where `value` lives.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Switches a socket's error queue on or off (ip(7), ipv6(7)).
#[cfg(target_os = "linux")]
pub(crate) fn set_error_queue(fd: BorrowedFd<'_>, v6: bool, on: bool) -> io::Result<()> {
    if v6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, i32::from(on))
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, i32::from(on))
    }
}

/// Room for control messages, aligned as their headers must be.
#[cfg(target_os = "linux")]
#[repr(C, align(8))]
struct Control([u8; 512]);

/// The control messages of the oldest entry of a socket's error queue; never waits.
#[cfg(target_os = "linux")]
pub(crate) fn read_error_queue(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    use std::os::fd::AsRawFd;

    let mut data = [0u8; 256];
    let mut control = Control([0; 512]);
    let mut part = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all-zero is a valid msghdr: no pointers, no lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the header points to buffers that live until after the call, and gives their lengths.
    let got = unsafe {
        libc::recvmsg(
            fd.as_raw_fd(),
            &raw mut message,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(
        clippy::unnecessary_cast,
        reason = "its type differs between C libraries"
    )]
    let len = (message.msg_controllen as usize).min(control.0.len());
    Ok(control.0[..len].to_vec())
}

/// The number of an interface of this network namespace.
#[cfg(unix)]
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: the name is a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(not(unix))]
pub(crate) fn interface_index(_: &str) -> Option<u32> {
    None
}

/// Watches a descriptor that does not block, for both directions.
#[cfg(unix)]
pub(crate) fn watch(file: std::fs::File) -> io::Result<tokio::io::unix::AsyncFd<std::fs::File>> {
    let both = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
    // SAFETY: a file owns its descriptor: it stays open and the same for as
    // long as the value lives.
    let watched = unsafe { tokio::io::unix::AsyncFd::register_with_interest(file, both) };
    watched.map_err(Into::into)
}

/// How many processors this thread may run on (sched_getaffinity(2)).
#[cfg(target_os = "linux")]
pub(crate) fn processors() -> usize {
    // SAFETY: all-zero is an empty set of processors.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is as large as said, and the kernel fills no more.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    // SAFETY: `set` is a set the kernel filled, or the empty one.
    let count = unsafe { libc::CPU_COUNT(&set) };
    if result == 0 {
        usize::try_from(count).unwrap_or(1).max(1)
    } else {
        1
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
