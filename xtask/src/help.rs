//! The command line of a command that has no options but `--help`.

use anyhow::Result;
use lexopt::{Arg, Parser};

/// Prints the help if the command line asks for it, and gives whether it did. Anything else on
/// the command line is an error.
pub fn is_all_that_is_asked(mut parser: Parser, text: &str) -> Result<bool> {
    match parser.next()? {
        None => Ok(false),
        Some(Arg::Long("help") | Arg::Short('h')) => {
            print!("{text}");
            Ok(true)
        }
        Some(other) => Err(other.unexpected().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<bool> {
        is_all_that_is_asked(Parser::from_args(words), "")
    }

    #[test]
    fn help_is_asked_for_or_nothing_is() {
        assert!(!asked(&[]).unwrap());
        assert!(asked(&["--help"]).unwrap());
        assert!(asked(&["-h"]).unwrap());
        assert!(asked(&["--fast"]).is_err());
        assert!(asked(&["file"]).is_err());
    }
}
