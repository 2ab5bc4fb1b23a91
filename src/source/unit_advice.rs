//! Advice on the unit of event times.
//!
//! Numbers in another unit than the declared one give times that no one means: seconds read as ms are in January 1970.
//! Such times are valid, so they are no dead letters. But if the first event times of a partition are all before 1990 or
//! after 2100, and another unit would place all of them in between, that unit is named.
//!
//! ```
//! use tidemill::source::UnitAdvice;
//! use tidemill::value::{Column, Type};
//! let mut advice = UnitAdvice::new("clicks", &Column::new("at", Type::Timestamp, false));
//! (0..1000).for_each(|second| advice.observe(1_706_688_000 + second));
//! assert!(advice.take(false).unwrap().contains("unit = \"s\""));
//! ```

use std::ops::Range;

use crate::time::{EventTime, format_time};
use crate::value::{Column, TimeUnit};

/// The event times that are looked at.
const SAMPLE: u32 = 1000;

/// The times that are not doubted: 1990 to 2099.
const NEAR: Range<EventTime> = 631_152_000_000..4_102_444_800_000;

/// Looks at the first event times of a partition.
#[derive(Debug)]
pub struct UnitAdvice {
    source: String,
    column: String,
    unit: TimeUnit,
    least: EventTime,
    most: EventTime,
    seen: u32,
    /// True if there is nothing to advise any more.
    settled: bool,
}

impl UnitAdvice {
    /// Returns the advice on the event times of a source.
    pub fn new(source: &str, column: &Column) -> Self {
        UnitAdvice {
            source: source.to_owned(),
            column: column.name.clone(),
            unit: column.time.unit.unwrap_or_default(),
            least: EventTime::MAX,
            most: EventTime::MIN,
            seen: 0,
            settled: column.time.format.is_some(),
        }
    }

    /// Observes the next event time.
    #[inline]
    pub fn observe(&mut self, time: EventTime) {
        if !self.settled && self.seen < SAMPLE {
            self.settled = NEAR.contains(&time);
            self.seen += 1;
            self.least = self.least.min(time);
            self.most = self.most.max(time);
        }
    }

    /// Returns the advice, once: as soon as enough event times have been seen, or all there are.
    pub fn take(&mut self, is_end: bool) -> Option<String> {
        if self.settled || self.seen == 0 || self.seen < SAMPLE && !is_end {
            return None;
        }
        self.settled = true;
        let scaled = |time: EventTime, unit: TimeUnit| {
            let ms = i128::from(time) * i128::from(unit.nanos()) / i128::from(self.unit.nanos());
            EventTime::try_from(ms).ok().filter(|time| NEAR.contains(time))
        };
        let (name, from, to) = TimeUnit::ALL.into_iter().find_map(|(name, unit)| {
            Some((name, scaled(self.least, unit)?, scaled(self.most, unit)?)).filter(|_| unit != self.unit)
        })?;
        let [least, most, from, to] = [self.least, self.most, from, to].map(format_time);
        let UnitAdvice { source, column, seen, .. } = self;
        Some(format!(
            "advice: {source}: the first {seen} event times are from {least} to {most}; with {column} = {{ type = \
             \"timestamp\", unit = \"{name}\" }} they would be from {from} to {to}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_time;
    use crate::value::Type;

    fn advice(unit: Option<TimeUnit>, times: &[EventTime]) -> Option<String> {
        let mut column = Column::new("at", Type::Timestamp, false);
        column.time.unit = unit;
        let mut advice = UnitAdvice::new("clicks", &column);
        times.iter().for_each(|time| advice.observe(*time));
        assert_eq!(advice.take(false), None, "there may be more");
        let taken = advice.take(true);
        assert_eq!(advice.take(true), None, "it is given once");
        taken
    }

    #[test]
    fn the_unit_that_places_all_times_near_now_is_named() {
        let now = parse_time("2024-01-31").unwrap();
        for (declared, real) in TimeUnit::ALL.into_iter().flat_map(|one| TimeUnit::ALL.map(|other| (one, other))) {
            // Event times as they come out when numbers of one unit are read as another.
            let read = |time: EventTime| {
                let number = i128::from(time) * 1_000_000 / i128::from(real.1.nanos());
                EventTime::try_from(number * i128::from(declared.1.nanos()) / 1_000_000).ok()
            };
            let times: Vec<_> = (0..10).filter_map(|day| read(now + day * 86_400_000)).collect();
            let found = advice(Some(declared.1), &times);
            if declared == real || times.is_empty() {
                assert_eq!(found, None, "{declared:?} {real:?}");
            } else if declared.1.nanos() > 1 || real.1.nanos() < 1_000_000 {
                let found = found.unwrap_or_else(|| panic!("{declared:?} {real:?}"));
                assert!(found.contains(&format!("unit = \"{}\"", real.0)), "{found}");
            }
        }
    }

    #[test]
    fn times_that_no_unit_explains_get_no_advice() {
        let at = |text| parse_time(text).unwrap();
        assert_eq!(advice(None, &[]), None);
        assert_eq!(advice(None, &[at("2024-01-31")]), None);
        assert_eq!(advice(None, &[at("1985-01-31"), at("1970-01-20")]), None);
        assert_eq!(advice(None, &[1000, 2000, 3000]), None);
        assert_eq!(advice(None, &[1_706_688_000, at("2024-01-31")]), None, "one is near now");
        assert!(advice(None, &[1_706_688_000]).is_some());
        let mut formatted = Column::new("at", Type::Timestamp, false);
        formatted.time.format = Some(crate::time::TimeFormat::new("%s").unwrap());
        let mut advice = UnitAdvice::new("clicks", &formatted);
        advice.observe(1_706_688_000);
        assert_eq!(advice.take(true), None);
    }
}
