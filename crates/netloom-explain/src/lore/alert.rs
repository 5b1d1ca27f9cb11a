//! What a peer says before it ends a TLS connection (RFC 8446 §6).

use netloom_base::Stage::{Close, Tls};
use netloom_wire::tls::{alert_name, alert_number};

use super::{Meaning, Row, after};

pub(super) fn find(text: &str) -> Option<Meaning> {
    let said = after(text, &["tls alert", "ssl alert", "alert number", "alert"]);
    let number = match said {
        Some(said) => said.parse().ok().or_else(|| alert_number(said)),
        None => alert_number(text),
    }?;
    let name = alert_name(number)?;
    let row = ROWS.iter().find(|row| row.name == name)?;
    Some(row.meaning(
        "alert",
        name.to_owned(),
        format!("TLS alert {number}"),
        "RFC 8446 §6; RFC 5246 §7.2",
    ))
}

macro_rules! rows {
    ($( $name:literal, $says:literal, [$($code:literal)*], [$($next:literal),+]; )*) => {
        pub(super) const ROWS: &[Row] = &[
            Row {
                name: "close_notify",
                says: "the peer has said everything: the good end of a TLS connection",
                stages: &[Close],
                codes: &[],
                next: &["nothing is wrong, unless more was expected"],
            },
            $( Row { name: $name, says: $says, stages: &[Tls], codes: &[$($code),*], next: &[$($next),+] } ),*
        ];
    };
}

rows! {
    "unexpected_message", "a message came that does not belong there: one end is not what it seems, or has a fault",
        ["tls.other"], ["netloom explain tls://HOST:PORT", "try TLS 1.2 only: openssl s_client -tls1_2 -connect HOST:PORT"];
    "bad_record_mac", "a record was changed on its way, or the two ends do not have the same keys",
        ["tls.other"], ["look for a middlebox that rewrites the stream", "try again from another network"];
    "record_overflow", "a record was longer than allowed: often it is no TLS at all",
        ["tls.other" "tls.peer-speaks-plain"], ["netloom explain tcp://HOST:PORT, which says what it speaks"];
    "handshake_failure", "the peer found nothing that both ends can do, or wanted a certificate that was not shown",
        ["tls.no-common-cipher" "tls.client-certificate-required"], ["netloom explain tls://HOST:PORT", "show a certificate: tls://HOST:PORT,cert=FILE,key=FILE"];
    "bad_certificate", "the certificate that was shown is broken, or its signature is wrong",
        ["tls.client-certificate-required" "tls.other"], ["openssl x509 -in FILE -noout -text"];
    "unsupported_certificate", "the certificate is of a kind that the peer does not take",
        ["tls.client-certificate-required" "tls.other"], ["openssl x509 -in FILE -noout -text, under Public Key Algorithm and Extended Key Usage"];
    "certificate_revoked", "the certificate was revoked by whoever signed it",
        ["tls.client-certificate-required" "tls.other"], ["ask the authority for a new one"];
    "certificate_expired", "the certificate that was shown has expired, or does not count yet by the peer's clock",
        ["tls.expired" "tls.not-yet-valid" "tls.client-certificate-required"], ["openssl x509 -in FILE -noout -dates", "timedatectl, on both ends"];
    "certificate_unknown", "the peer does not take the certificate, and does not say why",
        ["tls.other" "tls.client-certificate-required"], ["look at the peer's log"];
    "illegal_parameter", "a value in the handshake contradicts another or the standard",
        ["tls.other"], ["try TLS 1.2 only: openssl s_client -tls1_2 -connect HOST:PORT"];
    "unknown_ca", "whoever got the certificate trusts nobody who signed it: an authority of your own, or an intermediate that was not sent",
        ["tls.untrusted-issuer" "tls.self-signed" "tls.missing-intermediate" "tls.client-certificate-required"], ["netloom explain tls://HOST:PORT", "name the authority: tls://HOST:PORT,ca=FILE"];
    "access_denied", "the certificate is good, and its owner may not come in",
        ["tls.client-certificate-required" "tls.other"], ["ask the server's owner which names are let in"];
    "decode_error", "a message could not be read: its length or form is wrong",
        ["tls.other"], ["look for a middlebox that cuts long handshakes", "netloom explain tls://HOST:PORT"];
    "decrypt_error", "a signature or a Finished message is wrong: a key does not belong to its certificate, or the ends disagree on what was said",
        ["tls.other"], ["compare the keys: openssl x509 -in CERT -noout -pubkey; openssl pkey -in KEY -pubout"];
    "protocol_version", "the peer speaks no version of TLS that was offered",
        ["tls.no-common-version"], ["netloom explain tls://HOST:PORT", "openssl s_client -tls1_2 -connect HOST:PORT"];
    "insufficient_security", "the peer asks for stronger ciphers than were offered",
        ["tls.no-common-cipher"], ["netloom explain tls://HOST:PORT"];
    "internal_error", "the peer failed in a way that has nothing to do with this end",
        ["tls.other"], ["look at the server's log", "openssl s_client -connect HOST:PORT -servername NAME"];
    "inappropriate_fallback", "this end came back with an older version than both can speak",
        ["tls.no-common-version"], ["let the client offer all its versions at once"];
    "user_canceled", "the peer's user or program gave the handshake up",
        ["tls.closed"], ["try again"];
    "no_renegotiation", "the peer does not begin a second handshake inside the connection",
        ["tls.other"], ["open a new connection instead"];
    "missing_extension", "an extension that TLS 1.3 needs was not sent",
        ["tls.no-common-version" "tls.other"], ["update the library of whoever sent the hello"];
    "unsupported_extension", "an extension came that was not asked for",
        ["tls.other"], ["look for a middlebox between the ends"];
    "unrecognized_name", "the server has no certificate for the name that was asked for (SNI)",
        ["tls.unknown-name"], ["ask for another name: tls://HOST:PORT,sni=NAME", "openssl s_client -connect HOST:PORT -servername NAME"];
    "bad_certificate_status_response", "the stapled answer about revocation is wrong",
        ["tls.other"], ["openssl s_client -connect HOST:PORT -status"];
    "unknown_psk_identity", "the peer does not know the shared key that was named",
        ["tls.other"], ["compare the names of the keys on both ends"];
    "certificate_required", "the server asked for a certificate of the client, and got none",
        ["tls.client-certificate-required"], ["tls://HOST:PORT,cert=FILE,key=FILE"];
    "no_application_protocol", "the two ends have no application protocol in common (ALPN)",
        ["tls.no-common-alpn"], ["openssl s_client -connect HOST:PORT -alpn h2,http/1.1"];
}
