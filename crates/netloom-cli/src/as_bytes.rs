//! What is said to whoever wants requests or messages forwarded.

use netloom_app::forward::as_bytes;
use netloom_base::{Code, Complaint, Role};
use netloom_host::os_net;

use crate::contract::Stop;

/// Offers what can be done to whoever asks for a reverse proxy: the line that
/// carries the same as bytes.
pub(crate) fn carried_as_bytes(from: &[&str], to: &[&str]) -> Result<(), Stop> {
    let net = os_net();
    let roles = from.iter().map(|url| (url, Role::Bind));
    let ends: Vec<(&str, Option<String>)> = roles
        .chain(to.iter().map(|url| (url, Role::Dial)))
        .map(|(url, role)| (*url, as_bytes(url, role, &*net)))
        .collect();
    if ends.iter().all(|(_, bytes)| bytes.is_none()) {
        return Ok(());
    }
    let (mut typed, mut nearest) = ("forward".to_owned(), "netloom forward".to_owned());
    let mut wrong = None;
    for (url, bytes) in &ends {
        let start = typed.len() + 1;
        typed = format!("{typed} {url}");
        nearest = format!("{nearest} {}", bytes.as_deref().unwrap_or(url));
        if bytes.is_some() {
            wrong.get_or_insert(start..typed.len());
        }
    }
    let message = "the reverse proxy is not here yet; what goes through can be carried as bytes";
    let complaint = Complaint::new(&typed, wrong.unwrap_or(0..0), message).suggest(nearest);
    Err(Stop::mistakes(Code::PARSE_ENDPOINT, &[complaint]))
}
