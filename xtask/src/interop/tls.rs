//! Area `tls`: sslyze scans our server, nginx's TLS server answers our client,
//! and nginx's TLS client dials our server.

use super::peer::{End, payload, talk};
use crate::Outcome;
use crate::bench::server::{Running, port};
use crate::nginx::{Folder, Nginx, Pair, certificate, in_option};
use crate::peers;
use crate::run::{command, read};
use serde_json::Value;
use std::fs;
use std::path::Path;

const PAYLOAD: usize = 16 * 1024 * 1024;

pub(super) fn area(netloom: &Path) -> Outcome {
    let folder = Folder::new("interop-tls")?;
    let pair = certificate(folder.path())?;
    let bytes = payload(PAYLOAD, false);
    let mut problems = Vec::new();
    let mut tell = |title: &str, outcome: Outcome<String>| match outcome {
        Ok(how) => println!("{title}: {how}"),
        Err(problem) => {
            println!("{title}: {problem}");
            problems.push(title.to_owned());
        }
    };
    tell("sslyze → netloom", scanned(netloom, folder.path()));
    for version in ["TLSv1.2", "TLSv1.3"] {
        let folder = folder.path();
        let title = format!("netloom → nginx {version}");
        let outcome = nginx_serves(netloom, folder, &pair, version, &bytes);
        tell(&title, outcome);
        let title = format!("nginx {version} → netloom");
        let outcome = nginx_dials(netloom, folder, &pair, version, &bytes);
        tell(&title, outcome);
    }
    if problems.is_empty() {
        println!("tls: every scan and talk went well");
        Ok(())
    } else {
        Err(format!("tls: {} failed", problems.join(", ")))
    }
}

fn echo(netloom: &Path, endpoint: &str) -> Outcome<Running> {
    Running::start(command(netloom).args(["listen", endpoint, "--echo"]))
        .map_err(|e| format!("netloom listen {endpoint} --echo: {e}"))
}

/// Sends all through `netloom connect` and compares what comes back.
fn connected(netloom: &Path, endpoint: &str, bytes: &[u8]) -> Outcome<String> {
    let time = talk(
        command(netloom).args(["connect", endpoint]),
        bytes,
        End::Itself,
    )?;
    Ok(format!("16 MiB in {:.2} s", time.as_secs_f64()))
}

/// Our client, nginx with TLS, and our plain echo behind it. nginx closes its
/// side when it has passed on the echo's end.
fn nginx_serves(
    netloom: &Path,
    folder: &Path,
    pair: &Pair,
    version: &str,
    bytes: &[u8],
) -> Outcome<String> {
    let behind = echo(netloom, "tcp://127.0.0.1:0")?;
    let nginx = Nginx::start(
        folder,
        true,
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols {version}; \
             proxy_half_close on; proxy_pass {};",
            pair.cert.display(),
            pair.key.display(),
            behind.address()?
        ),
    )?;
    let ca = in_option(&pair.cert);
    let endpoint = format!("tls://{},ca={ca},ca-only", nginx.address);
    connected(netloom, &endpoint, bytes)
}

/// Our plain client, nginx that goes on with TLS and checks who answers, and
/// our TLS echo.
fn nginx_dials(
    netloom: &Path,
    folder: &Path,
    pair: &Pair,
    version: &str,
    bytes: &[u8],
) -> Outcome<String> {
    let (cert, key) = (in_option(&pair.cert), in_option(&pair.key));
    let server = echo(netloom, &format!("tls://127.0.0.1:0,cert={cert},key={key}"))?;
    let nginx = Nginx::start(
        folder,
        false,
        &format!(
            "proxy_ssl on; proxy_ssl_protocols {version}; proxy_ssl_verify on; \
             proxy_ssl_trusted_certificate {}; proxy_ssl_name localhost; \
             proxy_ssl_server_name on; proxy_half_close on; proxy_pass {};",
            pair.cert.display(),
            server.address()?
        ),
    )?;
    connected(netloom, &format!("tcp://{}", nginx.address), bytes)
}

/// What is looked for: all but the certificate, which signs itself here, and HTTP.
const SCANS: &[&str] = &[
    "--sslv2",
    "--sslv3",
    "--tlsv1",
    "--tlsv1_1",
    "--tlsv1_2",
    "--tlsv1_3",
    "--compression",
    "--early_data",
    "--ems",
    "--fallback",
    "--heartbleed",
    "--openssl_ccs",
    "--reneg",
    "--robot",
];

fn scanned(netloom: &Path, folder: &Path) -> Outcome<String> {
    let server = echo(netloom, "tls://127.0.0.1:0,cert=auto")?;
    let port = port(&server.place).ok_or_else(|| format!("no port in {:?}", server.place))?;
    let out = folder.join("sslyze.json");
    read(
        command(peers::python()?)
            .args(["-m", "sslyze", "--quiet", "--mozilla_config=disable"])
            .args(SCANS)
            .arg(format!("--json_out={}", out.display()))
            .arg(format!("127.0.0.1:{port}")),
    )?;
    let text = fs::read_to_string(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let told: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let findings = findings(&told["server_scan_results"][0]["scan_result"]);
    if findings.is_empty() {
        Ok("TLS 1.2 and 1.3 with forward secrecy, and nothing of what it looks for".to_owned())
    } else {
        Err(findings.join("; "))
    }
}

/// What a scan says that it should not. What it did not say counts too.
fn findings(scan: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut wanted = |name: &str, field: &str, value: Value| {
        let found = &scan[name]["result"][field];
        if *found != value {
            findings.push(format!("{name}: {field} is {found}"));
        }
    };
    for (version, spoken) in [
        ("ssl_2_0", false),
        ("ssl_3_0", false),
        ("tls_1_0", false),
        ("tls_1_1", false),
        ("tls_1_2", true),
        ("tls_1_3", true),
    ] {
        let name = format!("{version}_cipher_suites");
        wanted(&name, "is_tls_version_supported", spoken.into());
    }
    for (name, field, value) in [
        ("heartbleed", "is_vulnerable_to_heartbleed", false),
        (
            "openssl_ccs_injection",
            "is_vulnerable_to_ccs_injection",
            false,
        ),
        (
            "session_renegotiation",
            "is_vulnerable_to_client_renegotiation_dos",
            false,
        ),
        (
            "session_renegotiation",
            "supports_secure_renegotiation",
            true,
        ),
        ("tls_compression", "supports_compression", false),
        ("tls_1_3_early_data", "supports_early_data", false),
        ("tls_extended_master_secret", "supports_ems_extension", true),
        ("tls_fallback_scsv", "supports_fallback_scsv", true),
    ] {
        wanted(name, field, value.into());
    }
    wanted(
        "robot",
        "robot_result",
        "NOT_VULNERABLE_RSA_NOT_SUPPORTED".into(),
    );
    for name in ["tls_1_2_cipher_suites", "tls_1_3_cipher_suites"] {
        let accepted = scan[name]["result"]["accepted_cipher_suites"].as_array();
        for suite in accepted.into_iter().flatten() {
            if suite["ephemeral_key"].is_null() {
                let suite = &suite["cipher_suite"]["name"];
                findings.push(format!("{suite} has no forward secrecy"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::findings;
    use serde_json::json;

    #[test]
    fn what_a_scan_finds_or_leaves_out_is_told() {
        // A scan that says nothing says nothing good.
        assert_eq!(findings(&json!({})).len(), 15);
        let weak = json!({
            "heartbleed": {"result": {"is_vulnerable_to_heartbleed": true}},
            "tls_1_2_cipher_suites": {"result": {
                "is_tls_version_supported": true,
                "accepted_cipher_suites": [
                    {"cipher_suite": {"name": "TLS_RSA_WITH_NULL_SHA"}, "ephemeral_key": null},
                    {"cipher_suite": {"name": "TLS_ECDHE"}, "ephemeral_key": {"size": 253}},
                ],
            }},
        });
        let told = findings(&weak);
        assert!(told.contains(&"heartbleed: is_vulnerable_to_heartbleed is true".to_owned()));
        assert!(told.contains(&"\"TLS_RSA_WITH_NULL_SHA\" has no forward secrecy".to_owned()));
        assert_eq!(told.len(), 15);
    }
}
