//! `time`: what time it is, once on connect, or to every datagram.

use std::borrow::Cow;
use std::sync::Arc;

use netloom_base::{Failure, Key, SettingError, Settings, Stage, Timestamp, settings};
use netloom_protocol::{
    Answer, DatagramService, MessageService, Offer, Service, each, each_message, finish,
};
use netloom_transport::{BoxFuture, Conn, Cx, Net};
use tokio::io::AsyncWriteExt;

use crate::registry::ServiceKind;

settings! {
    /// How the time is told.
    struct TimeSettings {
        /// rfc3339 (a line), daytime (RFC 867, a line), time (RFC 868, four bytes) or unix (seconds, a line)
        format: String = "rfc3339".to_owned(),
    }
}

/// The kind `time`.
#[derive(Debug, Clone, Copy)]
pub struct Time;

#[derive(Debug, Clone, Copy)]
enum Format {
    Rfc3339,
    Daytime,
    Time,
    Unix,
}

const FORMATS: [(&str, Format); 4] = [
    ("rfc3339", Format::Rfc3339),
    ("daytime", Format::Daytime),
    ("time", Format::Time),
    ("unix", Format::Unix),
];

impl ServiceKind for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn help(&self) -> &'static str {
        "tell the time, once on connect"
    }

    fn keys(&self) -> &'static [Key] {
        TimeSettings::KEYS
    }

    fn example(&self) -> &'static str {
        "format = \"rfc3339\""
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let chosen = TimeSettings::read(settings)?.format;
        let format = FORMATS
            .iter()
            .find(|(name, _)| *name == chosen)
            .map(|(_, format)| *format);
        if let Some(format) = format {
            Ok(Offer::Bytes(Arc::new(Clock { format })))
        } else {
            let span = settings.last("format").and_then(|s| s.span.clone());
            let names = FORMATS.map(|(name, _)| name);
            let mut error = SettingError::new(
                "format",
                span,
                format!("`{chosen}` is none of {}", names.join(", ")),
            );
            error.suggestion = netloom_base::complaint::nearest(&chosen, names).map(str::to_owned);
            Err(vec![error])
        }
    }
}

struct Clock {
    format: Format,
}

impl Service for Clock {
    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if let Err(error) = conn.write_all(&tell(self.format, cx.wall())).await {
                return Err(conn.failure(Stage::Send, error));
            }
            finish(conn, cx).await
        })
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(Clock {
            format: self.format,
        }))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(each_message(Told(self.format)))
    }
}

/// Tells the time in messages, which need no end of a line.
struct Told(Format);

impl Answer for Told {
    fn answer<'r>(&'r self, _: &'r [u8], cx: &Cx) -> Option<Cow<'r, [u8]>> {
        let mut told = tell(self.0, cx.wall());
        if !matches!(self.0, Format::Time) && told.ends_with(b"\r\n") {
            told.truncate(told.len() - 2);
        }
        Some(told.into())
    }
}

impl Answer for Clock {
    fn answer<'r>(&'r self, _: &'r [u8], cx: &Cx) -> Option<Cow<'r, [u8]>> {
        Some(tell(self.format, cx.wall()).into())
    }
}

/// Seconds from 1900, where RFC 868 begins, to 1970.
const FROM_1900: i64 = 2_208_988_800;

fn tell(format: Format, at: Timestamp) -> Vec<u8> {
    match format {
        Format::Rfc3339 => format!("{at}\r\n").into_bytes(),
        Format::Unix => format!("{}\r\n", at.seconds()).into_bytes(),
        // The number is 32 bits wide and wraps in 2036, as the RFC knows.
        Format::Time => ((at.seconds() + FROM_1900) as u32).to_be_bytes().to_vec(),
        Format::Daytime => {
            const DAYS: [&str; 7] = [
                "Sunday",
                "Monday",
                "Tuesday",
                "Wednesday",
                "Thursday",
                "Friday",
                "Saturday",
            ];
            const MONTHS: [&str; 12] = [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ];
            let (year, month, day) = at.date();
            let (hour, minute, second) = at.time();
            let (weekday, month) = (
                DAYS[at.weekday() as usize % 7],
                MONTHS[(month as usize + 11) % 12],
            );
            format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
                .into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_time_in_every_format() {
        let at = Timestamp(1_795_132_805_000_000);
        let text = |format| String::from_utf8(tell(format, at)).unwrap();
        assert_eq!(text(Format::Rfc3339), "2026-11-20T00:00:05.000000Z\r\n");
        assert_eq!(
            text(Format::Daytime),
            "Friday, November 20, 2026 00:00:05-UTC\r\n"
        );
        assert_eq!(text(Format::Unix), "1795132805\r\n");
        assert_eq!(
            tell(Format::Time, Timestamp(0)),
            2_208_988_800_u32.to_be_bytes()
        );
    }
}
