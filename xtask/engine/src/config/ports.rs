//! Ports: those that the node publishes on this machine, and the one of a Service.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::names::ServiceName;
use super::text::{Flaw, Text, serialize_as_text};

/// A port of the node that is also a port of this machine: `127.0.0.1:30080:30080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortMapping {
    /// The address that it is bound to; 127.0.0.1 where the file names none, so that nobody else reaches it.
    pub host_ip: IpAddr,
    /// The port on this machine.
    pub host: u16,
    /// The port on the node.
    pub node: u16,
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}:{}", self.host, self.node),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}:{}", self.host, self.node),
        }
    }
}

fn port(text: &str, at: usize) -> Result<u16, Flaw> {
    let part = at..at + text.len();
    match text.parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        _ if text.is_empty() => Err(Flaw::new("a port is missing here")),
        _ => Err(Flaw::new(format!("`{text}` is no port")).part(part).help("ports are numbers from 1 to 65535")),
    }
}

impl Text for PortMapping {
    const WHAT: &'static str = "a port mapping";
    const PATTERN: &'static str = "^((\\[[0-9a-fA-F:]+\\]|[0-9.]+):)?[0-9]{1,5}:[0-9]{1,5}$";
    const EXAMPLE: &'static str = "127.0.0.1:30080:30080";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str = "write [IP:]HOST:NODE, for example \"127.0.0.1:30080:30080\"";
        let Some((front, node_text)) = text.rsplit_once(':') else {
            return Err(Flaw::new("one port alone: both this machine's and the node's are needed").help(HELP));
        };
        let node =
            port(node_text, front.len() + 1).map_err(|flaw| Flaw { help: flaw.help.or(Some(HELP.into())), ..flaw })?;
        let (ip_text, host_text) = front.rsplit_once(':').map_or((None, front), |(ip, host)| (Some(ip), host));
        let host = port(host_text, front.len() - host_text.len())
            .map_err(|flaw| Flaw { help: flaw.help.or(Some(HELP.into())), ..flaw })?;
        let host_ip = match ip_text {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(ip) => {
                let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
                let wrong = || Flaw::new(format!("`{ip}` is no IP address")).part(0..ip.len()).help(HELP);
                bare.parse().map_err(|_| wrong())?
            }
        };
        Ok(Self { host_ip, host, node })
    }
}

/// The port of this machine that stands for `port`: those below 1024 are not everybody's, so 80 becomes 8080.
pub const fn unprivileged(port: u16) -> u16 {
    if port < 1024 { port + 8000 } else { port }
}

/// A Service and one of its ports: `todo-frontend:80`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// The Service's name.
    pub name: String,
    /// The Service's port, not the container's.
    pub port: u16,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl Text for ServicePort {
    const WHAT: &'static str = "a service with its port";
    const PATTERN: &'static str = "^[a-z]([-a-z0-9]*[a-z0-9])?:[0-9]{1,5}$";
    const EXAMPLE: &'static str = "todo-frontend:80";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str = "write NAME:PORT with the Service's own port, for example \"todo-frontend:80\"";
        if text.contains("://") {
            return Err(Flaw::new("an address, where the name of a Service belongs").help(HELP));
        }
        let Some((name, port_text)) = text.split_once(':') else {
            return Err(Flaw::new("the port is missing").help(HELP));
        };
        if name.is_empty() {
            return Err(Flaw::new("the name is missing").help(HELP));
        }
        let port = port(port_text, name.len() + 1).map_err(|flaw| Flaw { help: Some(HELP.into()), ..flaw })?;
        let name_flaw = |flaw: Flaw| Flaw { part: flaw.part.or(Some(0..name.len())), ..flaw };
        Ok(Self { name: ServiceName::parse(name).map_err(name_flaw)?.0, port })
    }
}

serialize_as_text!(PortMapping, ServicePort);

#[cfg(test)]
mod tests {
    use super::{PortMapping, ServicePort};
    use crate::config::text::Text;

    #[test]
    fn port_mappings_have_two_ports_and_perhaps_an_address() {
        let check = |text: &str, expected: Option<&str>| {
            let shown = PortMapping::parse(text).ok().map(|mapping| mapping.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        };
        check("127.0.0.1:30080:30080", Some("127.0.0.1:30080:30080"));
        check("8080:30080", Some("127.0.0.1:8080:30080"));
        check("0.0.0.0:80:30080", Some("0.0.0.0:80:30080"));
        check("[::1]:80:30080", Some("[::1]:80:30080"));
        for wrong in ["", "30080", "0:1", "1:65536", "a:1", "localhost:1:2", "1.2.3:1:2", ":1:2", "1:", "1:2:3:4"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_service_is_named_with_its_port() {
        let check = |text: &str, expected: Option<&str>| {
            let shown = ServicePort::parse(text).ok().map(|service| service.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        };
        check("todo-frontend:80", Some("todo-frontend:80"));
        for wrong in ["", "todo", "todo:", ":80", "todo:http", "todo:0", "http://todo:80", "Todo:80", "todo:80/x"] {
            check(wrong, None);
        }
    }
}
