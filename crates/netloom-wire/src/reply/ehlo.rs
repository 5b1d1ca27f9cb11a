//! What an SMTP server can, as its reply to EHLO says (RFC 5321 §4.1.1.1).

use super::Reply;

/// One extension: `SIZE 10240000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyword {
    /// Its name, in capitals.
    pub name: String,
    /// What follows it.
    pub parameters: Vec<String>,
}

impl Reply {
    /// The extensions of a reply to EHLO: every line after the first. What is no
    /// keyword of RFC 5321 is left out.
    ///
    /// ```
    /// use netloom_wire::reply::Reply;
    ///
    /// let lines = ["mx.example.org", "SIZE 1000", "AUTH=LOGIN"];
    /// let reply = Reply::new(250, lines.map(|l| l.as_bytes().to_vec()).to_vec()).unwrap();
    /// let names: Vec<String> = reply.keywords().map(|keyword| keyword.name).collect();
    /// assert_eq!(names, ["SIZE", "AUTH"]);
    /// ```
    pub fn keywords(&self) -> impl Iterator<Item = Keyword> {
        self.lines().skip(1).filter_map(keyword)
    }
}

fn keyword(line: &[u8]) -> Option<Keyword> {
    let line = String::from_utf8_lossy(line);
    // Before RFC 2554 servers wrote `AUTH=LOGIN`, and some still do.
    let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    let name = words.next()?;
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| Keyword {
        name: name.to_ascii_uppercase(),
        parameters: words.map(str::to_owned).collect(),
    })
}
