//! The exchange with one proxy, from the first byte to the last before the
//! conversation behind it.

use super::Protocol;
use super::answer::{Refusal, Reply5};
use super::head::Head;
use super::target::{Login, Target, Unsayable, connect, greeting, password, socks4, socks5};

/// An exchange that has begun.
#[derive(Debug)]
pub struct Dialogue {
    waits_for: WaitsFor,
    heard: Vec<u8>,
    /// Said when the proxy asks for it.
    login: Option<Vec<u8>>,
    /// Said when the proxy has let this end in.
    request: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    Method,
    Admission,
    Reply5,
    Reply4,
    Head,
    Nothing,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// More must come.
    Hear,
    /// This must be sent.
    Say(Vec<u8>),
    /// The proxy passes bytes through; these came behind its answer and belong
    /// to the conversation.
    Through(Vec<u8>),
}

impl Dialogue {
    /// Begins to ask for `target`, and gives what to send first.
    ///
    /// # Errors
    /// What cannot be told to a proxy of this protocol.
    pub fn begin(
        protocol: Protocol,
        target: &Target,
        login: Option<&Login>,
    ) -> Result<(Self, Vec<u8>), Unsayable> {
        let mut dialogue = Dialogue {
            waits_for: WaitsFor::Nothing,
            heard: Vec::new(),
            login: None,
            request: Vec::new(),
        };
        let first = match protocol {
            Protocol::Socks5 => {
                dialogue.waits_for = WaitsFor::Method;
                dialogue.request = socks5(target)?;
                dialogue.login = login.map(password).transpose()?;
                greeting(login)
            }
            Protocol::Socks4a => {
                dialogue.waits_for = WaitsFor::Reply4;
                socks4(target, login)?
            }
            Protocol::Connect => {
                dialogue.waits_for = WaitsFor::Head;
                connect(target, login)?
            }
        };
        Ok((dialogue, first))
    }

    /// Takes what came.
    ///
    /// # Errors
    /// Why the proxy will not pass bytes through.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Next, Refusal> {
        self.heard.extend_from_slice(bytes);
        match self.waits_for {
            WaitsFor::Method => self.method(),
            WaitsFor::Admission => self.admission(),
            WaitsFor::Reply5 => self.reply5(),
            WaitsFor::Reply4 => self.reply4(),
            WaitsFor::Head => self.head(),
            WaitsFor::Nothing => Ok(Next::Through(std::mem::take(&mut self.heard))),
        }
    }

    /// What has been heard and not yet understood.
    pub fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// The method the proxy chose (RFC 1928 §3).
    fn method(&mut self) -> Result<Next, Refusal> {
        match self.heard[..] {
            [] | [5] => Ok(Next::Hear),
            [5, 0, ..] => Ok(self.ask()),
            [5, 2, ..] if self.login.is_some() => {
                self.heard.drain(..2);
                self.waits_for = WaitsFor::Admission;
                Ok(Next::Say(self.login.take().unwrap_or_default()))
            }
            [5, 0xff, ..] => Err(Refusal::NoMethod {
                offered_login: self.login.is_some(),
            }),
            _ => Err(Refusal::OtherProtocol),
        }
    }

    /// Whether user and password were taken (RFC 1929 §2). The version of that
    /// answer is 1; some proxies say 5.
    fn admission(&mut self) -> Result<Next, Refusal> {
        match self.heard[..] {
            [] | [1 | 5] => Ok(Next::Hear),
            [1 | 5, 0, ..] => Ok(self.ask()),
            [1 | 5, status, ..] => Err(Refusal::WrongLogin(status)),
            _ => Err(Refusal::OtherProtocol),
        }
    }

    fn ask(&mut self) -> Next {
        self.heard.drain(..2);
        self.waits_for = WaitsFor::Reply5;
        Next::Say(std::mem::take(&mut self.request))
    }

    /// The reply, and the address it was connected from (RFC 1928 §6).
    fn reply5(&mut self) -> Result<Next, Refusal> {
        if !matches!(self.heard[..], [] | [5, ..]) {
            return Err(Refusal::OtherProtocol);
        }
        // A refusal is one whether or not its address comes.
        if let [5, code, ..] = self.heard[..]
            && code != 0
        {
            return Err(Refusal::Reply5(Reply5(code)));
        }
        let address = match self.heard[..] {
            [_, _, _, 1, ..] => 4,
            [_, _, _, 3, length, ..] => 1 + usize::from(length),
            [_, _, _, 4, ..] => 16,
            [_, _, _, 3] => return Ok(Next::Hear),
            [_, _, _, ..] if self.heard.len() > 3 => return Err(Refusal::OtherProtocol),
            _ => return Ok(Next::Hear),
        };
        Ok(self.through(4 + address + 2))
    }

    /// Eight bytes, of which the second decides.
    fn reply4(&mut self) -> Result<Next, Refusal> {
        match self.heard[..] {
            [] | [0] => Ok(Next::Hear),
            [0, 90, ..] => Ok(self.through(8)),
            [0, code, ..] => Err(Refusal::Reply4(code)),
            _ => Err(Refusal::OtherProtocol),
        }
    }

    /// Any success opens the way (RFC 9110 §9.3.6). What comes before the
    /// answer itself is passed over.
    fn head(&mut self) -> Result<Next, Refusal> {
        loop {
            let read = Head::read(&self.heard).map_err(|()| Refusal::OtherProtocol)?;
            let Some((head, length)) = read else {
                return Ok(Next::Hear);
            };
            match head.status {
                200..=299 => return Ok(self.through(length)),
                100 | 102..=199 => drop(self.heard.drain(..length)),
                _ => return Err(Refusal::Status(head)),
            }
        }
    }

    /// Bytes pass through after so many of what was heard, if they have come.
    fn through(&mut self, length: usize) -> Next {
        if self.heard.len() < length {
            return Next::Hear;
        }
        self.heard.drain(..length);
        self.waits_for = WaitsFor::Nothing;
        Next::Through(std::mem::take(&mut self.heard))
    }
}
