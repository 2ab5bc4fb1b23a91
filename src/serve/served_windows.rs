//! Windows on request: the features of an entity in a window other than those declared.

use super::RequestError;
use super::answer_moment::AnswerMoment;
use super::reply;
use crate::aggregate::{Feature, RequestWindows, RequestedAnswer, RequestedWindow, Sliding, WindowKind};
use crate::example::DerivedFeature;
use crate::spec::{FeatureName, Group};
use crate::time::parse_duration;
use crate::value::Schema;

/// The windows of a group that requests may ask for.
#[derive(Debug)]
pub struct ServedWindows {
    group: String,
    windows: RequestWindows,
    /// By line and op, the names of features.
    names: Vec<Vec<FeatureName>>,
}

impl ServedWindows {
    /// The windows of a group, given the columns of its stream.
    pub fn new(group: &Group, schema: &Schema) -> Self {
        let names = group.lines.iter().map(|line| line.names(schema).collect()).collect();
        ServedWindows { group: group.name.clone(), windows: group.request_windows(), names }
    }

    /// The window of a text.
    ///
    /// # Errors
    /// If it cannot be answered from the panes that the group keeps.
    pub fn find(&self, text: &str) -> Result<AskedWindow, RequestError> {
        let size_ms = parse_duration(text);
        let requested = size_ms.and_then(|size_ms| Some((size_ms, self.windows.requested(size_ms)?)));
        let Some((size_ms, window)) = requested else {
            return Err(RequestError::Window {
                group: self.group.clone(),
                found: text.to_owned(),
                expected: self.windows.describe(),
            });
        };
        let suffix = Sliding::new(size_ms).suffix(text);
        let name = |answer: &RequestedAnswer| self.names[answer.line][answer.op].in_window(&suffix);
        let quoted = |name: String| serde_json::to_string(&name).expect("text has a JSON form");
        let quoted_names = window.answers().iter().map(name).map(quoted).collect();
        Ok(AskedWindow { window, quoted_names })
    }
}

/// The features of a group that a request asks for.
pub enum AskedFeatures<'a> {
    /// All that are declared, with their names as JSON, and those of them that are derived, the last.
    Declared {
        quoted_names: &'a [String],
        derived: &'a [DerivedFeature],
    },
    InWindow(AskedWindow),
}

impl AskedFeatures<'_> {
    /// Appends the features of the entity of a vector as JSON: finished as of a moment's asking time, those of a window on
    /// request as of its watermark.
    pub fn write(&self, vector: &[Feature], moment: AnswerMoment<'_>, out: &mut Vec<u8>) {
        let asking = moment.asking;
        match self {
            AskedFeatures::Declared { quoted_names, derived } => {
                let computed: Vec<Feature> =
                    derived.iter().map(|derived| derived.of_vector(vector, asking).into()).collect();
                let declared = vector.iter().take(quoted_names.len() - computed.len());
                let names = quoted_names.iter().map(String::as_str);
                reply::write_features(names.zip(declared.chain(&computed)), asking, out);
            }
            AskedFeatures::InWindow(AskedWindow { window, quoted_names }) => {
                let values = window.values(vector, moment.closed());
                reply::write_features(quoted_names.iter().map(String::as_str).zip(&values), asking, out);
            }
        }
    }
}

/// A window that a request asks for.
pub struct AskedWindow {
    window: RequestedWindow,
    /// Names of the features as JSON.
    quoted_names: Vec<String>,
}
