//! The failures that only WebSocket can tell.

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
    UPGRADE_REFUSED = "greet.upgrade-refused", Greet, "the answer to the request for a WebSocket opened none";
}
