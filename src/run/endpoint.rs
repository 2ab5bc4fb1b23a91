//! Opening the endpoint of a run or a gateway by its config.

use std::net::SocketAddr;
use std::sync::Arc;

use super::config::{Config, HttpConfig};
use super::{Failure, print_err, system};
use crate::serve::{self, RequestService, Role, Server, Service, StartError};

/// Files that the process may need beside a socket for each connection.
const OTHER_FILES: usize = 256;

/// Opens the endpoint of a dataflow, and the port of gRPC if the config has one.
///
/// # Errors
/// As [`open`].
pub fn open_service(config: &Config, service: &Arc<Service>) -> Result<Server, Failure> {
    #[cfg(feature = "grpc")]
    if let Some(listen) = &config.grpc.listen {
        let mut server = open(config, service)?;
        let opened = server.open_grpc(listen, &config.http.endpoint(&config.base), service);
        let addr = opened.map_err(|error| failure(config, error))?;
        print_err(format_args!("listening for gRPC on {addr}"));
        warning("[grpc]", addr, &config.http).iter().for_each(print_err);
        return Ok(server);
    }
    open(config, service)
}

/// Binds the address of a config and starts to answer. Warns on stderr about limits of the system, and if others can reach
/// the endpoint.
///
/// # Errors
/// If the address cannot be bound, or tokens or certificate cannot be used.
pub fn open<S: RequestService>(config: &Config, service: &Arc<S>) -> Result<Server, Failure> {
    let mut endpoint = config.http.endpoint(&config.base);
    // No page of somebody else has the name of this machine, which often stands for a loopback address.
    endpoint.allowed_hosts.extend(system::host_name());
    let files = usize::try_from(system::raise_open_files()).unwrap_or(usize::MAX);
    let most = files.saturating_sub(OTHER_FILES).max(1);
    if endpoint.max_connections > most {
        print_err(format_args!(
            "warning: [http] max_connections is {}, but the process may open {files} files; {most} connections are \
             accepted. Raise the limit (ulimit -n) for more",
            endpoint.max_connections
        ));
        endpoint.max_connections = most;
    }
    let server = serve::start(&endpoint, service).map_err(|error| failure(config, error))?;
    warning("[http]", server.addr(), &config.http).iter().for_each(print_err);
    Ok(server)
}

/// Checks whether the endpoint of a config could be opened, but for its port.
///
/// # Errors
/// If the address is wrong, or tokens or certificate cannot be used.
pub fn check(config: &Config) -> Result<(), Failure> {
    let grpc = config.grpc.listen.as_ref().map_or(Ok(()), |listen| serve::resolve("grpc.listen", listen).map(drop));
    let checked = serve::check(&config.http.endpoint(&config.base)).and(grpc);
    checked.map_err(|error| failure(config, error))
}

/// Checks whether the ports that a config has and `old` has not could be listened on.
///
/// # Errors
/// If one of them is taken.
pub fn check_new_ports(config: &Config, old: &Config) -> Result<(), Failure> {
    let ports: [(&str, Option<&String>, Option<&String>); 2] = [
        ("http.listen", Some(&config.http.listen), Some(&old.http.listen)),
        ("grpc.listen", config.grpc.listen.as_ref(), old.grpc.listen.as_ref()),
    ];
    // This process listens on the old ports, which it gives up before it listens on the new ones.
    let mut given_up = Vec::new();
    for (key, _, old) in ports {
        given_up.extend(old.and_then(|listen| serve::resolve(key, listen).ok()).map(|address| address.port()));
    }
    for (key, listen, _) in ports {
        let Some(listen) = listen else { continue };
        let address = serve::resolve(key, listen).map_err(|error| failure(config, error))?;
        if !given_up.contains(&address.port()) {
            serve::check_port(key, listen).map_err(|error| failure(config, error))?;
        }
    }
    Ok(())
}

/// Returns an error of an endpoint, with the place of the config that it is about.
fn failure(config: &Config, error: StartError) -> Failure {
    let at = |path: &[&str], what: &str| Failure::Usage(format!("{}: error: {what}{error}", config.origin.place(path)));
    match error {
        StartError::Address { key: "grpc.listen", .. } => at(&["grpc", "listen"], "[grpc] listen: "),
        StartError::Address { .. } | StartError::OpenAdmin(_) => at(&["http", "listen"], "[http] listen: "),
        StartError::Tls { key, .. } => at(&["http", "tls", key], ""),
        StartError::Tokens { role, .. } => at(&["http", "tokens", role], ""),
        other => Failure::from(other),
    }
}

/// Returns a warning if others than this machine can reach an endpoint, and not everything keeps them out.
fn warning(section: &str, addr: SocketAddr, http: &HttpConfig) -> Option<String> {
    let ip = addr.ip().to_canonical();
    let whom = if ip.is_unspecified() { "on all addresses of this machine" } else { "on an address of a network" };
    let open = Role::ALL.into_iter().filter(|role| http.tokens.of(*role).is_none()).map(Role::name);
    let open: Vec<&str> = open.collect();
    let mut gaps = Vec::new();
    if http.tls.cert.is_none() {
        gaps.push("requests are not encrypted without http.tls".to_owned());
    }
    if !open.is_empty() {
        let roles = open.join(" and ");
        gaps.push(format!("clients need no token for the roles {roles}, which have none in http.tokens"));
    }
    (!ip.is_loopback() && !gaps.is_empty()).then(|| {
        format!(
            "warning: {section} listen is {addr}, {whom}: {}. Listen on 127.0.0.1, or see that only trusted hosts reach it",
            gaps.join(", and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_port_must_be_free_and_an_old_one_need_not() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let [mut old, mut new] = [Config::default(), Config::default()];
        new.http.listen = taken.local_addr().unwrap().to_string();
        let Err(Failure::Runtime(error)) = check_new_ports(&new, &old) else { panic!("the port is taken") };
        assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
        old.http.listen = new.http.listen.clone();
        assert!(check_new_ports(&new, &old).is_ok());
    }

    fn warns(addr: &str, config: &str) -> Option<String> {
        warning("[http]", addr.parse().unwrap(), &toml::from_str(config).unwrap())
    }

    #[test]
    fn a_warning_is_given_where_other_machines_can_reach_the_endpoint() {
        for local in ["127.0.0.1:8080", "127.3.2.1:1", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert_eq!(warns(local, ""), None);
        }
        for open in ["0.0.0.0:8080", "[::]:8080", "[::ffff:0.0.0.0]:80"] {
            assert!(warns(open, "").unwrap().contains(&format!("listen is {open}, on all addresses")), "{open}");
        }
        for open in ["10.0.0.7:8080", "192.0.2.1:80", "[fe80::1]:80", "[2001:db8::1]:80", "[::ffff:10.0.0.7]:80"] {
            assert!(warns(open, "").unwrap().contains("on an address of a network"), "{open}");
        }
    }

    #[test]
    fn the_warning_names_what_is_missing_and_ends_with_it() {
        let tls = "tls = { cert = \"a\", key = \"b\" }\n";
        let text = warns("10.0.0.7:80", &format!("{tls}tokens = {{ admin = \"file:x\" }}")).unwrap();
        assert!(text.contains("no token for the roles read and predict") && !text.contains("encrypted"), "{text}");
        let tokens = "tokens = { read = \"file:r\", predict = \"file:p\", admin = \"file:a\" }";
        let text = warns("10.0.0.7:80", tokens).unwrap();
        assert!(text.contains("not encrypted") && !text.contains("roles"), "{text}");
        assert_eq!(warns("10.0.0.7:80", &format!("{tls}{tokens}")), None);
    }
}
