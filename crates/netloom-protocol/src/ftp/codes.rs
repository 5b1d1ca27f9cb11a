//! The failures that only FTP can tell.

netloom_base::codes! {
    DATA_UNREACHABLE = "ftp.data-unreachable", Greet, "the server names an address for data that cannot be reached";
}
