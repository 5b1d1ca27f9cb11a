//! The failures that only WebSocket can tell.

netloom_base::codes! {
    UPGRADE_REFUSED = "greet.upgrade-refused", Greet, "the answer to the request for a WebSocket opened none";
}
