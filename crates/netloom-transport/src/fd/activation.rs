//! Which descriptors an endpoint names: a number, or what `sd_listen_fds(3)` says.

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};

/// The first descriptor systemd hands over; the others follow it.
const FIRST: i32 = 3;

/// The descriptors that `text` of `fd:text` names, at least one. `variable`
/// reads the environment, `own_pid` is this process.
pub(super) fn named(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
    own_pid: u32,
) -> Result<Vec<i32>, Failure> {
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        let number = text.parse().ok().filter(|&number: &i32| number >= 0);
        return number.map(|number| vec![number]).ok_or_else(|| {
            Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
                .message(format!("`{text}` is not the number of a descriptor"))
        });
    }
    let handed = handed_over(&variable, own_pid)?;
    let wanted = |(_, name): &&(i32, String)| text == "systemd" || name == text;
    let found: Vec<i32> = handed
        .iter()
        .filter(wanted)
        .map(|(number, _)| *number)
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = handed.iter().map(|(_, name)| &**name).collect();
    Err(
        not_usable(format!("no descriptor called `{text}` was handed over")).fact(Fact::said(
            format!("their names are {}", names.join(", ")),
            "LISTEN_FDNAMES",
        )),
    )
}

/// All that systemd handed over, each with its name.
fn handed_over(
    variable: impl Fn(&str) -> Option<String>,
    own_pid: u32,
) -> Result<Vec<(i32, String)>, Failure> {
    let (Some(count), Some(pid)) = (variable("LISTEN_FDS"), variable("LISTEN_PID")) else {
        return Err(not_usable(
            "no sockets were handed over: LISTEN_FDS and LISTEN_PID are not set".to_owned(),
        ));
    };
    if pid.parse() != Ok(own_pid) {
        return Err(
            not_usable("the sockets were handed to another process".to_owned()).fact(Fact::said(
                format!("LISTEN_PID is {pid}, and this process is {own_pid}"),
                "environment",
            )),
        );
    }
    let Some(count) = count
        .parse()
        .ok()
        .filter(|count| (1..=65536).contains(count))
    else {
        return Err(not_usable(format!(
            "no sockets were handed over: LISTEN_FDS is {count}"
        )));
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let name = |number| (number, names.next().unwrap_or("unknown").to_owned());
    Ok((FIRST..FIRST + count).map(name).collect())
}

fn not_usable(message: String) -> Failure {
    Failure::new(Stage::Create, Side::Us, Code::FD_NOT_USABLE).message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "LISTEN_FDS" => "3",
            "LISTEN_PID" => "77",
            "LISTEN_FDNAMES" => "web:admin:web",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn descriptors_are_found_by_number_and_by_name() {
        let named = |text| named(text, environment, 77).map_err(|failure| failure.code());
        assert_eq!(named("5"), Ok(vec![5]));
        assert_eq!(named("systemd"), Ok(vec![3, 4, 5]));
        assert_eq!(named("web"), Ok(vec![3, 5]));
        assert_eq!(named("admin"), Ok(vec![4]));
        assert_eq!(named("mail"), Err(Code::FD_NOT_USABLE));
        assert_eq!(named("-1"), Err(Code::PARSE_ENDPOINT));
        assert_eq!(named("99999999999"), Err(Code::PARSE_ENDPOINT));
    }

    #[test]
    fn what_was_handed_to_another_process_is_left_alone() {
        let failure = named("systemd", environment, 78).unwrap_err();
        assert_eq!(failure.code(), Code::FD_NOT_USABLE);
        assert!(failure.facts()[0].to_string().contains("LISTEN_PID is 77"));
        assert!(
            named("systemd", |_| None, 77)
                .unwrap_err()
                .to_string()
                .contains("LISTEN_FDS")
        );
    }
}
