//! Who may ask: by what name the server was asked for, from which page, and with which token.
//!
//! A page of anybody's that is open in the user's browser can send requests to this machine. Three
//! rules keep it out, on the loopback address too:
//!
//! - **Host** must be an address of this server, with its port. A name that somebody leads here
//!   (DNS rebinding) is not one.
//! - **Origin**, which browsers send with what could do harm, must be this server's own.
//! - What changes something needs the token, which other pages do not know. On an address that other
//!   machines reach, all but the page's own files needs it.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, Method};

use crate::refusal::{Refusal, Wrong};
use crate::token::Token;

/// How a page that opens a WebSocket tells the token, which browsers let it say nowhere else: as a
/// protocol, `k485.token.TOKEN`, beside [`PROTOCOL`]. A protocol has no `/`, `=` or `,`: a token that
/// has such characters is percent-encoded ([`Token::encoded`]).
pub const TOKEN_PROTOCOL: &str = "k485.token.";
/// The protocol of the events' WebSocket.
pub const PROTOCOL: &str = "k485.v1";

/// The rules of one server.
#[derive(Debug, Clone)]
pub struct Access {
    bound: SocketAddr,
    token: Token,
}

impl Access {
    /// The rules of a server that listens there.
    #[must_use]
    pub fn new(bound: SocketAddr, token: Token) -> Access {
        Access { bound, token }
    }

    /// Whether this request may be looked at.
    ///
    /// # Errors
    ///
    /// Why not: [`Wrong::Malformed`], [`Wrong::Place`] or [`Wrong::Token`].
    pub fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = one(headers, &HOST)?;
        let Some(host) = host else {
            return Err(Refusal::new(Wrong::Malformed, "the request has no Host header; add it"));
        };
        if !self.is_here(host) {
            let message = format!(
                "this server is not asked for as {}: use http://{}/",
                shown(host),
                self.name()
            );
            return Err(Refusal::new(Wrong::Place, message));
        }
        if let Some(origin) = one(headers, &ORIGIN)?
            && !origin.strip_prefix("http://").is_some_and(|own| own.eq_ignore_ascii_case(host))
        {
            let message = format!(
                "a page of {} may not ask here; open http://{}/ itself",
                shown(origin),
                self.name()
            );
            return Err(Refusal::new(Wrong::Place, message));
        }
        if self.needs_token(method, path) && !self.has_token(headers)? {
            let message = "the token is missing or wrong: send \"Authorization: Bearer TOKEN\"; the \
                           command that opened this server said it, or wrote it into --token-file";
            return Err(Refusal::new(Wrong::Token, message));
        }
        Ok(())
    }

    /// Whether this needs the token.
    fn needs_token(&self, method: &Method, path: &str) -> bool {
        let looks = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        !looks || (!self.bound.ip().is_loopback() && path.starts_with("/api/"))
    }

    fn has_token(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        if let Some(given) = one(headers, &AUTHORIZATION)? {
            let token = given.split_once(' ').filter(|(how, _)| how.eq_ignore_ascii_case("bearer"));
            return Ok(token.is_some_and(|(_, token)| self.token.is(token.trim().as_bytes())));
        }
        let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
        let mut protocols = protocols.filter_map(|value| value.to_str().ok());
        Ok(protocols.any(|list| {
            let tokens = list.split(',').filter_map(|one| one.trim().strip_prefix(TOKEN_PROTOCOL));
            tokens.into_iter().any(|token| self.token.is(token.as_bytes()))
        }))
    }

    /// The address that pages are asked for at.
    #[must_use]
    pub fn name(&self) -> String {
        let ip = match self.bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        format!("{ip}:{}", self.bound.port())
    }

    /// Whether a Host header means this server: its address or, where it listens on loopback or on
    /// all addresses, a loopback name. A server on all addresses does not know which ones those are;
    /// an address, unlike a name, cannot be led here by anybody.
    fn is_here(&self, host: &str) -> bool {
        // An IPv6 address has colons of its own, within brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, "80"),
        };
        // As a browser writes it: neither a sign nor zeros before it.
        let port_fits = self.bound.port().to_string() == port;
        let bound = self.bound.ip();
        let ip = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(inner) => inner.parse().ok().map(IpAddr::V6),
            None => name.parse().ok().map(IpAddr::V4),
        };
        let local = bound.is_loopback() || bound.is_unspecified();
        let name_fits = match ip {
            Some(ip) if ip.is_loopback() => local,
            Some(ip) => bound.is_unspecified() || ip == bound,
            None => local && name.eq_ignore_ascii_case("localhost"),
        };
        port_fits && name_fits
    }
}

/// A header that may be there once; two of them would be understood differently by different readers.
fn one<'a>(
    headers: &'a HeaderMap,
    name: &axum::http::HeaderName,
) -> Result<Option<&'a str>, Refusal> {
    let mut all = headers.get_all(name).into_iter();
    let wrong = |what: &str| Refusal::new(Wrong::Malformed, format!("the {name} header {what}"));
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(wrong("is not ASCII text")),
        },
        (Some(_), Some(_)) => Err(wrong("is there more than once; send it once")),
    }
}

/// What came from outside, short.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn access(bound: &str) -> (Access, String) {
        let token = Token::random().unwrap();
        let text = token.as_str().to_owned();
        (Access::new(bound.parse().unwrap(), token), text)
    }

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, value.parse().unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in list.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn get(access: &Access, list: &[(&str, &str)]) -> Result<(), Wrong> {
        let checked = access.check(&Method::GET, "/api/v1/state", &headers(list));
        checked.map_err(|refusal| refusal.wrong)
    }

    #[test]
    fn only_the_servers_own_names_are_answered_to() {
        let (here, _) = access("127.0.0.1:4850");
        for host in ["127.0.0.1:4850", "localhost:4850", "LOCALHOST:4850", "[::1]:4850"] {
            assert_eq!(get(&here, &[("host", host)]), Ok(()), "{host}");
        }
        let others = [
            "evil.example:4850",
            "127.0.0.1",
            "127.0.0.1:4851",
            "127.0.0.1:04850",
            "127.0.0.1:+4850",
            "localhost.evil.example:4850",
            "192.168.1.5:4850",
            "0.0.0.0:4850",
            "[::1]",
            "::1:4850",
            "",
            ":4850",
            "user@127.0.0.1:4850",
        ];
        for host in others {
            assert_eq!(get(&here, &[("host", host)]), Err(Wrong::Place), "{host}");
        }
        assert_eq!(get(&here, &[]), Err(Wrong::Malformed));
        let twice = [("host", "127.0.0.1:4850"), ("host", "127.0.0.1:4850")];
        assert_eq!(get(&here, &twice), Err(Wrong::Malformed));
        let (web, _) = access("[::1]:80");
        assert_eq!(get(&web, &[("host", "[::1]")]), Ok(()));
        assert_eq!(get(&web, &[("host", "localhost")]), Ok(()));
    }

    #[test]
    fn other_pages_may_not_ask() {
        let (here, token) = access("127.0.0.1:4850");
        let bearer = format!("Bearer {token}");
        for origin in
            ["http://evil.example", "null", "https://127.0.0.1:4850", "http://localhost:4850"]
        {
            let list = [("host", "127.0.0.1:4850"), ("origin", origin), ("authorization", &bearer)];
            assert_eq!(get(&here, &list), Err(Wrong::Place), "{origin}");
        }
        for host in ["127.0.0.1:4850", "localhost:4850"] {
            let own = format!("http://{host}");
            assert_eq!(get(&here, &[("host", host), ("origin", &own)]), Ok(()));
        }
    }

    #[test]
    fn changes_need_the_token_everywhere_and_looks_where_others_reach() {
        let (here, token) = access("127.0.0.1:4850");
        let (lan, lan_token) = access("192.168.1.5:4850");
        let ask = |access: &Access, method: &Method, path: &str, auth: Option<&str>| {
            let host = access.name();
            let mut list = vec![("host", host.as_str())];
            list.extend(auth.map(|auth| ("authorization", auth)));
            access.check(method, path, &headers(&list)).map_err(|refusal| refusal.wrong)
        };
        let (get, post) = (Method::GET, Method::POST);
        assert_eq!(ask(&here, &get, "/api/v1/state", None), Ok(()));
        for method in [&post, &Method::DELETE, &Method::PUT, &Method::PATCH] {
            assert_eq!(ask(&here, method, "/api/v1/hands", None), Err(Wrong::Token));
            let right = format!("bearer {token}");
            assert_eq!(ask(&here, method, "/api/v1/hands", Some(&right)), Ok(()));
        }
        for wrong in [&token, "Bearer", "Bearer ", &format!("Basic {token}"), &lan_token] {
            assert_eq!(ask(&here, &post, "/api/v1/hands", Some(wrong)), Err(Wrong::Token));
        }
        assert_eq!(ask(&lan, &get, "/js/main.js", None), Ok(()));
        assert_eq!(ask(&lan, &get, "/api/v1/state", None), Err(Wrong::Token));
        let right = format!("Bearer {lan_token}");
        assert_eq!(ask(&lan, &get, "/api/v1/state", Some(&right)), Ok(()));
        // A browser's WebSocket has no other place for it.
        let protocol = format!("{PROTOCOL}, {TOKEN_PROTOCOL}{lan_token}");
        let list = [("host", "192.168.1.5:4850"), ("sec-websocket-protocol", &protocol)];
        assert_eq!(lan.check(&get, "/api/v1/events", &headers(&list)), Ok(()));
    }

    #[test]
    fn all_addresses_are_asked_for_by_address() {
        let (all, token) = access("0.0.0.0:4850");
        let bearer = format!("Bearer {token}");
        for (host, fits) in [
            ("192.168.1.5:4850", true),
            ("127.0.0.1:4850", true),
            ("localhost:4850", true),
            ("printer.example:4850", false),
        ] {
            let expected = if fits { Ok(()) } else { Err(Wrong::Place) };
            assert_eq!(get(&all, &[("host", host), ("authorization", &bearer)]), expected);
        }
        assert_eq!(all.name(), "127.0.0.1:4850");
    }

    proptest! {
        #[test]
        fn no_host_or_origin_but_the_own_gets_through(host in ".{0,40}", origin in ".{0,40}") {
            let (here, _) = access("127.0.0.1:4850");
            let names = ["127.0.0.1:4850", "localhost:4850", "[::1]:4850"];
            let own = |host: &str| {
                let loopback = host.strip_suffix(":4850").and_then(|ip| ip.parse::<std::net::Ipv4Addr>().ok());
                names.contains(&host.to_ascii_lowercase().as_str())
                    || loopback.is_some_and(|ip| ip.is_loopback())
            };
            if let Ok(value) = host.parse::<axum::http::HeaderValue>() {
                let mut map = HeaderMap::new();
                map.insert(HOST, value);
                if here.check(&Method::GET, "/", &map).is_ok() {
                    prop_assert!(own(host.trim()), "{host:?}");
                }
            }
            if let Ok(value) = origin.parse::<axum::http::HeaderValue>() {
                let mut map = headers(&[("host", names[0])]);
                map.insert(ORIGIN, value);
                if here.check(&Method::GET, "/", &map).is_ok() {
                    prop_assert_eq!(origin.trim(), "http://127.0.0.1:4850");
                }
            }
        }

        #[test]
        fn no_token_but_the_own_gets_through(guess in "[ -~]{0,60}") {
            let (here, token) = access("127.0.0.1:4850");
            let mut map = headers(&[("host", "127.0.0.1:4850")]);
            if let Ok(value) = guess.parse() {
                map.insert(AUTHORIZATION, value);
                let passed = here.check(&Method::POST, "/api/v1/hands", &map).is_ok();
                let right = guess.trim().split_once(' ').is_some_and(|(_, given)| given.trim() == token);
                prop_assert_eq!(passed, right);
            }
        }
    }
}
