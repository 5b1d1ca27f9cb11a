//! Today, as `YYYY-MM-DD` (UTC).

use netloom_base::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let (year, month, day) = Timestamp::since_epoch(since.unwrap_or_default()).date();
    format!("{year:04}-{month:02}-{day:02}")
}
