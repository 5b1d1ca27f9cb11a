//! The failures that only mail can tell.

netloom_base::codes! {
    PORT_BLOCKED = "smtp.port-blocked", Connect, "port 25 is blocked on the way, and another port for mail answers";
}
