//! Packs the catalogue's pages: every file of `pages/LANGUAGE/`, in the order
//! of their names, one after the other and deflated together.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    for language in ["en", "zh"] {
        let folder = Path::new("pages").join(language);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                println!("cargo::rerun-if-changed={}", path.display());
                paths.push(path);
            }
        }
        paths.sort();
        let mut all = String::new();
        for path in paths {
            // A page names itself in its first line, and ends with a zero byte.
            all += &fs::read_to_string(&path)?.replace("\r\n", "\n");
            all.push('\0');
        }
        let packed = miniz_oxide::deflate::compress_to_vec(all.as_bytes(), 10);
        fs::write(Path::new(&out).join(language), packed)?;
    }
    Ok(())
}
