//! Problems as gRPC statuses, with the time after which clients should try again.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::problem::Problem;

/// A problem as a status.
pub fn status(problem: Problem) -> Status {
    let code = problem.kind.code();
    let mut status = Status::new(code, problem.detail);
    let retryable = matches!(
        code,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded
    );
    if let Some(time) = problem.retry_after.filter(|_| retryable) {
        let time = MetadataValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        status.metadata_mut().insert("grpc-retry-pushback-ms", time);
    }
    status
}
