//! Serial ports, and sockets between a machine and its host: what the codes of
//! files and networks mean there.

use netloom_base::diagnosis::Verdict::{Likely, Possible};
use netloom_base::{Code, Diagnosis, Endpoint, Failure};

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, sudo};

pub(super) const RULES: &[Rule] = &[serial, machine];

/// What stands after the scheme, where it is this one.
fn opaque(failure: &Failure, scheme: &str) -> Option<String> {
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let is_it = endpoint.scheme() == scheme;
    is_it.then(|| endpoint.opaque().map(str::to_owned))?
}

fn serial(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let path = opaque(failure, "serial")?;
    let path = shell_words::quote(&path);
    let draft = Draft::begun(failure);
    let draft = match failure.code() {
        Code::CONNECT_NO_SUCH_PATH => draft
            .cause(
                "the port is not plugged in, or has another name now",
                Likely,
                "there is no such device",
            )
            .cause("its driver is not loaded", Possible, "")
            .fix(
                "see which terminals and ports there are",
                "ls /sys/class/tty",
            )
            .fix(
                "see what the kernel said when it was plugged in",
                format!("{}dmesg | tail -n 30", sudo(answers)),
            ),
        Code::CONNECT_DENIED_PATH => draft
            .cause(
                "this user is not of the group that the port belongs to",
                Likely,
                "most systems call it dialout or uucp",
            )
            .fix("see whose it is", format!("ls -l {path}"))
            .fix(
                "join the group, and log in again",
                "sudo usermod -aG dialout \"$USER\"",
            ),
        Code::FD_NOT_USABLE => draft
            .cause(
                "another program has the port, or its hardware cannot do what was asked",
                Likely,
                "the kernel's answer is told above",
            )
            .fix("see who has it open", format!("fuser -v {path}"))
            .fix("see what it is set to", format!("stty -F {path} -a")),
        _ => return None,
    };
    draft.done()
}

fn machine(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let place = opaque(failure, "vsock")?;
    let (machine, port) = place.split_once(':')?;
    let here = matches!(machine, "local" | "1");
    let sudo = sudo(answers);
    let draft = Draft::begun(failure);
    let draft = match failure.code() {
        Code::CREATE_FAMILY_UNSUPPORTED => draft
            .cause(
                "the kernel module of vsock is not loaded, or not there",
                Likely,
                "it knows no such sockets",
            )
            .fix("load it", format!("{sudo}modprobe vsock")),
        Code::CONNECT_TIMEOUT | Code::CONNECT_NO_ROUTE if here => draft
            .cause(
                "the kernel module that leads to this very machine is not loaded",
                Likely,
                "whoever has it is answered at once, also by a refusal",
            )
            .fix("load it", format!("{sudo}modprobe vsock_loopback")),
        Code::CONNECT_TIMEOUT | Code::CONNECT_NO_ROUTE => draft
            .cause(
                "no machine has this number, or it is switched off",
                Likely,
                "nobody answered, not even with a refusal",
            )
            .cause(
                "the driver to it is not loaded: vhost_vsock on a host, vmw_vsock_virtio_transport in a guest",
                Possible,
                "",
            )
            .fix("see this machine's devices for it", "ls /dev")
            .advice("in the settings of the virtual machine: see its CID (guest-cid)"),
        Code::CONNECT_REFUSED => draft
            .cause(
                format!("no program of that machine listens on vsock port {port}"),
                Likely,
                "the machine answered",
            )
            .cause(
                "its host or hypervisor passes no connections on",
                Possible,
                "that looks the same from this end",
            )
            .fix(
                "on that machine, listen",
                format!("netloom listen vsock:any:{} --echo", shell_words::quote(port)),
            ),
        _ => return None,
    };
    draft
        .unchecked(
            "what is behind that number",
            "a look from the host of the machines",
        )
        .done()
}

#[cfg(test)]
mod tests {
    use netloom_base::{Side, Stage};

    use super::*;

    fn told(stage: Stage, code: Code, url: &str) -> String {
        let failure = Failure::new(stage, Side::Us, code).at(url);
        super::super::diagnose(&failure, &Answers::default()).to_string()
    }

    #[test]
    fn a_machine_without_loopback_is_told_which_module_it_lacks() {
        for (code, url, fix) in [
            (
                Code::CONNECT_TIMEOUT,
                "vsock:local:5000",
                "sudo modprobe vsock_loopback",
            ),
            (Code::CONNECT_NO_ROUTE, "vsock:3:5000", "guest-cid"),
            (
                Code::CONNECT_REFUSED,
                "vsock:host:1024",
                "netloom listen vsock:any:1024 --echo",
            ),
        ] {
            let told = told(Stage::Connect, code, url);
            assert!(told.contains(fix) && !told.contains("firewall"), "{told}");
        }
        let told = told(
            Stage::Create,
            Code::CREATE_FAMILY_UNSUPPORTED,
            "vsock:host:1",
        );
        assert!(told.contains("modprobe vsock\n"), "{told}");
    }

    #[test]
    fn a_port_is_no_socket_file() {
        for (code, fix) in [
            (Code::CONNECT_NO_SUCH_PATH, "ls /sys/class/tty"),
            (Code::CONNECT_DENIED_PATH, "ls -l '/dev/tty S0'"),
            (Code::FD_NOT_USABLE, "stty -F '/dev/tty S0' -a"),
        ] {
            let told = told(Stage::Create, code, "serial:/dev/tty S0,baud=9600");
            assert!(told.contains(fix) && !told.contains("ss -xl"), "{told}");
        }
    }
}
