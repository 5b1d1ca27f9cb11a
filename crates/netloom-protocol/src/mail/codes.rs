//! The failures that only mail can tell.

use netloom_base::{Code, CodeCard, Stage};

macro_rules! codes {
    ($( $constant:ident = $name:literal, $stage:ident, $sentence:literal; )*) => {
        $( #[doc = $sentence] pub const $constant: Code = Code::new($name, Stage::$stage, $sentence); )*

        /// The same as rows of the catalogue.
        pub const CODES: &[CodeCard] = &[
            $( CodeCard { code: $name, stage: Stage::$stage, sentence: $sentence } ),*
        ];
    };
}

codes! {
    PORT_BLOCKED = "smtp.port-blocked", Connect, "port 25 is blocked on the way, and another port for mail answers";
}
