//! Through what this program dials: the proxies that were named for it, those
//! of the environment, and those that have names in the file.

use std::io::Read;
use std::path::{Path, PathBuf};

use netloom_base::complaint::nearest;
use netloom_base::failure::Fact;
use netloom_base::{
    Code, Complaint, Endpoint, Failure, SettingError, Settings, Side, Stage, settings,
};
use netloom_transport::via::{Environment, Names, Resolve};

use crate::load::load_proxies;
use crate::plan::ProxyPlan;

/// The file whose `[via.NAME]` tables give proxies names.
const FILE: &str = "netloom.toml";

/// The longest file that is looked through.
const LARGEST: u64 = 1 << 20;

/// Through what to dial what says nothing of it itself.
#[derive(Debug, Clone)]
pub struct Ways {
    /// Proxies by address or name, the first dialled first; `direct` for none.
    pub given: Vec<String>,
    /// What the environment says; by default nothing.
    pub environment: Environment,
    /// Where proxies get their names.
    pub file: PathBuf,
}

impl Default for Ways {
    fn default() -> Self {
        Ways {
            given: Vec::new(),
            environment: Environment::default(),
            file: FILE.into(),
        }
    }
}

settings! {
    /// What a `[via.NAME]` table says.
    pub struct ProxySettings {
        /// the proxy's address, or a list of them of which the first is dialled first
        url: Vec<String>,
        /// a file whose first line is the password
        password_file: Option<PathBuf>,
        /// the variable of the environment that holds the password
        password_env: Option<String>,
        /// where the target's name is resolved: there, by the proxy, or here
        resolve: Option<Resolve>,
    }
}

/// The proxies that a table names.
pub(crate) fn endpoints(settings: &Settings) -> Result<Vec<Endpoint>, Vec<SettingError>> {
    let read = ProxySettings::read(settings)?;
    let span = settings.last("url").and_then(|s| s.span.clone());
    let wrong = |message: String| vec![SettingError::new("url", span.clone(), message)];
    if read.url.is_empty() {
        return Err(wrong("`url` is missing: the proxy's address".to_owned()));
    }
    let parsed = read.url.iter().map(|url| url.parse::<Endpoint>());
    let parsed: Result<Vec<Endpoint>, _> = parsed.collect();
    let mut hops = parsed.map_err(|error| wrong(error.complaint().message.clone()))?;
    let own = read.write();
    let more = own.iter().filter(|setting| setting.key != "url");
    for setting in more {
        let [hop] = &mut hops[..] else {
            return Err(wrong(format!(
                "`{}` is of one proxy; of several, it stands in the address it belongs to",
                setting.key
            )));
        };
        *hop = hop.with_option(&setting.key, Some(&setting.value.to_string()));
    }
    Ok(hops)
}

/// The names that a file gives.
pub(crate) struct FileNames(pub(crate) PathBuf);

impl Names for FileNames {
    fn find(&self, name: &str) -> Result<Vec<Endpoint>, Failure> {
        let known = read(&self.0)?;
        if let Some(found) = known.iter().find(|proxy| proxy.name == name) {
            return endpoints(&found.settings).map_err(|errors| {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                failure(format!("[via.{name}] cannot be read: {}", told.join("; ")))
            });
        }
        let file = self.0.display();
        let near = nearest(name, known.iter().map(|proxy| &*proxy.name));
        Err(failure(match near {
            Some(near) => format!("no proxy is called `{name}` in {file}, nearest: {near}"),
            None if known.is_empty() => format!(
                "no proxy is called `{name}`: there is no [via.{name}] in {file}; an address looks like socks5://proxy:1080"
            ),
            None => format!("no proxy is called `{name}`: there is no [via.{name}] in {file}"),
        }))
    }
}

/// What the file names; nothing where there is no file.
fn read(path: &Path) -> Result<Vec<ProxyPlan>, Failure> {
    let mut text = String::new();
    match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened
            .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
            .map_err(|error| {
                failure(format!(
                    "{} cannot be read: {}",
                    path.display(),
                    error.kind()
                ))
            })?,
    };
    load_proxies(&path.display().to_string(), &text).map_err(|complaints| in_file(&complaints))
}

fn in_file(complaints: &[Complaint]) -> Failure {
    let first = complaints.first();
    let message = first.map_or("the file cannot be read", |complaint| &complaint.message);
    let failure =
        Failure::new(Stage::Parse, Side::Us, Code::PARSE_CONFIG).message(message.to_owned());
    match first {
        Some(complaint) => failure.fact(Fact::Complaint(Box::new(complaint.clone()))),
        None => failure,
    }
}

fn failure(message: String) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message)
}
