//! A name server on loopback, over UDP and TCP, that answers from a script.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::cx::Cx;

/// What is answered to one question.
#[derive(Clone)]
pub(super) enum Reply {
    Silence,
    /// No records and this response code.
    Rcode(u8),
    Addresses(Vec<IpAddr>),
    Late(Duration, Vec<IpAddr>),
    /// A CNAME, and the addresses of what it names.
    Alias(&'static str, Vec<IpAddr>),
    /// Servers of a service: priority, weight, port, name.
    Services(Vec<(u16, u16, u16, &'static str)>),
    /// Truncated over UDP.
    OnlyOverTcp(Vec<IpAddr>),
}

pub(super) fn ips(written: &[&str]) -> Vec<IpAddr> {
    written.iter().map(|ip| ip.parse().unwrap()).collect()
}

/// The server; it ends with its runtime.
pub(super) struct Scripted {
    addr: SocketAddr,
    state: Arc<State>,
}

type Script = dyn Fn(&str, &str, usize) -> Reply + Send + Sync;

struct State {
    script: Box<Script>,
    /// How often each question came.
    times: Mutex<HashMap<String, usize>>,
    asked: Mutex<Vec<String>>,
}

impl Scripted {
    /// `script` is given the name, the record and the how-manieth time it is
    /// asked for, from 1.
    #[expect(clippy::disallowed_methods, reason = "a name server, not ours")]
    pub(super) fn start(
        cx: &Cx,
        script: impl Fn(&str, &str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = loop {
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = std::net::UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let addr = udp.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            times: Mutex::default(),
            asked: Mutex::default(),
        });
        let udp = Arc::new(UdpSocket::from_std(udp).unwrap());
        cx.spawn_loose(over_udp(udp, state.clone(), cx.clone()));
        cx.spawn_loose(over_tcp(TcpListener::from_std(tcp).unwrap(), state.clone()));
        Scripted { addr, state }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What was asked, sorted, each once.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut asked = self.state.asked.lock().unwrap().clone();
        let mut seen = Vec::new();
        asked.retain(|question| {
            let new = !seen.contains(question);
            seen.push(question.clone());
            new
        });
        asked
    }
}

async fn over_udp(socket: Arc<UdpSocket>, state: Arc<State>, cx: Cx) {
    let mut buf = [0; 1500];
    while let Ok((len, from)) = socket.recv_from(&mut buf).await {
        let question = Question::read(&buf[..len]);
        let (reply, wait) = match state.answer(&question, "") {
            Reply::Late(wait, addresses) => (Reply::Addresses(addresses), wait),
            other => (other, Duration::ZERO),
        };
        let Some(answer) = question.answer(&reply, false) else {
            continue;
        };
        let (socket, clock) = (socket.clone(), cx.clone());
        cx.spawn_loose(async move {
            clock.sleep(wait).await;
            socket.send_to(&answer, from).await.unwrap();
        });
    }
}

async fn over_tcp(listener: TcpListener, state: Arc<State>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let len = stream.read_u16().await.unwrap();
        let mut query = vec![0; usize::from(len)];
        stream.read_exact(&mut query).await.unwrap();
        let question = Question::read(&query);
        let reply = state.answer(&question, " over tcp");
        if let Some(answer) = question.answer(&reply, true) {
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

impl State {
    fn answer(&self, question: &Question, how: &str) -> Reply {
        let asked = format!("{} {}{how}", question.name, question.record);
        let nth = {
            let mut times = self.times.lock().unwrap();
            let nth = times.entry(asked.clone()).or_default();
            *nth += 1;
            *nth
        };
        self.asked.lock().unwrap().push(asked);
        (self.script)(&question.name, question.record, nth)
    }
}

/// A question as RFC 1035 §4.1 writes it.
struct Question {
    id: [u8; 2],
    name: String,
    record: &'static str,
    /// The question section.
    section: Vec<u8>,
}

impl Question {
    fn read(query: &[u8]) -> Self {
        let mut at = 12;
        let mut name = String::new();
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            name += std::str::from_utf8(&query[at + 1..end]).unwrap();
            name.push('.');
            at = end;
        }
        let record = match query[at + 2] {
            1 => "A",
            28 => "AAAA",
            33 => "SRV",
            other => panic!("record {other} was asked for"),
        };
        Question {
            id: [query[0], query[1]],
            name,
            record,
            section: query[12..at + 5].to_vec(),
        }
    }

    fn answer(&self, reply: &Reply, over_tcp: bool) -> Option<Vec<u8>> {
        let (mut rcode, mut truncated, mut records) = (0, false, Vec::new());
        match reply {
            Reply::Silence => return None,
            Reply::Rcode(code) => rcode = *code,
            Reply::OnlyOverTcp(_) if !over_tcp => truncated = true,
            Reply::Addresses(ips) | Reply::OnlyOverTcp(ips) | Reply::Late(_, ips) => {
                records.extend(ips.iter().map(|ip| address(&[0xc0, 12], *ip)));
            }
            Reply::Services(servers) => {
                records.extend(servers.iter().map(|(priority, weight, port, name)| {
                    let mut data = [priority, weight, port].map(|n| n.to_be_bytes()).concat();
                    data.extend(encoded(name));
                    record(&[0xc0, 12], 33, &data)
                }));
            }
            Reply::Alias(to, ips) => {
                let target = encoded(to);
                records.push(record(&[0xc0, 12], 5, &target));
                records.extend(ips.iter().map(|ip| address(&target, *ip)));
            }
        }
        let mut answer = self.id.to_vec();
        answer.extend([0x81 | u8::from(truncated) << 1, 0x80 | rcode]);
        answer.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        answer.extend(&self.section);
        answer.extend(records.concat());
        Some(answer)
    }
}

fn address(owner: &[u8], ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => record(owner, 1, &ip.octets()),
        IpAddr::V6(ip) => record(owner, 28, &ip.octets()),
    }
}

fn record(owner: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend([0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
    record.extend(data);
    record
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
