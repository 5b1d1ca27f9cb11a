//! The failures that only TLS can tell.

netloom_base::codes! {
    EXPIRED = "tls.expired", Tls, "the certificate has expired";
    EXPIRES_SOON = "tls.expires-soon", Tls, "a certificate expires within the time that was asked about";
    NOT_YET_VALID = "tls.not-yet-valid", Tls, "the certificate does not count yet";
    NAME_MISMATCH = "tls.name-mismatch", Tls, "the certificate is for other names";
    SELF_SIGNED = "tls.self-signed", Tls, "the certificate is signed by nobody but itself";
    UNTRUSTED_ISSUER = "tls.untrusted-issuer", Tls, "nobody who is trusted here signed the certificate";
    MISSING_INTERMEDIATE = "tls.missing-intermediate", Tls, "a certificate between this one and a trusted one was not sent";
    CLIENT_CERTIFICATE_REQUIRED = "tls.client-certificate-required", Tls, "the server asks for a certificate of the client";
    NO_COMMON_VERSION = "tls.no-common-version", Tls, "the two sides have no version of TLS in common";
    NO_COMMON_CIPHER = "tls.no-common-cipher", Tls, "the two sides have no cipher, group or signature in common";
    UNKNOWN_NAME = "tls.unknown-name", Tls, "the server does not know the name that was asked for";
    NO_COMMON_ALPN = "tls.no-common-alpn", Tls, "the two sides have no application protocol in common";
    PEER_SPEAKS_PLAIN = "tls.peer-speaks-plain", Tls, "the peer does not speak TLS";
    PEER_SPEAKS_TLS = "tls.peer-speaks-tls", Greet, "the peer speaks TLS, and this endpoint does not";
    TIMEOUT = "tls.timeout", Tls, "the handshake did not end in time";
    CLOSED = "tls.closed", Tls, "the peer closed in the middle of the handshake";
    TRUNCATED = "tls.truncated", Recv, "the stream ended without the peer's goodbye, and may have been cut short";
}
