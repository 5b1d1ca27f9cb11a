//! A crate depends only on crates of the floors below it.

use crate::metadata::{list, text};
use serde_json::Value;

/// What is wrong, a line each. `metadata` is of our own packages.
pub(crate) fn check(metadata: &Value, order: &[String]) -> Vec<String> {
    let floor = |name: &str| order.iter().position(|known| known == name);
    let mut wrong = Vec::new();
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        let Some(own) = floor(name) else {
            if name.starts_with("netloom") && is_published(package) {
                wrong.push(format!("{name} is on no floor: name it in floors.toml"));
            }
            continue;
        };
        for dependency in list(package, "dependencies") {
            let on = text(dependency, "name");
            if floor(on).is_some_and(|below| below >= own) {
                wrong.push(format!("{name} depends on {on}, which is not below it"));
            }
        }
    }
    wrong
}

/// `publish = false` comes as an empty list.
pub(crate) fn is_published(package: &Value) -> bool {
    package["publish"]
        .as_array()
        .is_none_or(|to| !to.is_empty())
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::json;

    #[test]
    fn a_crate_that_looks_up_is_found_and_one_that_looks_down_is_not() {
        let order = ["netloom-base", "netloom-wire"].map(str::to_owned);
        let metadata = json!({"packages": [
            {"name": "netloom-base", "dependencies": [{"name": "netloom-wire"}, {"name": "libc"}]},
            {"name": "netloom-wire", "dependencies": [{"name": "netloom-base"}]},
            {"name": "netloom-attic", "dependencies": []},
            {"name": "netloom-floor", "publish": [], "dependencies": [{"name": "netloom-wire"}]},
        ]});
        assert_eq!(
            check(&metadata, &order),
            [
                "netloom-base depends on netloom-wire, which is not below it",
                "netloom-attic is on no floor: name it in floors.toml",
            ]
        );
    }
}
