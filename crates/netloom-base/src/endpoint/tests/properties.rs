//! What holds for every endpoint.

use std::fmt::Write;

use proptest::prelude::*;

use super::{complaints, schemes};
use crate::endpoint::{Endpoint, EndpointSet, Role};

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("*".to_owned()),
        "[a-z_][a-z0-9_-]{0,8}(\\.[a-z]{1,5}){0,3}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        (any::<std::net::Ipv6Addr>(), "(%(25)?[a-z0-9]{1,6})?")
            .prop_map(|(ip, zone)| format!("[{ip}{zone}]")),
        "[äöüßéñ]{1,5}\\.example",
    ]
}

fn options() -> impl Strategy<Value = String> {
    prop::collection::vec(
        "[a-zA-Z][a-z0-9_-]{0,8}(=([a-z0-9:@&=+.~'\" ü-]|%2C|%25|%2F|%20){1,12})?",
        0..4,
    )
    .prop_map(|all| {
        let all = all.iter().map(|option| option.replace(' ', "%20"));
        all.fold(String::new(), |text, option| text + "," + &option)
    })
}

fn ports() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        any::<u16>().prop_map(|port| format!(":{port}")),
        (1u16..30000, 0u16..9, 40000u16..)
            .prop_map(|(first, more, last)| format!(":{first}-{},{last}", first + more)),
    ]
}

fn with_authority() -> impl Strategy<Value = String> {
    let front = "([a-z][a-z0-9.-]{0,4}\\+){0,2}x[a-z0-9]{0,4}://([a-z%]{0,3}(:[a-z!$]{1,6})?@)?";
    let back = "(/([a-z0-9/.@:,ü-]|%[0-9a-f]{2}){0,12})?(\\?([a-z0-9/?&=,]|%41){0,12})?";
    (front, host(), ports(), options(), back).prop_map(|(front, host, ports, options, back)| {
        let front = front.replace("//@", "//").replace('%', "%25");
        format!("{front}{host}{ports}{options}{back}")
    })
}

fn opaque() -> impl Strategy<Value = String> {
    let text =
        "(unix|exec|tls\\+fd|word|magnet):([a-z0-9/?&=.'\"\\\\ -]|%2C|%25|%27|%09|%c3%bc|ü){1,20}";
    (text, options()).prop_map(|(text, options)| format!("{text}{options}"))
}

fn reads_back(text: &str) -> Result<(), TestCaseError> {
    let Ok(endpoint) = text.parse::<Endpoint>() else {
        return Ok(());
    };
    let shown = endpoint.to_string();
    match shown.parse::<Endpoint>() {
        Ok(again) => {
            prop_assert_eq!(again.to_string(), &*shown, "{}", text);
            prop_assert_eq!(again.opaque(), endpoint.opaque(), "{}", text);
            prop_assert_eq!(again.host(), endpoint.host(), "{}", text);
            if endpoint
                .options()
                .iter()
                .all(|o| !matches!(o.value, crate::Value::Hidden(_)))
            {
                prop_assert_eq!(&again, &endpoint.without_password(), "{}", text);
            }
        }
        Err(error) => prop_assert!(false, "{text} printed as {shown}: {error}"),
    }
    Ok(())
}

proptest! {
    // A text that fails becomes a row of a table, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_reads_back(text in with_authority()) {
        // A value that is a lone dot before a path is told apart on purpose.
        let dots = ["=./", "=../", "=~/"].iter().any(|start| text.contains(start));
        if let Err(error) = text.parse::<Endpoint>() {
            prop_assert!(dots, "{}", error);
        }
        reads_back(&text)?;
    }

    #[test]
    fn an_opaque_text_reads_back(text in opaque()) {
        reads_back(&text)?;
    }

    #[test]
    fn any_opaque_text_can_be_built(scheme in "unix|fd|word|fe80", text in "[^\0]{1,20}|[0-9a-f:,/-]{1,9}") {
        let built = Endpoint::from_opaque(&scheme, &*text);
        match built.to_string().parse::<Endpoint>() {
            Ok(again) => prop_assert_eq!(again, built),
            Err(error) => prop_assert!(false, "{built}: {error}"),
        }
    }

    #[test]
    fn any_option_can_be_built(key in "[a-z][a-z0-9-]{0,5}", value in "[^\0]{1,20}", path in "/?") {
        let built = format!("http://h{path}").parse::<Endpoint>().unwrap().with_option(&key, Some(&value));
        match built.to_string().parse::<Endpoint>() {
            Ok(again) => prop_assert_eq!(again, built),
            Err(error) => prop_assert!(false, "{built}: {error}"),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}|[a-z:/@,?%+*.0-9=\\[\\]'\"\\\\ #-]{0,40}|(tcp|tls|unix|exec|http)[:/]{1,3}[a-z:/@,?%+*.0-9=\\[\\]#-]{0,30}") {
        reads_back(&text)?;
        if let Err(error) = text.parse::<Endpoint>() {
            complaints::in_style(&error);
        } else if let Ok(endpoint) = text.parse::<Endpoint>() {
            for role in [Role::Dial, Role::Bind] {
                match schemes().stack(&endpoint, role) {
                    Ok(stack) => { let _ = write!(String::new(), "{stack}"); }
                    Err(error) => complaints::in_style(&error),
                }
            }
            if let Ok(set) = EndpointSet::try_from(endpoint) {
                prop_assert!(set.iter().count() <= EndpointSet::MAX);
            }
        }
    }

    #[test]
    fn no_complaint_tells_a_password(
        front in "|tcp|http|tls\\+tcp|unix",
        colon in "://|:|//|:/",
        before in "[,@/?#% a=:]{0,2}",
        after in "[,@/?#% a=:]{0,2}",
        end in "|:99999|:x|:80,a=|\\[|::1|/%|#|,b!|:80,from=a@b!",
    ) {
        let text = format!("{front}{colon}bob:{before}SwordFish{after}@host{end}");
        // A path or a command may be anything, and is shown.
        let shown = text.starts_with("unix:") && !text.starts_with("unix://");
        if shown {
            return Ok(());
        }
        if let Err(error) = text.parse::<Endpoint>() {
            prop_assert!(!error.to_string().contains("SwordFish"), "{}\n{}", text, error);
        }
    }
}
