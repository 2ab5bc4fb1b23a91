//! The text of `/metrics`: samples with labels.

use std::collections::BTreeMap;

/// A sample of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Returns the samples of a text. Comments, and lines that are no samples, are skipped.
pub fn samples(text: &str) -> Vec<MetricSample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<MetricSample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(mut list) = rest.strip_prefix('{') {
        loop {
            list = list.trim_start_matches(',');
            if let Some(after) = list.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, value) = list.split_once("=\"")?;
            let (value, after) = unescaped(value)?;
            labels.insert(label.to_owned(), value);
            list = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(MetricSample { name: name.to_owned(), labels, value })
}

/// Returns the text up to a closing quote, and what follows it.
fn unescaped(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# TYPE a gauge\na 1\na{x=\"1,}\",y=\"q\\\"n\"} 2.5e3\nb{} 3 1700000000\nbroken{x=\"1\nnone\n";
        let samples = samples(text);
        assert_eq!(samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 2500.0, 3.0]);
        assert_eq!(samples[1].labels["x"], "1,}");
        assert_eq!(samples[1].labels["y"], "q\"n");
    }
}
