//! The activity of a job as text, in tables.

use super::activity::JobActivity;
use crate::padding::{pad_end, pad_start, width_of};
use crate::spec::format_bytes;
use crate::time::format_time;

/// The scores that are shown of a model, if it has them: the most telling first.
const SCORES: [&str; 4] = ["logloss", "auc", "rmse", "accuracy"];

/// Returns the activity as text, of the `rows` busiest operators.
pub fn render(activity: &JobActivity, rows: usize) -> String {
    let ready = if activity.ready { "ready".to_owned() } else { format!("not ready: {}", activity.reasons.join("; ")) };
    let mut text = format!("{ready}   {} requests/s\n", count(activity.requests_per_second));
    if activity.sources.is_empty() && activity.operators.is_empty() {
        text += "No sources and no operators: this server answers requests only.\n";
    } else {
        text += &format!("\n{}\n{}", sources(activity), operators(activity, rows));
    }
    if !activity.models.is_empty() {
        text += &format!("\n{}", models(activity));
    }
    text
}

fn sources(activity: &JobActivity) -> String {
    let sources = activity.sources.iter().map(|source| {
        let watermark = source.watermark.map_or_else(|| "-".to_owned(), |seconds| format_time((seconds * 1e3) as i64));
        let lag = source.lag.map_or_else(|| "-".to_owned(), count);
        let counts = [source.read, source.in_flight, source.late, source.dead_letters].map(count);
        [vec![source.name.clone(), count(source.records_per_second), lag], counts.to_vec(), vec![watermark]].concat()
    });
    let head = ["SOURCE", "RECORDS/S", "LAG", "READ", "IN FLIGHT", "LATE", "DEAD", "WATERMARK"];
    table(&head, sources.collect())
}

fn operators(activity: &JobActivity, rows: usize) -> String {
    let operators = activity.operators.iter().take(rows).map(|operator| {
        let bytes = operator.state_bytes.map_or_else(|| "-".to_owned(), |bytes| format_bytes(bytes as usize));
        let busy = format!("{:.1} %", operator.busy * 100.0);
        vec![
            operator.name.clone(),
            busy,
            count(operator.records_in_per_second),
            count(operator.records_out_per_second),
            bytes,
        ]
    });
    table(&["OPERATOR", "BUSY", "IN/S", "OUT/S", "STATE"], operators.collect())
}

fn models(activity: &JobActivity) -> String {
    let models = activity.models.iter().map(|model| {
        let champion = model.champion.map_or_else(|| "none".to_owned(), |version| format!("v{version}"));
        let score = |metric: &&str| {
            let roles = model.scores.get(*metric)?;
            let no_skill = roles.get("no_skill").map_or_else(String::new, |score| format!(" (no skill {score:.4})"));
            Some(format!("{metric} {:.4}{no_skill}", roles.get("champion")?))
        };
        let scores: Vec<String> = SCORES.iter().filter_map(score).collect();
        vec![model.name.clone(), champion, if scores.is_empty() { "-".to_owned() } else { scores.join(", ") }]
    });
    table(&["MODEL", "CHAMPION", "NEWEST WINDOW"], models.collect())
}

/// Returns a number without more digits than one reads.
fn count(value: f64) -> String {
    if value == 0.0 || value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Returns rows in columns: the first and the last to the left, others to the right.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column).map(String::as_str));
    let widths = head.iter().enumerate().map(|(column, title)| width_of(cells(column).chain([*title])));
    let widths: Vec<usize> = widths.collect();
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = if at == 0 || at + 1 == row.len() { pad_end } else { pad_start };
            line += &format!("{}  ", pad(cell, *width));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_operators_has_no_tables_of_them() {
        let gateway = JobActivity { ready: true, ..JobActivity::default() };
        let text = render(&gateway, 10);
        assert_eq!(text, "ready   0 requests/s\nNo sources and no operators: this server answers requests only.\n");
    }
}
