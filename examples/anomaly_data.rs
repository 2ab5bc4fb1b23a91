//! The data of the anomaly guide: thirty days of temperatures of machines that do not exist, as `data/anomaly` has them.
//!
//! `cargo run --example anomaly_data -- DIR` writes `readings.csv` and `inspections.csv` to a folder. The data are the
//! same wherever they are made: all is integer arithmetic from one seed.
//!
//! Every ten minutes each machine reports its temperature: a level of its own, warmer in the afternoon, with noise.
//! From the fourth day on, machines fail for some hours: one slowly becomes too hot, the readings of another jump, and
//! those of a third no longer change. Twelve hours after the end of a failure, an inspection names the readings that
//! were taken in it.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use tidemill::time::format_time;

#[path = "generate/random.rs"]
mod random;

use random::Random;

const MACHINES: u64 = 6;
const DAYS: u64 = 30;

/// 2025-03-03, in minutes.
const START: u64 = 20_150 * DAY;
const DAY: u64 = 1440;

/// Minutes between two readings of a machine.
const STEP: u64 = 10;

/// Minutes from the end of a failure to its inspection.
const DELAY: u64 = 720;

/// The days before which no machine fails.
const QUIET_DAYS: u64 = 3;

/// The two topics as CSV.
pub struct AnomalyData {
    pub readings: String,
    pub inspections: String,
}

/// A way to fail.
#[derive(Clone, Copy)]
enum Failure {
    Heating,
    Jumping,
    Stuck,
}

/// Minutes, counted from the start, in which a machine fails.
struct Outage {
    failure: Failure,
    from: u64,
    until: u64,
}

/// A reading. The temperature is in tenths of a degree, the time in minutes.
struct Reading {
    at: u64,
    machine: u64,
    temperature: u64,
    /// The end of the failure in which it was taken.
    outage: Option<u64>,
}

impl Outage {
    /// Returns the outages of a machine, one about every nine days.
    fn series(random: &mut Random) -> Vec<Outage> {
        let mut from = (QUIET_DAYS + random.below(7)) * DAY + random.below(DAY);
        let mut outages = Vec::new();
        while from < (DAYS - 2) * DAY {
            let failure = [Failure::Heating, Failure::Jumping, Failure::Stuck][random.below(3) as usize];
            let until = from + 360 + random.below(720);
            outages.push(Outage { failure, from, until });
            from = until + 6 * DAY + random.below(6 * DAY);
        }
        outages
    }
}

/// Returns a temperature without noise: a level, and up to 3 degrees more around 14:00.
fn usual(level: u64, minute: u64) -> u64 {
    let from_noon = (minute % DAY).abs_diff(14 * 60);
    level + 30 - 30 * from_noon.min(DAY - from_noon) / (DAY / 2)
}

/// Returns the readings of a machine.
fn readings_of(machine: u64, random: &mut Random) -> Vec<Reading> {
    let level = 600 + random.below(300);
    let outages = Outage::series(random);
    let (mut readings, mut stuck_at) = (Vec::new(), 0);
    for minute in (machine..DAYS * DAY).step_by(STEP as usize) {
        let noise = |random: &mut Random, most: u64| random.below(most + 1) + random.below(most + 1);
        let plain = usual(level, minute) + noise(random, 8);
        let outage = outages.iter().find(|outage| (outage.from..outage.until).contains(&minute));
        let temperature = match outage.map(|outage| (outage.failure, outage)) {
            None => plain,
            Some((Failure::Heating, outage)) => plain + 150 * (minute - outage.from) / (outage.until - outage.from),
            Some((Failure::Jumping, _)) => plain + noise(random, 60) - 60,
            Some((Failure::Stuck, _)) => stuck_at,
        };
        stuck_at = temperature;
        readings.push(Reading { at: minute, machine, temperature, outage: outage.map(|outage| outage.until) });
    }
    readings
}

impl AnomalyData {
    /// Makes the data.
    pub fn generate() -> AnomalyData {
        let mut random = Random::new(2025);
        let mut readings: Vec<Reading> = (0..MACHINES).flat_map(|machine| readings_of(machine, &mut random)).collect();
        readings.sort_by_key(|reading| (reading.at, reading.machine));
        AnomalyData { readings: readings_text(&readings), inspections: inspections_text(&readings) }
    }
}

fn readings_text(readings: &[Reading]) -> String {
    let mut text = String::from("reading,machine,temperature,at\n");
    for (number, Reading { at, machine, temperature, .. }) in readings.iter().enumerate() {
        writeln!(text, "{number},m{machine},{}.{},{}", temperature / 10, temperature % 10, time(*at))
            .expect("writing to a string does not fail");
    }
    text
}

fn inspections_text(readings: &[Reading]) -> String {
    let failed = readings.iter().enumerate().filter_map(|(number, reading)| Some((reading.outage? + DELAY, number)));
    let mut failed: Vec<(u64, usize)> = failed.collect();
    failed.sort_unstable();
    let mut text = String::from("reading,failure,at\n");
    for (at, number) in failed {
        writeln!(text, "{number},true,{}", time(at)).expect("writing to a string does not fail");
    }
    text
}

fn time(minute: u64) -> String {
    format_time((START + minute) as i64 * 60_000)
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("expected a folder")?);
    std::fs::create_dir_all(&folder)?;
    let AnomalyData { readings, inspections } = AnomalyData::generate();
    for (name, text) in [("readings.csv", readings), ("inspections.csv", inspections)] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
