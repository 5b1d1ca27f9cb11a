//! The failures that only FTP can tell.

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
    DATA_UNREACHABLE = "ftp.data-unreachable", Greet, "the server names an address for data that cannot be reached";
}
