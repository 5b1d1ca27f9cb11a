//! The failures that only HTTP can tell.

netloom_base::codes! {
    REDIRECT_LOOP = "http.redirect-loop", Greet, "the answers send the client round in circles";
    WRONG_HOST = "http.wrong-host", Greet, "the server does not serve the host that was asked for";
    PROXIED = "http.proxied", Greet, "a proxy answered instead of the server";
    GATEWAY = "http.gateway", Greet, "a gateway answered for a server behind it that did not";
    EARLY_REPLY = "http.early-reply", Greet, "the server answered and closed before it had read the body";
    CAPTIVE_PORTAL = "http.captive-portal", Greet, "this network asks for a sign-in before it lets anybody out";
}
