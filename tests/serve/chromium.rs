//! The dashboard in a real Chromium: it draws every page without an error on the console, light and dark, large and small,
//! and keeps itself fresh. Skipped, with a message, where there is no Chromium.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::program::Run;

/// Pages of the flights.
const PAGES: [&str; 5] = [
    "/",
    "/dashboard/features/airport?origin=JFK",
    "/dashboard/explain/airport/delay_mean_3h?origin=JFK",
    "/dashboard/models/late?metric=auc",
    "/dashboard/predict/late?carrier=UA&dest=IAH&distance=1400&flight=1545&origin=EWR&tail=N14228",
];

/// Starts a run of the flights; it serves once it returns.
fn flights(folder: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "dataflows/flights.toml"]);
    for set in ["http.listen=127.0.0.1:0", "play.speed=max", &format!("data_dir={}", folder.display())] {
        command.args(["--set", set]);
    }
    Run::start(&mut command)
}

fn chromium(profile: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]);
    command.args(["--disable-component-update", "--disable-background-networking", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.args(arguments).output().unwrap()
}

#[test]
fn pages_are_drawn_without_errors_and_stay_fresh() {
    if Command::new("chromium").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no chromium (Debian: apt-get install chromium), the dashboard is not tried in a browser");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = flights(folder.path());
    let profile = folder.path().join("profile");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !run.get("/health/ready").starts_with("HTTP/1.1 200") {
        assert!(std::time::Instant::now() < until, "no version was made");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let keep = std::env::var_os("TIDEMILL_SCREENSHOTS").map(std::path::PathBuf::from);
    for (at, page) in PAGES.iter().enumerate() {
        let url = format!("{}{page}", run.url());
        for (size, width) in [("1400,1800", 1400), ("820,1200", 820), ("390,900", 390)] {
            let picture = keep.clone().unwrap_or_else(|| folder.path().to_owned()).join(format!("{at}-{width}.png"));
            let shot = format!("--screenshot={}", picture.display());
            let dark = if width == 820 { "--force-dark-mode" } else { "--force-light-mode" };
            let output = chromium(&profile, &[&shot, &format!("--window-size={size}"), dark, &url]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && picture.is_file(), "{url}: {said}");
            let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
            assert!(console.is_empty(), "{url}: {console:?}");
        }
    }
    // The script has fetched the page again, and says so.
    let url = format!("{}/", run.url());
    let output = chromium(&profile, &["--virtual-time-budget=5000", "--dump-dom", &url]);
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(dom.contains("aria-live=\"polite\">live</p>"), "{dom}");
    let pages = run.metric("tidemill_http_requests_total", "route=\"/\"");
    assert!(pages >= 5.0, "the page was fetched {pages} times: four times to be drawn, and again by its script");
}
