//! Values about callers: how much they may ask, which networks our proxies are in, which pages may read our answers.

use super::checks::Check;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// Longest window of a rate: a day.
const MAX_WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// Most entries of a list.
const MAX_ENTRIES: usize = 64;

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In how long.
    pub window: Duration,
}

/// `100/15m`, with `s`, `m` or `h`; `off` limits nothing.
pub(super) fn rate(text: &str) -> Check<Option<Rate>> {
    if text == "off" {
        return Ok(None);
    }
    let read = || {
        let (requests, window) = text.split_once('/')?;
        let (number, unit) = window.split_at_checked(window.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let window = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
        let fits = window > Duration::ZERO && window <= MAX_WINDOW;
        fits.then_some(Rate { requests: requests.parse().ok()?, window })
    };
    read().map(Some).ok_or_else(|| "is not a rate such as 100/15m (s, m or h, at most 24h), nor `off`".to_owned())
}

/// Addresses that begin alike (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Whether the address is in it. An IPv4 address written as IPv6 is taken for what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "lists something that is neither an address nor a network such as 10.0.0.0/8".to_owned();
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits =
            bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most).ok_or_else(wrong)?;
        Ok(Self { address, prefix_bits })
    }
}

fn entries(text: &str) -> Check<Vec<&str>> {
    let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.len() > MAX_ENTRIES { Err(format!("lists more than {MAX_ENTRIES}")) } else { Ok(entries) }
}

/// Networks, comma-separated.
pub(super) fn networks(text: &str) -> Check<Vec<Network>> {
    entries(text)?.into_iter().map(str::parse).collect()
}

/// Origins of pages, comma-separated, each as a browser writes it.
pub(super) fn origins(text: &str) -> Check<Vec<String>> {
    let origin = |entry: &str| {
        let url = Url::parse(entry).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let exact = url.map(|url| url.origin().ascii_serialization()).filter(|origin| origin == entry);
        exact.ok_or_else(|| {
            "lists something that is no origin such as https://app.example.com: scheme and host, no path, never `*`"
                .to_owned()
        })
    };
    entries(text)?.into_iter().map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::{Network, networks, origins, rate};

    #[test]
    fn rates_have_a_number_and_a_window() {
        let read = |text| rate(text).map(|rate| rate.map(|rate| (rate.requests.get(), rate.window.as_secs())));
        assert_eq!(read("100/15m"), Ok(Some((100, 900))));
        assert_eq!(read("10/1h"), Ok(Some((10, 3_600))));
        assert_eq!(read("off"), Ok(None));
        assert!(
            ["", "100", "0/1m", "1/0m", "1/25h", "1/m", "1/1d", "-1/1m", "1/é"].iter().all(|bad| read(bad).is_err())
        );
    }

    #[test]
    fn networks_hold_the_addresses_that_begin_alike() {
        let holds =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(
            holds("10.0.0.0/8", "10.255.0.1")
                && !holds("10.0.0.0/8", "11.0.0.1")
                && holds("10.0.0.0/8", "::ffff:10.1.1.1")
        );
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(["10.0.0.0/33", "10.0.0", "x/8", "10.0.0.0/-1"].iter().all(|bad| bad.parse::<Network>().is_err()));
        assert_eq!(networks(" 10.0.0.0/8 , ::1,").unwrap().len(), 2);
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(
            origins("https://app.example.com, http://localhost:3000").unwrap(),
            ["https://app.example.com", "http://localhost:3000"]
        );
        assert_eq!(origins("").unwrap(), Vec::<String>::new());
        assert!(
            ["*", "app.example.com", "https://app.example.com/", "https://app.example.com:443", "file:///x"]
                .iter()
                .all(|bad| origins(bad).is_err())
        );
    }
}
