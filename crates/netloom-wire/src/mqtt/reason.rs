//! What a refused CONNECT means, by its number.

/// The name of a return code of version 3.1.1 (§3.2.2.3) or of a reason code of
/// version 5 (MQTT 5 §3.2.2.2); their numbers do not overlap.
pub fn reason(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "accepted",
        0x01 => "unacceptable protocol version",
        0x02 => "identifier rejected",
        0x03 | 0x88 => "server unavailable",
        0x04 | 0x86 => "bad user name or password",
        0x05 | 0x87 => "not authorized",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x89 => "server busy",
        0x8a => "banned",
        0x8c => "bad authentication method",
        0x90 => "topic name invalid",
        0x95 => "packet too large",
        0x97 => "quota exceeded",
        0x99 => "payload format invalid",
        0x9a => "retain not supported",
        0x9b => "qos not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9f => "connection rate exceeded",
        _ => return None,
    })
}
