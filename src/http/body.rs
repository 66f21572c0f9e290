//! Bodies: read whole, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::error::{Error, Kind, Result};

/// The largest body that is read.
pub const MAX: usize = 4 * 1024 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How much of a refused body is read and thrown away, and for how long: a connection that is closed over unread bytes is
/// reset, and the client never learns why.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(5);

/// # Errors
/// [`Kind::TooLarge`], or [`Kind::Malformed`] for a body that was cut off or did not come in time.
pub async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX as u64) {
        discard(body).await;
        return Err(too_large());
    }
    match tokio::time::timeout(TIME_LIMIT, Limited::new(&mut body, MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Err(too_large())
        }
        Ok(Err(_)) => Err(Error::new(Kind::Malformed, "The body was cut off")),
        Err(_) => Err(Error::new(
            Kind::Malformed,
            format!("The body did not come within {} s", TIME_LIMIT.as_secs()),
        )),
    }
}

async fn discard(mut body: Body) {
    let rest = async {
        let mut left = DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // What is still to come then is cut off: it was asked for by nobody.
    let _ = tokio::time::timeout(DISCARDING, rest).await;
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, format!("The body is larger than {} MiB", MAX / 1024 / 1024))
}
