//! Client addresses. What a proxy says about the origin of a request counts only from configured proxies: any client
//! can write a header.

use crate::config::Network;
use axum::http::{Extensions, HeaderMap, HeaderName};
use std::net::{IpAddr, Ipv4Addr};

/// The other end of a request's connection; the accepting loop puts it among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that a request was sent from: the peer's, or behind proxies of ours the last one that is none of them.
pub fn client_address(extensions: &Extensions, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    // Without a peer all callers share one address, and its limits.
    let peer = extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.to_canonical());
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    let mut nearest = peer;
    let lines: Vec<&str> =
        headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_proxy(&nearest) {
            break;
        }
        // What a proxy of ours wrote that is no address ends the search: nothing left of it can be believed.
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::{Peer, client_address};
    use crate::config::Network;
    use axum::http::{Extensions, HeaderMap, HeaderValue};

    fn from(peer: &str, forwarded: &[&'static str], proxies: &[&str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let proxies: Vec<Network> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        client_address(&extensions, &headers, &proxies).to_string()
    }

    #[test]
    fn forwarded_header_of_untrusted_peer_is_ignored() {
        assert_eq!(from("203.0.113.7", &["198.51.100.1"], &[]), "203.0.113.7");
        assert_eq!(from("203.0.113.7", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.7");
    }

    #[test]
    fn client_is_the_last_untrusted_hop() {
        let ours = &["10.0.0.0/8", "fd00::/8"];
        assert_eq!(from("10.0.0.1", &["198.51.100.1"], ours), "198.51.100.1");
        assert_eq!(
            from("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], ours),
            "198.51.100.1",
            "what the client wrote itself stands further left"
        );
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "198.51.100.1"], ours), "198.51.100.1", "several lines are one list");
        assert_eq!(from("::ffff:10.0.0.1", &["2001:db8::1"], ours), "2001:db8::1");
    }

    #[test]
    fn malformed_hop_ends_the_search() {
        assert_eq!(from("10.0.0.1", &["198.51.100.1, unknown"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }
}
