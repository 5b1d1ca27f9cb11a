//! What may be said of a code when nothing more could be asked: every failure
//! ends with a cause and something to do. Asked last.

use netloom_base::diagnosis::Verdict::{self, Confirmed, Likely, Possible};
use netloom_base::{Diagnosis, Endpoint, Failure, Stage};

use super::Rule;
use super::answers::Answers;
use super::draft::Draft;
use super::target;

pub(super) const RULES: &[Rule] = &[known, by_stage];

/// What is known of a code without evidence. In a command `{url}` is the
/// endpoint, `{host}` and `{port}` its parts.
struct Known {
    code: &'static str,
    causes: &'static [(&'static str, Verdict, &'static str)],
    fixes: &'static [(&'static str, &'static str)],
    advice: &'static [&'static str],
}

macro_rules! known {
    ($( $code:literal: $( $verdict:ident $cause:literal ($why:literal) ),+ ; $( $text:literal => $command:literal ),* ; $( $advice:literal ),* ; )*) => {
        const KNOWN: &[Known] = &[$( Known {
            code: $code,
            causes: &[$( ($cause, $verdict, $why) ),+],
            fixes: &[$( ($text, $command) ),*],
            advice: &[$( $advice ),*],
        } ),*];
    };
}

known! {
    "proxy.header-missing":
        Likely "who connected is no balancer, or one that sends no PROXY header" ("its first bytes are something else");
        "see what a balancer would say" => "zgrep -n send-proxy /usr/share/doc/haproxy/configuration.txt.gz";
        "let the balancer send it: `send-proxy-v2` in HAProxy, `proxy_protocol on` in nginx, proxy+tcp:// in netloom", "or serve clients that come by themselves on another address: tcp:// instead of proxy+tcp://";
    "proxy.header-invalid":
        Likely "what sends it does not write it as the specification says, or it was cut" ("the bytes are told above"),
        Possible "somebody tries what the server does with a broken one" ("");
        "read how it must be written" => "zless /usr/share/doc/haproxy/proxy-protocol.txt.gz";
        "let the sender write the other version: version=1 or version=2";
    "proxy.header-untrusted":
        Confirmed "who connected is not among the sources that are believed here" ("its address was compared with `from`");
        "see who connects" => "ss -tn state established";
        "name the balancer's address or network: from=10.0.0.2, or ?from=10.0.0.0/8", "whoever may send a header can say that it is anybody: name nobody else";
    "proxy.header-refused":
        Likely "the server does not expect a PROXY header on that port, and took it for the client's first words" ("it ended the conversation after it");
        "see who listens there" => "ss -tlnp";
        "send none: leave `proxy+` out of the endpoint", "or let the server expect it: `listen … proxy_protocol` in nginx, `bind … accept-proxy` in HAProxy";
    "create.family-unsupported":
        Likely "IPv6 is switched off on this host, or was left out of its kernel" ("the kernel knows no such address family"),
        Possible "a sandbox forbids it: RestrictAddressFamilies= of systemd, or a seccomp filter" (""),
        Possible "this system has no sockets of that kind" ("");
        "see whether IPv6 is off" => "cat /proc/sys/net/ipv6/conf/all/disable_ipv6 || echo there is no IPv6";
        "use the other family: 127.0.0.1 or 0.0.0.0 instead of `::`";
    "create.other":
        Possible "the kernel did not make what was asked for; its answer is told above" ("");
        "see how many sockets there are" => "ss -s";
        "look up the errno in socket(7)";
    "bind.no-device":
        Confirmed "no interface has that name" ("the kernel was asked for it");
        "see their names" => "ip -brief link";
        ;
    "bind.no-such-path":
        Confirmed "the folder that the socket file is to stand in does not exist" ("the kernel looked for this very path");
        ;
        "make the folder first: mkdir -p", "or use another path";
    "bind.denied.path":
        Likely "this user may not write into that folder" ("the kernel says so");
        ;
        "use a folder of your own: /tmp, or $XDG_RUNTIME_DIR", "or see every folder's rights: namei -l";
    "bind.in-use.socket-file":
        Likely "a server uses that path, or left its file behind" ("a file is there");
        "see who listens on unix sockets" => "ss -xlp";
        "use another path, or remove the file when nobody listens on it";
    "bind.in-use.listener":
        Likely "another program has the port" ("the kernel says that it is taken");
        "see who" => "ss -tlnp";
        "or use another port: 0 is any free one";
    "bind.in-use.time-wait":
        Likely "connections that ended a moment ago hold the port" ("TIME_WAIT lasts a minute");
        "wait" => "sleep 60";
        ;
    "bind.in-use.connection":
        Likely "a connection that is still open holds the port" ("nobody listens there");
        "see whose" => "ss -tnp";
        "or use another port: 0 is any free one";
    "bind.in-use.overlap":
        Likely "another program listens on every address, or on one of them" ("the kernel says that it is taken");
        "see who" => "ss -tlnp";
        "or use another port: 0 is any free one";
    "bind.in-use.bound":
        Likely "a program holds the port without listening" ("nobody listens there");
        "see the programs with sockets" => "ss -tanp";
        "or use another port: 0 is any free one";
    "bind.not-local":
        Likely "the address belongs to another host: a router's, a container's, or one this host had before" ("the kernel does not know it as its own");
        "see this host's addresses" => "ip -brief address";
        "or listen on every address: `*`";
    "bind.denied.privileged-port":
        Likely "ports below 1024 need a right that this program does not have" ("ip(7)");
        "see from which port on none is needed" => "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
        "or use a port from 1024 on";
    "bind.no-scope":
        Likely "a link-local address is of one interface, and none is named" ("fe80:: is on each of them");
        "see their names" => "ip -brief link";
        "write it behind the address: [fe80::1%eth0]";
    "bind.other":
        Possible "the kernel did not take the address; its answer is told above" ("");
        "see this host's addresses" => "ip -brief address";
        "look up the errno in bind(2)";
    "join.no-interface":
        Likely "no interface has a way to that group" ("the kernel found no route for it");
        "see the routes" => "ip route",
        "and the interfaces" => "ip -brief link";
        "name the interface to use";
    "join.other":
        Possible "the kernel did not join the group; its answer is told above" ("");
        "see which groups are joined" => "ip maddr";
        ;
    "listen.other":
        Possible "the kernel did not listen on what was bound: its kind takes no connections, or something is used up" ("listen(2)");
        "see how many sockets there are" => "ss -s",
        "and who listens" => "ss -tlnp";
        ;
    "accept.other":
        Possible "a client was gone before it was accepted, or the kernel is short of memory" ("accept(2)");
        "see how full the queues are" => "ss -tln",
        "and what was dropped" => "nstat -az TcpExtListenDrops TcpExtListenOverflows";
        ;
    "accept.no-descriptors":
        Likely "as many connections are open as this process may have" ("EMFILE or ENFILE");
        "allow this shell's programs more" => "ulimit -n 65536";
        "or serve fewer at once: --max-conns", "close what is not needed any more";
    "create.no-descriptors":
        Likely "as many files and sockets are open as this process may have" ("EMFILE or ENFILE");
        "allow this shell's programs more" => "ulimit -n 65536";
        "close what is not needed any more";
    "connect.refused.no-listener":
        Likely "no program listens there: not started, or another port" ("the host answered with a refusal"),
        Possible "a firewall answers in its place" ("that looks the same from this end");
        "see who listens here" => "ss -tlnp";
        "see on the other host whether the server runs, and on which port";
    "connect.refused.other-family":
        Likely "the server listens on the other address family only" ("");
        "see who listens here" => "ss -tlnp";
        "dial the other family, or have the server listen on both";
    "connect.refused.loopback-only":
        Likely "the server listens on loopback only" ("");
        "see who listens here" => "ss -tlnp";
        "have the server listen on 0.0.0.0 or `::`";
    "connect.rejected.firewall":
        Likely "a firewall rejects it" ("a router or host said so by ICMP");
        "see how far packets go" => "tracepath {host}";
        "ask whoever runs it to let the port pass";
    "connect.denied.local-firewall":
        Likely "a rule of this host forbids it" ("the kernel itself refused");
        "read the rules" => "sudo nft list ruleset";
        ;
    "connect.unreachable.no-route":
        Likely "no route of this host covers the address" ("the kernel says so at once");
        "see the routes" => "ip route",
        "and those of IPv6" => "ip -6 route";
        ;
    "connect.unreachable.neighbour":
        Likely "the host is off, or not on that network" ("nobody answered for its address"),
        Possible "a router on the way rejects it" ("the kernel answers the same");
        "see what is known of the neighbours" => "ip neigh";
        "switch it on, or correct the address";
    "connect.no-target":
        Likely "no target is up, or nobody is in the list" ("what was tried is told above"),
        Possible "fewer may be tried than there are" ("retries");
        "see how one of them is" => "netloom explain {url}";
        "name one more that is used only then: tcp://10.0.0.9:80,backup", "let more be tried: --retries 5";
    "connect.timeout.dropped":
        Likely "a firewall drops the packets, here or on the way" ("silence is what a drop rule gives"),
        Possible "the host is off" (""),
        Possible "its accept queue is full" ("that is silent too");
        "see how far packets go" => "tracepath {host}";
        "let the port pass in the firewall of the host or its network";
    "connect.timeout.queue-full":
        Likely "the server is alive and does not accept fast enough" ("");
        "see how full its queue is" => "ss -tln";
        "accept faster, or in more threads";
    "connect.no-local-port":
        Likely "every port that clients are given is used towards this address" ("");
        "see how many are in which state" => "ss -s";
        "keep connections and use them again";
    "connect.self":
        Confirmed "nothing listens there, and the kernel gave this client the very port that it dialled" ("both ends have the same address");
        "see which ports clients are given" => "cat /proc/sys/net/ipv4/ip_local_port_range";
        "start the server first, on a port outside of those";
    "connect.no-such-path":
        Likely "the server is not running, or listens elsewhere" ("there is no such file");
        "see which unix sockets there are" => "ss -xl";
        ;
    "connect.denied.path":
        Likely "this user may not write to the socket file, or enter a folder before it" ("unix(7)");
        "see which unix sockets there are" => "ss -xl";
        "see every folder's rights: namei -l";
    "connect.stale-socket":
        Likely "the server that made the file ended without removing it" ("nobody listens on it");
        "see which unix sockets there are" => "ss -xl";
        "remove the file, and start the server again";
    "connect.not-a-socket":
        Confirmed "a file or folder stands at that path, and no socket" ("the kernel looked at it");
        "see which unix sockets there are" => "ss -xl";
        "write the path of the socket, not of its folder";
    "connect.family-broken":
        Likely "one address family has no good way to this host" ("the other one was answered");
        "see the way of IPv6" => "ip -6 route",
        "and of IPv4" => "ip -4 route";
        "dial an address of the family that works";
    "connect.overtaken":
        Confirmed "another address of the same name answered first" ("that is how two families race (RFC 8305)");
        "see every address" => "getent ahosts {host}";
        ;
    "connect.other":
        Possible "the kernel refused; its answer is told above" ("");
        "see the way there" => "ip route get {host}";
        "look up the errno in connect(2)";
    "greet.timeout":
        Likely "each side waits for the other to speak first" ("the connection is open, and nobody spoke"),
        Possible "the server is overloaded or hangs" ("");
        "look whether it speaks TLS" => "openssl s_client -connect {host}:{port} </dev/null";
        "see whether this is the right port for this protocol", "in a server of your own: allow more with greet-timeout";
    "greet.closed-before-banner":
        Likely "the server does not let this client in: too many connections, or a rule about addresses" ("it accepted, and closed without a word"),
        Possible "the server's program crashed" ("");
        "try again" => "netloom connect {url}";
        "read the server's log";
    "greet.wrong-protocol":
        Confirmed "the server speaks another protocol on this port" ("its first bytes are told above");
        "see what it says" => "netloom connect tcp://{host}:{port}";
        "dial the port of the protocol that was meant";
    "greet.refused":
        Confirmed "the server refused in its first words" ("they are told above");
        "try again later" => "netloom connect {url}";
        "read the server's log";
    "greet.other":
        Possible "the first words of the two sides do not fit" ("");
        "see what it says" => "netloom connect tcp://{host}:{port}";
        "see whether this is the right port for this protocol";
    "recv.frame-too-large":
        Likely "the peer speaks another framing, or has more to say at once than is allowed" ("the limit and what came are told above");
        ;
        "see whether both sides use the same framing", "or allow larger messages: max-line";
    "recv.partial":
        Likely "the peer ended or crashed in the middle of a message" ("its end came before the message's"),
        Possible "the peer speaks another framing" ("");
        "see how far it comes" => "netloom explain {url}";
        "in the other program: finish the message, then close";
    "recv.other":
        Possible "the kernel gave the connection up; its answer is told above" ("");
        "see what it counted" => "ss -ti";
        "look up the errno in recv(2)";
    "send.other":
        Possible "the kernel did not take the bytes; its answer is told above" ("");
        "see what it counted" => "ss -ti";
        "look up the errno in send(2)";
    "send.too-large":
        Likely "the datagram is larger than a limit of the kernel, or than the way there takes in one piece" ("EMSGSIZE");
        "see how large it may be on the way" => "tracepath {host}";
        "send at most 1200 bytes at once, or 65507 where pieces are allowed";
    "send.refused.no-listener":
        Likely "no program has that UDP port open" ("the host said so by ICMP");
        "see who listens here" => "ss -ulnp";
        ;
    "send.denied.broadcast":
        Confirmed "the socket was not allowed to send to everybody" ("SO_BROADCAST is not set");
        ;
        "set the option broadcast";
    "send.denied.local-firewall":
        Likely "a rule of this host forbids it" ("the kernel itself refused");
        "read the rules" => "sudo nft list ruleset";
        ;
    "send.rejected.firewall":
        Likely "a firewall rejects it" ("a router or host said so by ICMP");
        "see how far packets go" => "tracepath {host}";
        "ask whoever runs it to let the port pass";
    "recv.truncated":
        Confirmed "the datagram was larger than the room for it" ("the kernel says that it cut it");
        ;
        "make room for 65535 bytes";
    "recv.dropped":
        Likely "this program reads more slowly than datagrams come" ("the kernel counted what found no room");
        "allow a larger buffer" => "sudo sysctl -w net.core.rmem_max=8388608";
        "read faster, or in more threads";
    "fd.not-usable":
        Likely "the descriptor is closed, or is not of the kind that is needed" ("what it is, is told above"),
        Possible "the program was not started by what hands sockets over" ("systemd sets LISTEN_FDS and LISTEN_PID");
        "see what the shell's descriptors are" => "ls -l /proc/self/fd";
        "start it with the socket: netloom listen fd:0 under inetd, or a .socket unit of systemd";
    "limit.reached":
        Confirmed "as many connections are open as this service may have" ("the limit is told above");
        "see who is connected" => "ss -tn state established";
        "allow more: --max-conns N, or in the file: limits = { max-conns = N }", "or close idle ones sooner: --idle 1m, or limits = { idle = \"1m\" }";
    "limit.queue-timeout":
        Confirmed "every target that is up had as many connections as it may have" ("this connection waited in line for all that time"),
        Possible "a target answers slowly, and its connections pile up" ("");
        "see who is connected" => "ss -tn state established";
        "allow more: max-conns=200 after the target, or --target-conns 200", "or wait longer: --queue-timeout 15s";
    "limit.idle":
        Confirmed "nothing moved for as long as the service allows" ("the service's own clock says so");
        "see when connections last moved" => "ss -tni";
        "allow more: --idle 2h, or in the file: limits = { idle = \"2h\" }; 0s is never", "or have the client say something now and then";
    "limit.lifetime":
        Confirmed "the connection is as old as the service allows" ("the service's own clock says so");
        "see the service's limits" => "netloom listen --help";
        "allow more: --lifetime 24h, or in the file: limits = { lifetime = \"24h\" }; without it there is no such limit";
    "limit.slow-reader":
        Confirmed "the client did not read what it was told" ("its kernel took no more, and more waited here than may"),
        Possible "its program is stopped, or busy with something else" (""),
        Possible "its path carries less than is said" ("");
        "see what waits for whom" => "ss -tnmo state established";
        "let more wait: --max-queue 4MiB, or in the file: max-queue = \"4MiB\"", "or let less be said: --max-rate 5";
    "stopped":
        Confirmed "the service was told to stop, and this conversation had not ended in time" ("a signal, the end of --timeout, or its supervisor"),
        Possible "conversations need longer to end than they are given" ("");
        "start it again" => "netloom listen {url}";
        "give conversations more time to end: --drain 1m, or in the file: limits = { drain = \"1m\" }";
    "close.other":
        Possible "the peer was gone before the last bytes were taken; the kernel's answer is told above" ("");
        "see what is still open" => "ss -tan";
        ;
    "lan.multicast-silent":
        Possible "nobody sends to that group and port now" ("a group is silent until somebody speaks"),
        Possible "the sender is behind a router, and its datagrams may not pass one: the TTL of a group is 1 by default" (""),
        Possible "the group was joined on another interface than the one the datagrams come in by" ("");
        "see where this host has joined which group" => "ip maddr";
        "send with ttl=8 where routers are between";
    "stuck.both-reading":
        Likely "each side waits for the other to speak" ("nothing lies unread or unsent, and nothing moves"),
        Possible "the other program works on its first words" ("");
        "see both queues and since when nothing came" => "ss -tnoi";
        "say what the other side waits for: an end of line, or the end";
    "stuck.both-writing":
        Confirmed "neither program reads what the other wrote" ("the windows of both are closed"),
        Possible "each reads only when its own words were taken" ("");
        "see both queues and both windows" => "ss -tnoi";
        "in one of the two programs: read while there is more to write";
    "stuck.reader-stopped":
        Confirmed "the other program does not read" ("its window is closed"),
        Possible "it is stopped, or busy with something else" ("");
        "see what waits for whom, and the timers" => "ss -tnoi";
        "in the other program: read all the time", "give it more time to read: --idle 2h, or limits = { idle = \"2h\" }";
    "stuck.half-open":
        Likely "the other host crashed, was switched off, or a link on the way is down" ("what was sent was sent again, and nobody acknowledged it"),
        Possible "a NAT or firewall on the way forgot the connection, and drops what comes" ("");
        "see the way there" => "ip route get {host}";
        "notice it sooner: keepalive=15s,user-timeout=30s after the endpoint";
    "stuck.other":
        Possible "each side waits for the other" ("nothing moves, and nothing failed"),
        Possible "the other host is gone without a word" ("");
        "see both queues and the timers" => "ss -tinop";
        "send what the other side waits for: an end of line, or the end";
    "slow.other":
        Possible "one of the two programs, or the way between them, is the narrow place" ("");
        "see what limits it" => "ss -tin";
        ;
    "resolve.slow":
        Possible "the first name server is silent, and each program waits for it" ("");
        "see the order" => "cat /etc/resolv.conf";
        ;
    "parse.endpoint":
        Confirmed "this cannot be read as an endpoint" ("the caret stands under the part in question");
        "see how endpoints are written" => "netloom connect --help";
        ;
    "parse.usage":
        Confirmed "the command line cannot be read" ("what is wrong is told above");
        "see the flags" => "netloom --help";
        ;
    "parse.config":
        Confirmed "the file cannot be read" ("the line is told above");
        "see an example" => "netloom listen tcp://:0 --echo --print-config";
        ;
    "parse.setting":
        Confirmed "a setting has a value that it cannot have" ("what it takes is told above");
        "see the settings" => "netloom listen --help";
        ;
    "parse.other":
        Confirmed "this cannot be read" ("what is wrong is told above");
        "see the verbs" => "netloom --help";
        ;
}

/// The endpoint's parts for a command; `None` where one is missing.
fn filled(command: &str, failure: &Failure) -> Option<String> {
    if !command.contains('{') {
        return Some(command.to_owned());
    }
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let quoted = |text: &str| shell_words::quote(text).into_owned();
    let mut text = command.replace("{url}", &quoted(&endpoint.to_string()));
    if text.contains("{host}") {
        let host = match (
            endpoint.host().ip(),
            endpoint.host().name(),
            target(failure),
        ) {
            (Some(ip), ..) => ip.to_string(),
            (None, Some(name), _) => name.to_owned(),
            (None, None, Some(addr)) => addr.ip().to_string(),
            (None, None, None) => return None,
        };
        text = text.replace("{host}", &quoted(&host));
    }
    if text.contains("{port}") {
        text = text.replace("{port}", &endpoint.port()?.to_string());
    }
    Some(text)
}

fn known(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let code = failure.code().name();
    let known = KNOWN.iter().find(|known| known.code == code)?;
    let mut draft = Draft::begun(failure);
    for (cause, verdict, because) in known.causes {
        draft = draft.cause(*cause, *verdict, because);
    }
    for (text, command) in known.fixes {
        if let Some(command) = filled(command, failure) {
            draft = draft.fix(*text, command);
        }
    }
    known
        .advice
        .iter()
        .fold(draft, |draft, advice| draft.advice(*advice))
        .done()
}

/// A code that has no words of its own here: its stage has.
fn by_stage(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let (cause, fix, command) = match failure.stage() {
        Stage::Parse => ("this cannot be read", "see the verbs", "netloom --help"),
        Stage::Resolve => (
            "the name or who was asked for it",
            "see whom this host asks",
            "cat /etc/resolv.conf",
        ),
        Stage::Create | Stage::Bind | Stage::Join | Stage::Listen | Stage::Accept => (
            "the kernel did not do what was asked of it",
            "see the sockets of this host",
            "ss -tanp",
        ),
        Stage::Connect => ("the server or the way there", "see the routes", "ip route"),
        Stage::Tls | Stage::Greet => (
            "the two sides do not understand each other",
            "see the page of this code",
            "",
        ),
        Stage::Send | Stage::Recv | Stage::Stuck | Stage::Slow | Stage::Close => (
            "the other end, or the way there",
            "see what the kernel counted",
            "ss -tin",
        ),
    };
    let command = match command {
        "" => format!("netloom explain {}", failure.code()),
        command => command.to_owned(),
    };
    Draft::begun(failure)
        .cause(cause, Possible, "")
        .fix(fix, command)
        .done()
}
