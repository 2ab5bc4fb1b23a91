//! Views and feature groups that have been read but not bound, and the order in which they are.
//!
//! A view names the streams of its FROM and the groups that it joins, a group the stream that it is made from. Each is
//! bound when nothing that it names is left, views first, else in the order of the file.

use std::ops::Range;

use super::checker::Checker;
use super::problem::Mistake;
use super::reader::Fields;
use super::select::SelectShape;
use super::toml_text::Text;

/// A view or feature group that is not bound yet.
enum Draft<'a> {
    View(ViewDraft<'a>),
    Group(GroupDraft<'a>),
}

/// A view whose SQL has been read but not bound.
pub struct ViewDraft<'a> {
    pub name: Text<'a>,
    pub sql: Text<'a>,
    /// The SELECTs that UNION ALL joins.
    pub selects: Vec<SelectShape>,
    /// The expression of the time at which its records take effect.
    pub at: Option<Text<'a>>,
}

/// A feature group that is not bound yet.
struct GroupDraft<'a> {
    name: Text<'a>,
    fields: Fields<'a>,
}

/// A name that a draft reads, with its place in the view's SQL or the file.
struct ReadName<'d> {
    name: &'d str,
    span: Range<usize>,
}

impl<'a> Draft<'a> {
    fn name(&self) -> &'a str {
        match self {
            Draft::View(view) => view.name.value,
            Draft::Group(group) => group.name.value,
        }
    }

    /// The names that it reads, in the order of the file.
    fn reads(&self) -> Vec<ReadName<'_>> {
        match self {
            Draft::View(view) => {
                let items = view.selects.iter().flat_map(SelectShape::named);
                items.map(|item| ReadName { name: item.name.as_str(), span: item.span.clone() }).collect()
            }
            Draft::Group(group) => {
                let from = group.fields.text_if_any("from");
                from.into_iter().map(|from| ReadName { name: from.value, span: from.span }).collect()
            }
        }
    }

    fn awaits(&self, open: &[Draft<'a>]) -> bool {
        self.reads().iter().any(|read| open.iter().any(|other| other.name() == read.name))
    }
}

impl<'a> Checker<'a> {
    /// Binds views and groups, each after those that it names.
    pub fn bind_drafts(&mut self, views: Vec<ViewDraft<'a>>, groups: Vec<(Text<'a>, Fields<'a>)>) {
        let groups = groups.into_iter().map(|(name, fields)| Draft::Group(GroupDraft { name, fields }));
        let mut open: Vec<Draft> = views.into_iter().map(Draft::View).chain(groups).collect();
        while !open.is_empty() {
            let is_free = |draft: &Draft<'a>| !draft.awaits(&open);
            let is_free_view = |draft: &Draft<'a>| matches!(draft, Draft::View(_)) && is_free(draft);
            match open.iter().position(is_free_view).or_else(|| open.iter().position(is_free)) {
                Some(next) => match open.remove(next) {
                    Draft::View(view) => self.view(&view),
                    Draft::Group(group) => self.group(&group.name, &group.fields),
                },
                // The others read one of those that are made from themselves, which is broken then.
                None => {
                    let circles: Vec<Option<Circle>> = open.iter().map(|draft| circle(draft, &open)).collect();
                    let mut circles = circles.into_iter();
                    open.retain(|draft| match circles.next().flatten() {
                        Some(circle) => {
                            self.report_circle(draft, circle);
                            false
                        }
                        None => true,
                    });
                }
            }
        }
    }

    /// Reports a draft that is made from itself.
    fn report_circle(&self, draft: &Draft<'a>, Circle { span, way }: Circle) {
        self.mark_broken(draft.name());
        let way: Vec<String> = way.iter().map(|name| format!("'{name}'")).collect();
        let (kind, name, way) = (kind_of(draft), draft.name(), way.join(", "));
        let mistake = Mistake::new(span, format!("{kind} '{name}' is made from itself by way of {way}"))
            .expected("a source, or a view that does not lead back here");
        match draft {
            Draft::View(view) => self.problems.add_inside(&view.sql, [mistake]),
            Draft::Group(_) => self.problems.add(mistake),
        }
    }
}

fn kind_of(draft: &Draft) -> &'static str {
    match draft {
        Draft::View(_) => "view",
        Draft::Group(_) => "feature group",
    }
}

/// A way from a draft back to itself.
struct Circle {
    /// The place of the name that begins it.
    span: Range<usize>,
    /// The names between, or the draft's own if there are none.
    way: Vec<String>,
}

/// A shortest way from a draft back to itself, if there is one.
fn circle(draft: &Draft, drafts: &[Draft]) -> Option<Circle> {
    let own = draft.name();
    let first = |read: ReadName| Circle { span: read.span, way: vec![read.name.to_owned()] };
    let mut open: Vec<Circle> = draft.reads().into_iter().map(first).collect();
    let mut seen: Vec<String> = Vec::new();
    while !open.is_empty() {
        let mut next = Vec::new();
        for Circle { span, mut way } in open {
            let last = way.last().expect("a way has a name").clone();
            if last == own {
                way.truncate(way.len().saturating_sub(1).max(1));
                return Some(Circle { span, way });
            }
            if seen.contains(&last) {
                continue;
            }
            let reads = drafts.iter().filter(|other| other.name() == last).flat_map(Draft::reads);
            next.extend(reads.map(|read| {
                let way = way.iter().cloned().chain([read.name.to_owned()]).collect();
                Circle { span: span.clone(), way }
            }));
            seen.push(last);
        }
        open = next;
    }
    None
}
