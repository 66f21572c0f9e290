//! Bodies: read whole, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::error::{Error, Kind, Result};

/// The largest body that is read.
pub const MAX: usize = 4 * 1024 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// # Errors
/// [`Kind::TooLarge`], or [`Kind::Malformed`] for a body that was cut off or did not come in time.
pub async fn read(body: Body) -> Result<Bytes> {
    match tokio::time::timeout(TIME_LIMIT, Limited::new(body, MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Error::new(Kind::Malformed, "The body was cut off")),
        Err(_) => Err(Error::new(
            Kind::Malformed,
            format!("The body did not come within {} s", TIME_LIMIT.as_secs()),
        )),
    }
}

/// Refuses by its announced length a body that would be too large, before any of it is read.
pub fn check_length(headers: &http::HeaderMap) -> Result<()> {
    let announced = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    match announced {
        Some(length) if length > MAX as u64 => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, format!("The body is larger than {} MiB", MAX / 1024 / 1024))
}
