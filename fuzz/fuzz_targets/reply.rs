//! Replies of SMTP and FTP: whatever comes is read within its limits or
//! refused, and a reply that was read reads the same when it is sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::reply::{MAX_LINES, Replies, Reply, extended, passive, passive_text};

fuzz_target!(|stream: &[u8]| {
    let mut replies = Replies::default();
    for line in stream.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match replies.line(line) {
            Ok(Some(reply)) => seen(&reply),
            Ok(None) => {}
            Err(_) => return,
        }
    }
});

fn seen(reply: &Reply) {
    assert!((100..700).contains(&reply.code()));
    assert!((1..=MAX_LINES).contains(&reply.lines().len()));
    for keyword in reply.keywords() {
        assert!(!keyword.name.is_empty());
    }
    if let Some(address) = passive(reply.last()) {
        assert_eq!(passive(passive_text(address).as_bytes()), Some(address));
    }
    assert_ne!(extended(reply.last()), Some(0));
    // A line in between may hold what a sent reply may not: a lone CR.
    let lines = reply.lines().map(<[u8]>::to_vec).collect();
    let Some(again) = Reply::new(reply.code(), lines) else {
        return;
    };
    let mut replies = Replies::default();
    let sent = again.to_bytes();
    let mut lines = sent.split(|&byte| byte == b'\n');
    let read = lines.find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        replies.line(line).ok().flatten()
    });
    assert_eq!(read.as_ref(), Some(&again));
}
