//! Trace context (W3C Trace Context, level 1): taken from the request, passed on to the backend.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const STATE_MAX: usize = 512;

#[derive(Clone, Debug)]
pub struct Trace {
    trace_id: [u8; 32],
    parent_id: [u8; 16],
    flags: [u8; 2],
    state: Option<HeaderValue>,
}

impl Trace {
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let parent = headers.get(TRACEPARENT)?.to_str().ok()?;
        let state = headers.get(TRACESTATE).and_then(|value| value.to_str().ok());
        Self::parse(parent, state)
    }

    /// Reads `00-{trace id}-{parent id}-{flags}`; anything else is no trace.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.trim().split('-');
        let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        if !known || ![version, trace_id, parent_id, flags].into_iter().all(lower_hex) {
            return None;
        }
        let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        if zero(trace_id) || zero(parent_id) {
            return None;
        }
        Some(Self {
            trace_id: trace_id.as_bytes().try_into().ok()?,
            parent_id: parent_id.as_bytes().try_into().ok()?,
            flags: flags.as_bytes().try_into().ok()?,
            state: state
                .filter(|state| state.len() <= STATE_MAX)
                .and_then(|state| HeaderValue::from_str(state).ok()),
        })
    }

    /// The same trace with a new parent: the gateway's own part of it.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut next = self.clone();
        let fresh = format!("{:016x}", rand::random::<u64>() | 1);
        next.parent_id.copy_from_slice(fresh.as_bytes());
        next
    }

    pub fn write(&self, headers: &mut HeaderMap) {
        let text = format!("00-{}-{}-{}", self.trace_id(), ascii(&self.parent_id), ascii(&self.flags));
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }

    /// As the spans' library has it: somebody else's span, which ours lies below.
    pub fn context(&self) -> Option<SpanContext> {
        let flags = u8::from_str_radix(ascii(&self.flags), 16).ok()?;
        let state = self
            .state
            .as_ref()
            .and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok());
        Some(SpanContext::new(
            TraceId::from_hex(self.trace_id()).ok()?,
            SpanId::from_hex(ascii(&self.parent_id)).ok()?,
            TraceFlags::new(flags),
            true,
            state.unwrap_or_default(),
        ))
    }

    /// The trace whose parent is a span of ours. `tracestate` stays the caller's.
    pub fn of(span: &SpanContext, caller: Option<&Self>) -> Self {
        let (mut trace_id, mut parent_id, mut flags) = ([b'0'; 32], [b'0'; 16], [b'0'; 2]);
        let write = |into: &mut [u8], text: String| {
            if text.len() == into.len() {
                into.copy_from_slice(text.as_bytes());
            }
        };
        write(&mut trace_id, span.trace_id().to_string());
        write(&mut parent_id, span.span_id().to_string());
        write(&mut flags, format!("{:02x}", span.trace_flags().to_u8()));
        Self {
            trace_id,
            parent_id,
            flags,
            state: caller.and_then(|caller| caller.state.clone()),
        }
    }

    pub fn trace_id(&self) -> &str {
        ascii(&self.trace_id)
    }
}

/// Checked when it was parsed: hexadecimal digits.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_passed_on_with_a_new_parent() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        Trace::parse(given, Some("vendor=1")).unwrap().next().write(&mut headers);
        let passed = headers["traceparent"].to_str().unwrap();
        assert!(passed.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && passed.ends_with("-01"));
        assert_ne!(passed, given);
        assert_eq!(headers["tracestate"], "vendor=1");
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for wrong in [
            "",
            "00",
            "00-0-0-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(Trace::parse(wrong, None).is_none(), "{wrong}");
        }
    }
}
