//! From the numbers of the IANA registries "TLS Parameters" to their names.

macro_rules! names {
    ($(#[$meta:meta])* $function:ident: $number:ty { $($value:literal = $name:literal)* }) => {
        $(#[$meta])*
        pub fn $function(number: $number) -> Option<&'static str> {
            Some(match number {
                $($value => $name,)*
                _ => return None,
            })
        }
    };
}

names! {
    /// What an alert is called (RFC 8446 §6; the older ones in RFC 5246 §7.2).
    ///
    /// ```
    /// assert_eq!(netloom_wire::tls::alert_name(48), Some("unknown_ca"));
    /// ```
    alert_name: u8 {
        0 = "close_notify"
        10 = "unexpected_message"
        20 = "bad_record_mac"
        21 = "decryption_failed"
        22 = "record_overflow"
        30 = "decompression_failure"
        40 = "handshake_failure"
        41 = "no_certificate"
        42 = "bad_certificate"
        43 = "unsupported_certificate"
        44 = "certificate_revoked"
        45 = "certificate_expired"
        46 = "certificate_unknown"
        47 = "illegal_parameter"
        48 = "unknown_ca"
        49 = "access_denied"
        50 = "decode_error"
        51 = "decrypt_error"
        60 = "export_restriction"
        70 = "protocol_version"
        71 = "insufficient_security"
        80 = "internal_error"
        86 = "inappropriate_fallback"
        90 = "user_canceled"
        100 = "no_renegotiation"
        109 = "missing_extension"
        110 = "unsupported_extension"
        111 = "certificate_unobtainable"
        112 = "unrecognized_name"
        113 = "bad_certificate_status_response"
        114 = "bad_certificate_hash_value"
        115 = "unknown_psk_identity"
        116 = "certificate_required"
        120 = "no_application_protocol"
        121 = "ech_required"
    }
}

/// The number of an alert, by its name in any case, with `-` or `_`.
pub fn alert_number(name: &str) -> Option<u8> {
    let name = name.replace('-', "_");
    (0..=u8::MAX).find(|&number| alert_name(number).is_some_and(|n| n.eq_ignore_ascii_case(&name)))
}

names! {
    /// What a protocol version is called, by its number on the wire.
    version_name: u16 {
        0x0002 = "SSL 2.0"
        0x0300 = "SSL 3.0"
        0x0301 = "TLS 1.0"
        0x0302 = "TLS 1.1"
        0x0303 = "TLS 1.2"
        0x0304 = "TLS 1.3"
    }
}

names! {
    /// What a key exchange group is called.
    group_name: u16 {
        19 = "secp192r1"
        21 = "secp224r1"
        22 = "secp256k1"
        23 = "secp256r1"
        24 = "secp384r1"
        25 = "secp521r1"
        26 = "brainpoolP256r1"
        27 = "brainpoolP384r1"
        28 = "brainpoolP512r1"
        29 = "x25519"
        30 = "x448"
        256 = "ffdhe2048"
        257 = "ffdhe3072"
        258 = "ffdhe4096"
        259 = "ffdhe6144"
        260 = "ffdhe8192"
        512 = "MLKEM512"
        513 = "MLKEM768"
        514 = "MLKEM1024"
        0x11eb = "SecP256r1MLKEM768"
        0x11ec = "X25519MLKEM768"
        0x11ed = "SecP384r1MLKEM1024"
    }
}

names! {
    /// What a cipher suite is called: those of TLS 1.3, those that browsers and
    /// servers of the last decade offer for TLS 1.2, and the weak ones that old
    /// devices still ask for.
    cipher_name: u16 {
        0x0004 = "TLS_RSA_WITH_RC4_128_MD5"
        0x0005 = "TLS_RSA_WITH_RC4_128_SHA"
        0x000a = "TLS_RSA_WITH_3DES_EDE_CBC_SHA"
        0x0016 = "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"
        0x002f = "TLS_RSA_WITH_AES_128_CBC_SHA"
        0x0033 = "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"
        0x0035 = "TLS_RSA_WITH_AES_256_CBC_SHA"
        0x0039 = "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"
        0x003c = "TLS_RSA_WITH_AES_128_CBC_SHA256"
        0x003d = "TLS_RSA_WITH_AES_256_CBC_SHA256"
        0x0067 = "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"
        0x006b = "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"
        0x009c = "TLS_RSA_WITH_AES_128_GCM_SHA256"
        0x009d = "TLS_RSA_WITH_AES_256_GCM_SHA384"
        0x009e = "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"
        0x009f = "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"
        0x00ff = "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
        0x1301 = "TLS_AES_128_GCM_SHA256"
        0x1302 = "TLS_AES_256_GCM_SHA384"
        0x1303 = "TLS_CHACHA20_POLY1305_SHA256"
        0x1304 = "TLS_AES_128_CCM_SHA256"
        0x1305 = "TLS_AES_128_CCM_8_SHA256"
        0x5600 = "TLS_FALLBACK_SCSV"
        0xc009 = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
        0xc00a = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"
        0xc012 = "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"
        0xc013 = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
        0xc014 = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"
        0xc023 = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"
        0xc024 = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"
        0xc027 = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"
        0xc028 = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"
        0xc02b = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        0xc02c = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        0xc02f = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        0xc030 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        0xcca8 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        0xcca9 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        0xccaa = "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_is_found_by_its_name() {
        let mut known = 0;
        for number in 0..=u8::MAX {
            if let Some(name) = alert_name(number) {
                assert_eq!(alert_number(&name.to_uppercase()), Some(number));
                assert_eq!(alert_number(&name.replace('_', "-")), Some(number));
                known += 1;
            }
        }
        assert_eq!(known, 35);
        assert_eq!(alert_number("no_such_alert"), None);
    }

    #[test]
    fn the_registered_numbers() {
        assert_eq!(version_name(0x0304), Some("TLS 1.3"));
        assert_eq!(group_name(0x11ec), Some("X25519MLKEM768"));
        assert_eq!(cipher_name(0x1302), Some("TLS_AES_256_GCM_SHA384"));
        assert_eq!(
            (version_name(9), group_name(0), cipher_name(0)),
            (None, None, None)
        );
    }
}
