//! A serial port as a stream: `serial:/dev/ttyUSB0,baud=115200`.
//!
//! Every byte passes as it is, and while it is open nobody else opens the port
//! (ioctl_tty(2), TIOCEXCL). A wire has no end: shutting the stream says
//! nothing to the other side, and only a port that goes away ends it.

#[cfg(unix)]
mod port;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::fmt;

use netloom_base::settings::FromValue;
use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack, Value, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Opened, Transport, mistakes};

/// The transport behind `serial:`.
#[derive(Debug, Clone, Copy)]
pub struct Serial;

settings! {
    /// Options of a serial port.
    pub struct DialOptions {
        /// the speed, in bits per second
        baud: Baud = Baud(115_200),
        /// the bits of a character: 5 to 8
        data: DataBits = DataBits(8),
        /// the parity bit: none, odd or even
        parity: Parity = Parity::None,
        /// the bits that end a character: 1 or 2
        stop: StopBits = StopBits(1),
        /// who may say stop: none, hardware (RTS and CTS) or software (XON and XOFF)
        flow: Flow = Flow::None,
    }
}

impl fmt::Display for DialOptions {
    /// As it is said of serial lines: `115200 8N1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = self.parity.name().chars().next().unwrap_or('n');
        let (DataBits(data), StopBits(stop)) = (self.data, self.stop);
        write!(
            f,
            "{} {data}{}{stop}",
            self.baud.0,
            parity.to_ascii_uppercase()
        )?;
        match self.flow {
            Flow::None => Ok(()),
            flow => write!(f, ", flow {}", flow.name()),
        }
    }
}

/// Bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baud(pub u32);

impl FromValue for Baud {
    const HINT: &'static str = "BAUD";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let read = text.parse().ok().filter(|baud| *baud > 0).map(Baud);
        read.ok_or_else(|| format!("bits per second such as 9600 are expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(i64::from(self.0)))
    }
}

/// How many bits a character has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataBits(pub u8);

impl FromValue for DataBits {
    const HINT: &'static str = "BITS";

    fn from_value(value: &Value) -> Result<Self, String> {
        within(value, 5, 8).map(DataBits)
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(i64::from(self.0)))
    }
}

/// How many bits end a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopBits(pub u8);

impl FromValue for StopBits {
    const HINT: &'static str = "BITS";

    fn from_value(value: &Value) -> Result<Self, String> {
        within(value, 1, 2).map(StopBits)
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(i64::from(self.0)))
    }
}

fn within(value: &Value, least: u8, most: u8) -> Result<u8, String> {
    let text = value.to_string();
    let read = text.parse().ok();
    read.filter(|bits| (least..=most).contains(bits))
        .ok_or_else(|| format!("{least} to {most} are expected, not `{text}`"))
}

/// The parity bit of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// There is none.
    None,
    /// It makes the number of ones odd.
    Odd,
    /// It makes the number of ones even.
    Even,
}

impl Parity {
    const ALL: [Parity; 3] = [Parity::None, Parity::Odd, Parity::Even];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Parity::None => "none",
            Parity::Odd => "odd",
            Parity::Even => "even",
        }
    }
}

impl FromValue for Parity {
    const HINT: &'static str = "PARITY";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let found = Parity::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| format!("`none`, `odd` or `even` is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}

/// How one side tells the other to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Nobody does.
    None,
    /// With the wires RTS and CTS.
    Hardware,
    /// With the characters XON and XOFF, which then are no data.
    Software,
}

impl Flow {
    const ALL: [Flow; 3] = [Flow::None, Flow::Hardware, Flow::Software];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Flow::None => "none",
            Flow::Hardware => "hardware",
            Flow::Software => "software",
        }
    }
}

impl FromValue for Flow {
    const HINT: &'static str = "HOW";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let found = Flow::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| format!("`none`, `hardware` or `software` is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}

static CARD: Card = Card {
    name: "serial",
    summary: "a serial port, every byte as it is: serial:/dev/ttyUSB0,baud=115200",
    schemes: &[Scheme {
        name: "serial",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["termios(3)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

fn options(stack: &Stack) -> Result<DialOptions, Failure> {
    DialOptions::read(&stack.transport().settings).map_err(|errors| mistakes(stack, &errors))
}

impl Transport for Serial {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        if stack.role == Role::Dial {
            options(stack)?;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(port::dial(stack, cx))
    }

    #[cfg(not(unix))]
    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        use netloom_base::{Side, Stage};

        Box::pin(async {
            let failure = Failure::new(Stage::Create, Side::Os, Stage::Create.other());
            Err(failure.message("serial ports are not opened on this system yet"))
        })
    }
}
