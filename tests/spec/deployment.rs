//! The files of `config` that start the program in production: what they say of its flags, paths and times is so.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidemill::run::config::{Clock, Config};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the value of the only line `key SEPARATOR value` of a text.
fn value<'a>(text: &'a str, key: &str, separator: char) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.trim().split_once(separator)).filter(|(name, _)| *name == key);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no {key}"));
    assert!(found.next().is_none(), "{key} is there twice");
    value.trim()
}

#[test]
fn the_config_for_kubernetes_fits_its_manifests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes/config.toml");
    let config = Config::load(&path, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    let set = read("config/kubernetes/statefulset.yaml");
    // The flights are of the past, which the wall clock would close at once.
    assert!(set.contains("[\"run\", \"dataflows/flights.toml\"") && config.clock == Clock::Stream);
    let grace = Duration::from_secs(value(&set, "terminationGracePeriodSeconds", ':').parse().unwrap());
    assert!(grace > config.shutdown_timeout, "{grace:?}");
    let port = value(&set, "containerPort", ':');
    assert!(config.http.listen.ends_with(&format!(":{port}")), "{} {port}", config.http.listen);
    let data_dir = config.data_dir.to_str().unwrap();
    assert!(set.contains(&format!("mountPath: {data_dir}\n")), "{data_dir}");
    let docker = read("Dockerfile");
    assert!(docker.contains(&format!("VOLUME {data_dir}\n")) && docker.contains(&format!("data_dir={data_dir}\"")));
    assert_eq!(value(&docker, "USER", ' '), value(&set, "runAsUser", ':'));
    assert_eq!(value(&docker, "EXPOSE", ' '), port);
    for path in ["/health/live", "/health/ready"] {
        assert!(set.contains(&format!("path: {path}\n")), "{path}");
    }
}

/// Returns the `--set` of a manifest's only line of arguments that begins with a verb.
fn sets(manifest: &str, verb: &str) -> Vec<String> {
    let mut lines = manifest.lines().filter(|line| line.trim().starts_with(&format!("args: [\"{verb}\"")));
    let arguments: Vec<&str> = lines.next().unwrap().split('"').skip(1).step_by(2).collect();
    assert!(lines.next().is_none(), "{verb} is there twice");
    let is_set = |pair: &&[&str]| pair[0] == "--set";
    arguments.windows(2).filter(is_set).map(|pair| pair[1].to_owned()).collect()
}

#[test]
fn the_replicas_and_gateways_for_kubernetes_fit_the_run_and_each_other() {
    let load = |path: &str, sets: &[String]| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        Config::load(&path, sets).unwrap_or_else(|error| panic!("{error:?}"))
    };
    let file = |name: &str| read(&format!("config/kubernetes-replicas/{name}"));
    let (run, replicas, gateway) = (file("run.yaml"), file("replicas.yaml"), file("gateway.yaml"));
    let base = "config/kubernetes/config.toml";
    let of_run = load(base, &sets(&run, "run"));
    let of_replica = load(base, &sets(&replicas, "serve"));
    let of_gateway = load("config/kubernetes-replicas/gateway.toml", &sets(&gateway, "gateway"));
    // The run writes where the replicas read, on a volume that both mount.
    assert!(of_run.redis.url.is_some() && of_run.redis.replicas);
    assert_eq!(of_run.registry.url, of_replica.registry.url);
    let (name, mounted) =
        (value(&file("registry.yaml"), "name", ':').to_owned(), "mountPath: /var/lib/tidemill-registry\n");
    assert!(of_run.registry.url.unwrap().starts_with("/var/lib/tidemill-registry/"));
    for manifest in [&run, &replicas] {
        assert!(manifest.contains(mounted) && value(manifest, "claimName", ':') == name);
    }
    // The gateways know each replica, which lets them open as many connections as they take.
    let count: usize = value(&replicas, "replicas", ':').parse().unwrap();
    let service = value(&replicas, "serviceName", ':');
    assert!(replicas.contains(&format!("kind: Service\nmetadata:\n  name: {service}\n")));
    let known = (0..count).map(|at| format!("http://tidemill-replica-{at}.{service}:8080"));
    assert_eq!(of_gateway.gateway.servers, known.collect::<Vec<_>>());
    assert!(of_replica.http.max_connections_per_address >= of_gateway.http.max_connections);
    let gateways: usize = value(&gateway, "replicas", ':').parse().unwrap();
    assert!(of_replica.http.max_connections >= gateways * of_gateway.http.max_connections);
    for (config, manifest) in [(&of_replica, &replicas), (&of_gateway, &gateway)] {
        let grace = Duration::from_secs(value(manifest, "terminationGracePeriodSeconds", ':').parse().unwrap());
        assert!(grace > config.shutdown_timeout, "{grace:?}");
        assert!(config.http.listen.ends_with(&format!(":{}", value(manifest, "containerPort", ':'))));
        assert_eq!(value(&read("Dockerfile"), "USER", ' '), value(manifest, "runAsUser", ':'));
        for path in ["/health/live", "/health/ready"] {
            assert!(manifest.contains(&format!("path: {path}\n")), "{path}");
        }
    }
    let kustomization = file("kustomization.yaml");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes-replicas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "kustomization.yaml" || kustomization.contains(&format!("{name}\n")), "{name} is not applied");
    }
}

#[test]
fn the_commands_of_the_unit_are_those_of_the_program() {
    let unit = read("config/systemd/tidemill@.service");
    let timeout: u64 = value(&unit, "TimeoutStopSec", '=').trim_end_matches('s').parse().unwrap();
    assert!(Duration::from_secs(timeout) > Config::default().shutdown_timeout);
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().to_str().unwrap();
    let small = "name = \"small\"\n[source.a]\ntopic = \"a\"\nformat = \"csv\"\ntime = \"at\"\n\
                 columns = { user = \"string\", at = \"timestamp\" }\n[features.user]\nfrom = \"a\"\n\
                 entity = \"user\"\naggregate = [{ op = \"count\", windows = [\"1h\"] }]\n";
    let config = "[topics.a]\nfile = \"a.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    for (name, text) in [("flights.toml", small), ("config.toml", config), ("a.csv", "user,at\nx,2020-01-01\n")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let line = value(&unit, "ExecStart", '=').replace("%i", "flights").replace("/etc/tidemill", etc);
    let line = line.replace("/var/lib/tidemill", &format!("{etc}/state"));
    let run = || {
        let arguments = line.strip_prefix("/usr/local/bin/tidemill ").unwrap().split(' ');
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(arguments).arg("--until-end").current_dir(folder.path()).output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("state/small").is_dir());

    // A wrong file is not started again and again: the main process itself ends with the status that prevents it.
    fs::write(folder.path().join("flights.toml"), small.replace("count", "cuont")).unwrap();
    let status = run().status.code().unwrap().to_string();
    assert_eq!(status, value(&unit, "RestartPreventExitStatus", '='));
}

#[test]
fn a_release_archive_has_the_program_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |name: &str| {
        let archives = folder.path().join(name);
        let mut make = Command::new("make");
        make.args(["--silent", "dist", concat!("BIN=", env!("CARGO_BIN_EXE_tidemill"))]);
        make.arg(format!("ARCHIVES={}", archives.display())).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = make.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        archives
    };
    let (one, other) = (pack("one"), pack("other"));
    let sum = fs::read_dir(&one).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let sum = sum.into_iter().find(|name| name.ends_with(".sha256")).unwrap();
    assert_eq!(fs::read(one.join(&sum)).unwrap(), fs::read(other.join(&sum)).unwrap());
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&one).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("sha256sum", &["--check", &sum]);
    let archive = sum.strip_suffix(".sha256").unwrap();
    run("tar", &["-xzf", archive]);
    let unpacked = archive.strip_suffix(".tar.gz").unwrap();
    assert!(run(&format!("./{unpacked}/tidemill"), &["--version"]).starts_with("tidemill "));
    let flights = format!("{unpacked}/dataflows/flights.toml");
    run(&format!("{unpacked}/tidemill"), &["check", &flights, "--config", &format!("{unpacked}/config/embedded.toml")]);
    for file in ["LICENSE", "README.md", "man/tidemill.1", "completions/tidemill.bash"] {
        assert!(one.join(unpacked).join(file).exists(), "{file}");
    }
}
