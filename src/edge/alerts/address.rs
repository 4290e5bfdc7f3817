//! Where an alert may be sent (reliability.md section 6, "Targets"): https only, nothing but public addresses unless
//! the job allows it, looked at in the URL and again in what the name resolves to when the connection is made.

use crate::domain::fault::{ExitCode, Fault};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which addresses a target may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Public,
    /// Everything that is one machine.
    Private,
    /// Without TLS nothing leaves this machine.
    Loopback,
}

impl Allowed {
    pub(super) fn allows(self, ip: IpAddr) -> bool {
        match self {
            Allowed::Public => is_public(ip),
            Allowed::Private => !ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::V4(Ipv4Addr::BROADCAST),
            Allowed::Loopback => ip.is_loopback(),
        }
    }
}

/// Reads the URL of a target. No message shows it, since it may be a secret; `at` is where the job names it.
///
/// # Errors
/// [`ExitCode::Config`] for whatever is not allowed, before anything is sent.
pub(super) fn url(text: &str, allow_private: bool, at: &str) -> Result<(Url, Allowed), Fault> {
    let fault = |what: &str, hint: &str| Fault::new(ExitCode::Config, at, format!("url: {what}"), hint);
    let url = Url::parse(text).map_err(|_| fault("is not a URL", "write it like https://alerts.example/hook"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("holds a user or password", "take them out; the receiver has other ways to know the sender"));
    }
    let host = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_string()).unwrap_or_default();
    let literal: Option<IpAddr> = host.parse().ok();
    let allowed = match url.scheme() {
        "https" if allow_private => Allowed::Private,
        "https" => Allowed::Public,
        "http" if allow_private && (host == "localhost" || literal.is_some_and(|ip| ip.is_loopback())) => Allowed::Loopback,
        _ => return Err(fault("is not https", "alerts leave this machine encrypted or not at all")),
    };
    if host.is_empty() || literal.is_some_and(|ip| !allowed.allows(ip)) || (host == "localhost" && allowed == Allowed::Public) {
        let hint = "add allow_private = true to send alerts into a private network on purpose";
        return Err(fault("leads to an address that is not public", hint));
    }
    Ok((url, allowed))
}

/// Nothing that is reserved, local, or reaches such an address by another way.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let [first, second, .., seventh, eighth] = ip.segments();
            let v4 = |high: u16, low: u16| {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                Ipv4Addr::new(a, b, c, d)
            };
            let embedded = match ip.segments() {
                // Mapped, compatible, NAT64 and 6to4 forms lead to an IPv4 address.
                [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, ..] => Some(v4(seventh, eighth)),
                [0x2002, high, low, ..] => Some(v4(high, low)),
                _ => None,
            };
            if let Some(v4) = embedded {
                return ip != Ipv6Addr::LOCALHOST && is_public_v4(v4);
            }
            // Only 2000::/3 is assigned; within it documentation and benchmarks are not.
            first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0x0db8 || second == 0x0002 || second == 0))
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || a == 127
        || a >= 224
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 198 && (b == 18 || b == 19 || (b == 51 && c == 100)))
        || (a == 203 && b == 0 && c == 113))
}

/// Resolves names as the system does and leaves out what is not allowed.
pub(super) struct Guarded(pub(super) Allowed);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found = addresses(name.as_str(), 0, allowed).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The allowed addresses of a host.
///
/// # Errors
/// It has none, or none that is allowed.
pub(super) async fn addresses(host: &str, port: u16, allowed: Allowed) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.filter(|at| allowed.allows(at.ip())).collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it resolves to no address that is allowed"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(Allowed::Public.allows(public.parse().unwrap()), "{public}");
        }
        for bad in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!Allowed::Public.allows(bad.parse().unwrap()), "{bad}");
        }
        assert!(Allowed::Private.allows("10.1.2.3".parse().unwrap()) && !Allowed::Private.allows("224.0.0.1".parse().unwrap()));
        assert!(!Allowed::Loopback.allows("10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn urls_are_refused_without_being_shown() {
        for (text, allow_private, said) in [
            ("http://alerts.example/secret-part", true, "is not https"),
            ("http://127.0.0.1/secret-part", false, "is not https"),
            ("ftp://alerts.example/secret-part", true, "is not https"),
            ("https://user:secret-part@alerts.example/", true, "user or password"),
            ("https://127.0.0.1/secret-part", false, "not public"),
            ("https://127.1/secret-part", false, "not public"),
            ("https://0x7f000001/secret-part", false, "not public"),
            ("https://[::1]/secret-part", false, "not public"),
            ("https://169.254.169.254/secret-part", false, "not public"),
            ("https://localhost/secret-part", false, "not public"),
            ("secret-part", false, "is not a URL"),
        ] {
            let fault = url(text, allow_private, "job.toml:9").unwrap_err();
            assert_eq!((fault.code, fault.place.as_str()), (ExitCode::Config, "job.toml:9"), "{text}");
            assert!(fault.what.contains(said) && !fault.to_string().contains("secret-part"), "{text}: {fault}");
        }
        assert_eq!(url("https://alerts.example/hook", false, "").unwrap().1, Allowed::Public);
        assert_eq!(url("https://10.0.0.8/hook", true, "").unwrap().1, Allowed::Private);
        assert_eq!(url("http://127.0.0.1:9000/hook", true, "").unwrap().1, Allowed::Loopback);
    }

    #[test]
    fn names_are_looked_at_when_they_are_resolved() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert!(addresses("localhost", 80, Allowed::Public).await.is_err());
            assert!(!addresses("localhost", 80, Allowed::Loopback).await.unwrap().is_empty());
        });
    }
}
