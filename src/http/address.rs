//! Addresses: whose request it is behind proxies, and under which name the gateway was called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{Extensions, HeaderMap, Uri, header, uri::Authority};

use crate::state::State;

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The client's address: the peer's, or, where the peer is a proxy that the operator trusts, the last address in
/// `X-Forwarded-For` that is not such a proxy.
pub fn client(state: &State, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
    let peer = extensions
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| address.ip().to_canonical());
    let trusted = |address: &IpAddr| state.config.trusted_proxies.iter().any(|network| network.contains(address));
    if !trusted(&peer) {
        return peer;
    }
    let mut forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    while let Some(text) = forwarded.pop() {
        let text = text.trim();
        let parsed = text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
        // What a client wrote itself need not be an address: the last one that is counts.
        let Ok(address) = parsed else { break };
        client = address.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    client
}

/// Whether the `Host` is one of ours. Only a name can be bent to lead here, so that addresses always pass.
pub fn admits_host(state: &State, uri: &Uri, headers: &HeaderMap) -> bool {
    let named = match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<Authority>().ok()),
    };
    let Some(authority) = named else {
        return !headers.contains_key(header::HOST);
    };
    let host = authority.host();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    plain.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || state
            .config
            .public_url
            .as_ref()
            .and_then(|url| url.host_str())
            .is_some_and(|own| own.eq_ignore_ascii_case(host))
}
