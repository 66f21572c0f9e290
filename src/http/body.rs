//! Bodies: read whole, within a size and a time.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::{
    auth::{Caller, authenticate},
    error::{Error, Kind, Result},
    freshness::POLL,
    state::State,
};

/// The largest body that is read.
pub const MAX: usize = 4 * 1024 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How much of a refused body is read and thrown away, and for how long: a connection that is closed over unread bytes is
/// reset, and the client never learns why.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(5);

/// Bodies up to this length need no place among those that are being read.
const SMALL: u64 = 64 * 1024;

/// Reads a caller's body. A large one takes a place among the few that its tenant may send at once; and after a slow one the
/// caller is asked for anew, because he may have been revoked meanwhile.
///
/// # Errors
/// As [`read`], and as [`authenticate`] for a caller who no longer is one.
pub async fn read_from(state: &State, caller: Caller, client: IpAddr, headers: &HeaderMap, body: Body) -> Result<(Caller, Bytes)> {
    let small = announced(headers).is_some_and(|length| length <= SMALL);
    let _place = match caller.tenant().filter(|_| !small) {
        Some(tenant) => Some(tenant.limits.place_for_body().await?),
        None => None,
    };
    let begun = Instant::now();
    let bytes = read(headers, body, MAX).await?;
    if begun.elapsed() < POLL {
        return Ok((caller, bytes));
    }
    Ok((authenticate(state, headers, client).await?, bytes))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most so many bytes.
///
/// # Errors
/// [`Kind::TooLarge`], or [`Kind::Malformed`] for a body that was cut off or did not come in time.
pub async fn read(headers: &HeaderMap, mut body: Body, most: usize) -> Result<Bytes> {
    if announced(headers).is_some_and(|length| length > most as u64) {
        discard(body).await;
        return Err(too_large(most));
    }
    match tokio::time::timeout(TIME_LIMIT, Limited::new(&mut body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Err(too_large(most))
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

fn too_large(most: usize) -> Error {
    let (number, unit) = if most >= 1024 * 1024 {
        (most / 1024 / 1024, "MiB")
    } else {
        (most / 1024, "KiB")
    };
    Error::new(Kind::TooLarge, format!("The body is larger than {number} {unit}"))
}
