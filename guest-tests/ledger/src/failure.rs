//! From the errors of each layer to the one failure that `run` reports.

use alloc::string::ToString;

use crate::imports::{BuildError, CollectorFailure, Error, Failure, Malformed};
use crate::lexer::SyntaxError;

/// Names the step in which the collector gave an error.
pub trait During<T> {
    /// `step` completes the sentence "while …".
    fn during(self, step: &'static str) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|reason| {
            Failure::Collector(CollectorFailure { reason, during: step.to_string() })
        })
    }
}

impl<T> During<T> for Result<T, BuildError> {
    fn during(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| error.reason).during(step)
    }
}

impl From<SyntaxError> for Failure {
    fn from(error: SyntaxError) -> Failure {
        Failure::Malformed(Malformed { at: error.at, message: error.fault.to_string() })
    }
}
