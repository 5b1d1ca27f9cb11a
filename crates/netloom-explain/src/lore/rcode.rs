//! What a name server answers (RFC 1035 §4.1.1, RFC 6895).

use netloom_base::Stage::Resolve;

use super::{Meaning, Row, after};

pub(super) fn find(text: &str) -> Option<Meaning> {
    let said = after(text, &["dns rcode", "rcode", "dns"]).unwrap_or(text);
    let by_number = |number: usize| ROWS.iter().find(|row| numbered(row.name) == Some(number));
    let row = match said.parse() {
        Ok(number) if said.len() < text.len() => by_number(number),
        _ => ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(said)),
    }?;
    let also = numbered(row.name).map_or_else(String::new, |number| format!("DNS rcode {number}"));
    Some(row.meaning(
        "rcode",
        row.name.to_owned(),
        also,
        "RFC 1035 §4.1.1; RFC 6895 §2.3",
    ))
}

fn numbered(name: &str) -> Option<usize> {
    let known = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE",
    ];
    known.iter().position(|known| *known == name)
}

macro_rules! rows {
    ($( $name:literal, $says:literal, [$($code:literal)*], [$($next:literal),+]; )*) => {
        pub(super) const ROWS: &[Row] = &[
            $( Row { name: $name, says: $says, stages: &[Resolve], codes: &[$($code),*], next: &[$($next),+] } ),*
        ];
    };
}

rows! {
    "NOERROR", "the name exists; an answer without addresses means that it has none of the asked kind",
        ["resolve.no-address" "resolve.no-family"], ["dig NAME A +short; dig NAME AAAA +short"];
    "FORMERR", "the server could not read the question: often one that does not know EDNS, or a middlebox",
        ["resolve.server-failed"], ["dig NAME +noedns @SERVER"];
    "SERVFAIL", "the server could not find out: those it asked are silent or wrong, or the signatures of the zone are bad (DNSSEC)",
        ["resolve.server-failed"], ["dig NAME @SERVER +cd, which skips the signatures", "dig NAME +trace", "ask another server: dig NAME @OTHER"];
    "NXDOMAIN", "the name does not exist, for this server: a typo, a search domain, or a name that only another network knows",
        ["resolve.no-such-name"], ["netloom explain NAME:PORT", "dig NAME. +search", "getent hosts NAME"];
    "NOTIMP", "the server does not know this kind of question",
        ["resolve.server-failed"], ["dig NAME A @SERVER"];
    "REFUSED", "the server does not answer to you: it serves other networks or other names",
        ["resolve.server-failed"], ["cat /etc/resolv.conf", "ask another server: dig NAME @OTHER"];
    "YXDOMAIN", "a name exists that should not, in an update",
        ["resolve.server-failed"], ["dig NAME ANY @SERVER"];
    "NXRRSET", "records that should exist do not, in an update",
        ["resolve.server-failed"], ["dig NAME ANY @SERVER"];
    "NOTAUTH", "the server is not in charge of that zone, or the key is wrong",
        ["resolve.server-failed"], ["dig ZONE SOA @SERVER"];
    "NOTZONE", "a name of an update is not in the zone",
        ["resolve.server-failed"], ["dig ZONE SOA @SERVER"];
}
