//! The failures that only the PROXY protocol can tell.

netloom_base::codes! {
    HEADER_MISSING = "proxy.header-missing", Greet, "a PROXY header must come first, and none did";
    HEADER_INVALID = "proxy.header-invalid", Greet, "the PROXY header is not written as it should be";
    HEADER_UNTRUSTED = "proxy.header-untrusted", Greet, "who connected may not say who its client is";
    HEADER_REFUSED = "proxy.header-refused", Greet, "the server does not understand the PROXY header";
}
