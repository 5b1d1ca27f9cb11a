//! Which licences reach the people who run or build on Netloom.
//!
//! What a published crate links is *shipped* and must be under a licence that
//! `floors.toml` allows. What only a build script, a macro or a test uses is
//! not shipped; other licences there are told and are no error.

mod spdx;

use crate::floors::Floors;
use crate::metadata::{self, list, text};
use crate::{Outcome, layering};
use serde_json::Value;
use spdx::Licence;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    crate::options::Options::new(args).words()?;
    let floors = Floors::load()?;
    let metadata = metadata::all()?;
    let members: BTreeSet<&str> = list(&metadata, "workspace_members")
        .filter_map(Value::as_str)
        .collect();
    let mut wrong = layering::check(&metadata, &floors.order);
    let shipped = shipped(&metadata, &members);
    for package in list(&metadata, "packages") {
        let (id, name) = (text(package, "id"), text(package, "name"));
        let expression = text(package, "license");
        let allowed = Licence::parse(expression).is_ok_and(|licence| {
            licence.allowed(&|one| {
                floors.allowed.iter().any(|known| known == one)
                    || floors
                        .exceptions
                        .iter()
                        .any(|except| except.package == name && except.licence == one)
            })
        });
        if allowed {
            continue;
        }
        let told = if expression.is_empty() {
            "no licence in its manifest"
        } else {
            expression
        };
        if shipped.contains(id) {
            wrong.push(format!("{name} is under {told}, and we ship it"));
        } else {
            println!("{name} is under {told}: used to build or test, not shipped");
        }
    }
    println!(
        "{} crates shipped, {} more to build and test",
        shipped.len(),
        list(&metadata, "packages").count() - shipped.len()
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// The packages that published members link: normal dependencies, not through
/// a macro.
fn shipped<'a>(metadata: &'a Value, members: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
        .map(|package| (text(package, "id"), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"], "nodes")
        .map(|node| (text(node, "id"), node))
        .collect();
    let mut next: Vec<&str> = packages
        .iter()
        .filter(|(id, package)| members.contains(*id) && layering::is_published(package))
        .map(|(id, _)| *id)
        .collect();
    let mut shipped = BTreeSet::new();
    while let Some(id) = next.pop() {
        if packages.get(id).is_some_and(|package| is_macro(package)) || !shipped.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        for dependency in list(node, "deps") {
            if list(dependency, "dep_kinds").any(|kind| kind["kind"].is_null()) {
                next.push(text(dependency, "pkg"));
            }
        }
    }
    shipped
}

fn is_macro(package: &Value) -> bool {
    list(package, "targets").any(|target| list(target, "kind").any(|kind| kind == "proc-macro"))
}

#[cfg(test)]
mod tests {
    use super::shipped;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn package(id: &str, kind: &str) -> Value {
        json!({"id": id, "targets": [{"kind": [kind]}]})
    }

    fn needs(on: &str, kind: Option<&str>) -> Value {
        json!({"pkg": on, "dep_kinds": [{"kind": kind}]})
    }

    #[test]
    fn macros_build_scripts_and_tests_are_not_shipped() {
        let mut chores = package("chores", "bin");
        chores["publish"] = json!([]);
        let metadata = json!({
            "packages": [
                package("ours", "lib"), package("linked", "lib"), package("derive", "proc-macro"),
                package("syntax", "lib"), package("cc", "lib"), package("insta", "lib"), chores,
                package("json", "lib"),
            ],
            "resolve": {"nodes": [
                {"id": "ours", "deps": [needs("linked", None), needs("derive", None),
                    needs("cc", Some("build")), needs("insta", Some("dev"))]},
                {"id": "derive", "deps": [needs("syntax", None)]},
                {"id": "chores", "deps": [needs("json", None)]},
            ]},
        });
        let members = BTreeSet::from(["ours", "chores"]);
        assert_eq!(
            shipped(&metadata, &members),
            BTreeSet::from(["ours", "linked"])
        );
    }
}
